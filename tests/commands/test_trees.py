"""`eufcc trees` as installed: real files, pipes and a terminal, exit codes and messages."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests import oracles
from tests.conftest import Run

HEADER = "idInSource,objectTypes.hierarchy,materials.hierarchy,subjects.hierarchy,#portraitMedia.original\n"
TRAIN = HEADER + (
    "1,moble | taula,fusta | roure $ metall,,https://x/1\n"
    "2,moble | cadira,fusta,,https://x/2\n"
    "3,moble,metall | bronze,retrat,https://x/3\n"
    "4,vas,metall | bronze,,https://x/4\n"
)
TEST = HEADER + "9,vas,aliatge | bronze,nu,https://x/9\n"
MATERIALS = ["fusta | roure $ metall", "fusta", "metall | bronze", "metall | bronze", "aliatge | bronze"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small collection root with two splits."""
    folder = tmp_path / "collection"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train.csv").write_text(TRAIN)
    (folder / "data" / "test_ood.csv").write_text(TEST)
    return folder


def done(result: subprocess.CompletedProcess[str]) -> str:
    """Standard output of a command that did all it was asked, quietly."""
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 1, one error line that holds these parts, and a hint."""
    assert result.returncode == 1 and not result.stdout
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    for part in parts:
        assert part in error


def test_the_roots_splits_are_drawn_as_published(eufcc: Run, root: Path) -> None:
    alone = done(eufcc("--root", root, "trees"))
    assert alone == done(eufcc("--root", root, "trees", "--print"))
    drawings = [section.split("\n", 1) for section in alone.rstrip("\n").split("\n\n")]
    assert [facet for facet, _ in drawings] == list(FACETS)
    assert dict(drawings)["materials"] == oracles.drawing_of(MATERIALS)
    assert dict(drawings)["classifications"] == "Root"
    one = done(eufcc("trees", "--facet", "materials", env={"EUFCC_ROOT": str(root)}))
    assert one == oracles.drawing_of(MATERIALS) + "\n"


def test_tables_named_in_another_order_and_counts(eufcc: Run, root: Path) -> None:
    files = [root / "data" / "test_ood.csv", root / "data" / "train.csv"]
    drawn = done(eufcc("trees", *files, "--facet", "materials", "--counts"))
    assert drawn.splitlines() == [
        "Root",
        "├── aliatge  3 (60.0%)",
        "│   └── bronze  3 (60.0%)",
        "├── fusta  2 (40.0%)",
        "│   └── roure  1 (20.0%)",
        "└── metall  3 (60.0%)",
    ]
    shallow = done(eufcc("trees", *files, "--facet", "materials", "--counts", "--depth", "1"))
    assert shallow.splitlines() == [
        "Root",
        "├── aliatge  3 (60.0%)",
        "├── fusta  2 (40.0%)",
        "└── metall  3 (60.0%)",
    ]


def test_written_label_files_are_drawn_again(eufcc: Run, root: Path) -> None:
    written = eufcc("--root", root, "trees", "--write", root / "labels")
    assert written.returncode == 0 and not written.stdout
    assert sorted(path.name for path in (root / "labels").iterdir()) == sorted(f"{f}.txt" for f in FACETS)
    assert (root / "labels" / "materials.txt").read_text() == oracles.drawing_of(MATERIALS)
    options = ("--labels", "--facet", "materials")
    assert done(eufcc("--root", root, "trees", *options)) == oracles.drawing_of(MATERIALS) + "\n"
    counted = done(eufcc("--root", root, "trees", root / "labels" / "materials.txt", *options, "--counts"))
    assert "├── metall  4 (80.0%)" in counted


def test_rare_tags_are_left_out_and_told(eufcc: Run, root: Path) -> None:
    result = eufcc("--root", root, "trees", "--facet", "materials", "--min-count", "2")
    assert result.stdout == "Root\n├── fusta\n└── metall\n    └── bronze\n"
    assert result.stderr == "materials: left out 2 tags of fewer than 2 images: roure (1), aliatge (1)\n"


def test_find_forgives_accents_and_offers_near_misses(eufcc: Run, root: Path) -> None:
    found = json.loads(done(eufcc("--root", root, "trees", "--find", "BRÒNZE", "--format", "json")))
    assert found == [
        {
            "facet": "materials",
            "tag": "bronze",
            "path": ["metall", "bronze"],
            "images": 3,
            "children": 0,
            "other_parents": ["aliatge"],
        }
    ]
    assert "metall | bronze" in done(eufcc("--root", root, "trees", "--find", "bronze"))
    missed = eufcc("--root", root, "trees", "--find", "brunze")
    refused(missed, "no tag is called 'brunze'")
    assert "did you mean bronze?" in missed.stderr


def test_comparison_files_for_other_programs(eufcc: Run, root: Path) -> None:
    content = json.loads(done(eufcc("--root", root, "trees", "--format", "json")))
    assert list(content["facets"]) == list(FACETS)
    assert [entry["tag"] for entry in content["facets"]["materials"]["tags"]] == [
        "fusta",
        "metall",
        "aliatge",
    ]
    dot = done(eufcc("--root", root, "trees", "--format", "dot", "--facet", "materials"))
    assert dot.startswith("digraph materials {") and dot.endswith("}\n")
    assert '"materials:aliatge" -> "materials:bronze" [style=dashed];' in dot
    skos = done(eufcc("--root", root, "trees", "--format", "skos", "--tag-language", "ca"))
    rdflib = pytest.importorskip("rdflib")
    graph = rdflib.Graph().parse(data=skos, format="turtle")
    bronze = rdflib.URIRef("urn:eufcc:materials/bronze")
    assert {str(parent).rpartition("/")[2] for parent in graph.objects(bronze, rdflib.SKOS.broader)} == {
        "metall",
        "aliatge",
    }


def test_lint_tells_and_strict_fails(eufcc: Run, root: Path) -> None:
    (root / "labels").mkdir()
    (root / "labels" / "materials.txt").write_text("Root\n├── fusta\n└── metall\n    └── bronze")
    told = done(eufcc("--root", root, "trees", "--lint"))
    assert "materials: bronze: metall (2), aliatge (1)" in told
    assert "materials: aliatge (1)" in told.partition("outside-labels:")[2]
    content = eufcc("--root", root, "trees", "--lint", "--strict", "--format", "json")
    assert content.returncode == 3 and not content.stderr
    found = json.loads(content.stdout)
    assert found["summary"]["ambiguous"] == 1 and found["summary"]["shared-url"] == 0
    kinds = [finding["kind"] for finding in found["findings"]]
    assert {kind: kinds.count(kind) for kind in found["summary"]} == found["summary"]


def test_lint_finds_leakage_and_bad_cells_by_line(eufcc: Run, root: Path) -> None:
    (root / "data" / "val.csv").write_text(HEADER + "4,vas |  | got,,,https://x/1\n,vas,,,ftp://x\n")
    result = eufcc("--root", root, "trees", "--lint", "--format", "json")
    assert result.returncode == 0
    findings = json.loads(result.stdout)["findings"]
    at = {(finding["kind"], finding.get("place"), finding.get("column")) for finding in findings}
    assert at >= {
        ("missing-id", "line 3", "idInSource"),
        ("shared-id", "line 2", "idInSource"),
        ("bad-url", "line 3", "#portraitMedia.original"),
        ("empty-segment", "line 2", "objectTypes.hierarchy"),
        ("shared-url", None, None),
    }


def test_a_clean_collection_passes_strictly(eufcc: Run, tmp_path: Path) -> None:
    rows = "".join(f"{i},moble | taula,fusta,retrat,https://x/{i}\n" for i in range(2))
    (tmp_path / "t.csv").write_text(HEADER + rows)
    assert done(eufcc("trees", tmp_path / "t.csv", "--lint", "--strict")) == "Nothing found\n"
    assert done(eufcc("trees", tmp_path / "t.csv", "--strict", "--facet", "subjects")) == "Root\n└── retrat\n"


def test_errors_stop_a_strict_reading_and_are_all_told(eufcc: Run, tmp_path: Path) -> None:
    rows = "1,a |  | b,x $ ,,https://x/1\n2,c / d,,,gopher://x\n"
    table = tmp_path / "t.csv"
    table.write_text(HEADER + rows)
    loose = eufcc("trees", table, "--facet", "objectTypes")
    assert loose.returncode == 0 and "an empty path segment in 'a |  | b'" in loose.stderr
    strict = eufcc("trees", table, "--strict", "--write", tmp_path / "labels")
    assert strict.returncode == 1 and not strict.stdout and not (tmp_path / "labels").exists()
    told = strict.stderr.splitlines()
    assert told[:4] == [
        f"warning: {table}: line 2, objectTypes.hierarchy: an empty path segment in 'a |  | b'",
        f"warning: {table}: line 2, materials.hierarchy: an empty tag in 'x $ '",
        f"warning: {table}: line 3, #portraitMedia.original: not an http(s) URL: 'gopher://x'",
        f"warning: {table}: line 3, objectTypes.hierarchy: a `/` that looks like a separator in 'c / d'",
    ]
    assert told[4] == "error: 3 errors in the tables" and told[5].startswith("hint: ")


def test_statistics_and_their_plot(eufcc: Run, root: Path, tmp_path: Path) -> None:
    result = eufcc("--root", root, "trees", "--stats", "--plot", tmp_path / "plot.svg", "--format", "json")
    assert result.returncode == 0 and (tmp_path / "plot.svg").read_text().startswith("<?xml")
    numbers = json.loads(result.stdout)
    assert numbers["images"] == 5 and numbers["facets"]["materials"]["tags_per_image"] == {
        "mean": 2.0,
        "max": 3,
    }
    assert numbers["facets"]["materials"]["tags_per_depth"] == [3, 2]
    told = done(eufcc("--root", root, "trees", "--stats"))
    assert told.startswith("5 images (") and "classifications" in told
    refused(eufcc("--root", root, "trees", "--plot", tmp_path / "plot.gif"), "plot.gif")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (None, ["no such file"]),
        ("", ["empty"]),
        ("id,materials\n1,or\n", ["column idInSource is missing"]),
        (HEADER + "1,vas,,,x\n,vas,,,x\n", ["no idInSource in line 3"]),
    ],
)
def test_bad_tables_are_refused_and_nothing_is_touched(
    eufcc: Run, root: Path, text: str | None, parts: list[str]
) -> None:
    bad = root / "data" / "bad.csv"
    if text is not None:
        bad.write_text(text)
    (root / "labels").mkdir()
    (root / "labels" / "materials.txt").write_text("Root\n└── mine")
    files = [root / "data" / "train.csv", bad]
    refused(eufcc("trees", *files, "--write", root / "labels"), str(bad), *parts)
    assert [path.name for path in (root / "labels").iterdir()] == ["materials.txt"]
    assert (root / "labels" / "materials.txt").read_text() == "Root\n└── mine"


def test_other_things_that_are_not_there(eufcc: Run, root: Path, tmp_path: Path) -> None:
    refused(eufcc("--root", tmp_path / "nowhere", "trees"), str(tmp_path / "nowhere"))
    refused(eufcc("--root", tmp_path, "trees"), "no annotation tables")
    refused(eufcc("--root", root, "trees", "--labels"), "no label files")
    refused(eufcc("--root", root, "trees", "--facet", "colours"), "colours")
    (tmp_path / "materials.txt").write_text("Root\n└── or\n└── or")
    refused(eufcc("trees", "--labels", tmp_path / "materials.txt"), "line 3", "'or' is already at")


def test_what_does_not_go_together_is_wrong_usage(eufcc: Run, root: Path) -> None:
    for options in (
        ("--format", "xml"),
        ("--lint", "--stats", "--format", "json"),
        ("--lint", "--format", "dot"),
        ("--labels", "--lint"),
        ("--depth", "0"),
    ):
        result = eufcc("--root", root, "trees", *options)
        assert result.returncode == 2 and not result.stdout and "Traceback" not in result.stderr


def test_a_reader_that_has_enough_is_no_error(eufcc_command: str, root: Path) -> None:
    rows = "".join(f"{i},tipus {i} | nom {i},,,\n" for i in range(20_000))
    (root / "data" / "train.csv").write_text(HEADER + rows)
    command = (
        f"'{eufcc_command}' --root '{root}' trees --facet objectTypes | head -n 2; exit ${{PIPESTATUS[0]}}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Root\n├── tipus 0\n", "")


def test_a_terminal_gets_a_coloured_tree(eufcc_command: str, root: Path) -> None:
    shown = on_a_terminal(eufcc_command, "--root", str(root), "trees", "--counts")
    assert "\x1b[" in shown and "metall" in shown and "5 images annotated" in shown
    plain = on_a_terminal(eufcc_command, "--root", str(root), "trees", NO_COLOR="1")
    assert "\x1b[3" not in plain and "metall" in plain


def on_a_terminal(*command: str, **environment: str) -> str:
    """What a command shows on a terminal of its own."""
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    process = subprocess.Popen(command, stdout=there, stderr=there, stdin=there, env=environment)
    os.close(there)
    shown = b""
    while True:
        try:
            chunk = os.read(here, 65536)
        except OSError:  # how Linux tells that the other side of a terminal is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(here)
    assert process.wait(timeout=200) == 0
    return shown.decode()


def test_real_annotations(eufcc: Run, shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "eufcc-340k" / "test_id.csv"
    assert eufcc("trees", real, "--write", tmp_path / "labels").returncode == 0
    table = read_table(real)
    for facet in FACETS:
        cells = table[f"{facet}.hierarchy"].tolist()
        assert (tmp_path / "labels" / f"{facet}.txt").read_bytes() == oracles.drawing_of(cells).encode()
    drawn = done(eufcc("trees", real))
    for facet in FACETS:
        assert f"{facet}\n{oracles.drawing_of(table[f'{facet}.hierarchy'])}\n" in drawn


def test_published_label_files_are_drawn_as_they_are(eufcc: Run, shared_data: Path) -> None:
    folder = shared_data / "eufcc-340k"
    texts = [f"{facet}\n{(folder / 'labels' / f'{facet}.txt').read_text()}\n" for facet in FACETS]
    assert done(eufcc("--root", folder, "trees", "--labels")) == "\n".join(texts)
