"""`eufcc fetch` as a user meets it, and the whole way from a search to a measured model."""

import csv
import dataclasses
import inspect
import io
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from eufcc_cli.commands import fetch as commands
from eufcc_cli.core.dataset.pinned_files import git_blob_id
from eufcc_cli.core.dataset.published import REVISIONS
from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.files import SPLITS
from eufcc_cli.core.harvest.europeana import Search
from eufcc_cli.core.harvest.harvesting import Servers
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests.conftest import Run
from tests.servers.europe import Europe, europe
from tests.servers.europeana import KEY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Europe]:
    files = tmp_path_factory.mktemp("files")
    (files / "data").mkdir()
    (files / "data" / "test_id.csv").write_text("x" * 500_000)
    with europe(300, files) as running:
        yield running


@pytest.fixture
def fetch(eufcc: Run, server: Europe) -> Run:
    """`eufcc … fetch …`, with the local servers in the environment."""
    server.forget()
    return lambda *arguments, **kwargs: eufcc(
        *arguments, env=server.environment | kwargs.pop("env", {}), **kwargs
    )


# --- the group ---------------------------------------------------------------------------------------


def test_help_tells_where_to_get_a_key(eufcc: Run) -> None:
    for command in (["fetch", "--help"], ["fetch", "europeana", "--help"]):
        shown = eufcc(*command)
        assert shown.returncode == 0
        assert "https://apis.europeana.eu/en" in shown.stdout
    assert all(name in eufcc("fetch", "-h").stdout for name in ("published", "demo", "europeana", "splits"))


def test_fetch_alone_means_the_published_dataset(fetch: Run, server: Europe) -> None:
    done = fetch("fetch", "--split", "val", "--no-labels", "--url", f"{server.base}/files/ok")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: data/val.csv: {server.base}/files/ok/data/val.csv: ")
    assert "404" in done.stderr
    nothing = fetch("fetch", env={"EUFCC_PUBLISHED_URL": f"{server.base}/files/ok"})
    assert "(8 files failed)" in nothing.stderr


def test_a_mistyped_subcommand_is_no_option_of_published(eufcc: Run) -> None:
    done = eufcc("fetch", "europena", "medal")
    assert done.returncode == 2
    assert "Did you mean 'europeana'?" in done.stderr
    assert eufcc("fetch", "--split", "dev").returncode == 2


@pytest.mark.parametrize("command", ["", "published", "europeana", "splits"])
def test_help_imports_nothing_heavy(command: str) -> None:
    arguments = ["eufcc", "fetch", *([command] if command else []), "--help"]
    code = (
        f"import sys; sys.argv = {arguments!r}\n"
        "from eufcc_cli.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'httpx', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert "HEAVY []" in done.stdout


def test_the_defaults_are_those_of_the_core() -> None:
    def default(command: Callable[..., None], name: str) -> object:
        return inspect.signature(command).parameters[name].default

    for field in dataclasses.fields(Servers):
        assert default(commands.europeana, f"{field.name}_url") == field.default
    for field in dataclasses.fields(Shares):
        assert default(commands.splits, field.name) == field.default
    assert default(commands.europeana, "reusability") == Search(("medal",)).reusability


# --- published ---------------------------------------------------------------------------------------


def test_the_real_files_served_locally_are_fetched_and_verified(
    fetch: Run, shared_data: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "data").mkdir(parents=True)
    (repository / "labels").mkdir()
    (repository / "data/test_id.csv").symlink_to(shared_data / "eufcc-340k/test_id.csv")
    for facet in FACETS:
        (repository / f"labels/{facet}.txt").symlink_to(shared_data / f"eufcc-340k/labels/{facet}.txt")
    with europe(1, repository) as github:
        for how in ("breaking", "ok"):
            root = tmp_path / how
            command = ["--root", root, "fetch", "--split", "test_id", "--url", f"{github.base}/files/{how}"]
            done = fetch(*command)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == 5
            for name, blob in REVISIONS["corrected"].files.items():
                if "test_id" in name or "labels" in name:
                    assert git_blob_id(root / name) == blob
        github.forget()
        again = fetch(*command)
        assert again.returncode == 0
        assert again.stdout.count("(unchanged)") == 5
        assert github.count() == 0
        train = fetch("--root", root, "fetch", "--split", "train", "--url", f"{github.base}/files/ok")
        assert (train.returncode, train.stdout) == (1, "")
        assert "train.csv" in train.stderr


def test_a_full_disk_names_the_file_and_leaves_the_old_one(
    fetch: Run, server: Europe, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test_id.csv").write_text("mine")

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    arguments = ["fetch", "--split", "test_id", "--no-labels", "--force", "--url", f"{server.base}/files/ok"]
    done = fetch(*arguments, preexec_fn=small)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/test_id.csv: ")
    assert "cannot write" in done.stderr
    assert "hint: free some space" in done.stderr
    assert (tmp_path / "data/test_id.csv").read_text() == "mine"


# --- europeana ---------------------------------------------------------------------------------------


def test_a_harvest_is_told_on_standard_output(fetch: Run, tmp_path: Path) -> None:
    done = fetch("fetch", "europeana", "medal", "--unmapped", "unmapped.csv")
    assert done.returncode == 3
    assert "could not be fetched" in done.stderr
    assert "Europeana no longer has it (404)" in done.stderr
    table = read_table(tmp_path / "data/europeana.csv")
    title, header, *facets = done.stdout.splitlines()
    assert title.startswith(f"data/europeana.csv: {len(table)} images, ")
    assert header.split() == ["facet", "images", "share", "tags"]
    assert [line.split()[0] for line in facets] == list(FACETS)
    with (tmp_path / "unmapped.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["field", "concept", "label", "reason", "records"]
    quiet = fetch("--quiet", "fetch", "europeana", "medal")
    assert (quiet.returncode, quiet.stderr) == (3, "")


def test_the_key_is_in_no_file_and_no_message(fetch: Run, tmp_path: Path) -> None:
    told = []
    for arguments in (
        ["all", "--limit", "120"],
        ["all", "--output", "wrong.csv", "--api-key", f"{KEY}-wrong"],
        ["bad query", "--output", "bad.csv", "--api-key", KEY],
        ["day limit", "--output", "limit.csv"],
    ):
        done = fetch("--verbose", "fetch", "europeana", *arguments)
        told.append(done.stdout + done.stderr)
    assert any("the API key is not accepted" in text for text in told)
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 10
    for secret in (KEY, quote(KEY), quote(KEY, safe=""), json.dumps(KEY)[1:-1].replace("/", "\\/")):
        assert all(secret not in text for text in told)
        assert all(secret.encode() not in content for content in written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "error: Europeana has no picture for nothing\n"),
        (
            ["bad theme"],
            "error: Europeana rejects the search for bad theme: Europeana answered 400: Bad Request",
        ),
        (["day limit"], "error: Europeana: the limit of requests is reached"),
        (["medal", "--roots", "none.json"], "error: --roots none.json: no such file\n"),
        (["medal", "--record-url", "ftp://a"], "error: Europeana cannot be reached: only http and https"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(fetch: Run, arguments: list[str], message: str) -> None:
    done = fetch("fetch", "europeana", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_fills_up_ends_the_harvest_with_a_sentence(fetch: Run) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = fetch("fetch", "europeana", "all", preexec_fn=small)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: data/europeana.harvest.sqlite: cannot write: ")
    assert "again to resume" in done.stderr
    assert fetch("fetch", "europeana", "all").returncode == 3


def test_without_a_key_the_hint_says_where_to_get_one(eufcc: Run) -> None:
    done = eufcc("fetch", "europeana", "medal")
    assert done.returncode == 1
    assert done.stderr == (
        "error: no Europeana API key\n"
        "hint: get one at https://apis.europeana.eu/en and set EUROPEANA_API_KEY\n"
    )
    assert eufcc("fetch", "europeana").returncode == 2


# --- splits, and the whole way -----------------------------------------------------------------------


def test_splits_are_told_and_written(fetch: Run, tmp_path: Path) -> None:
    fetch("fetch", "europeana", "all", "--shallow")
    done = fetch("fetch", "splits", "data/europeana.csv", "--min-count", "3", "--seed", "1")
    assert done.returncode == 0, done.stderr
    shown = [line.split() for line in done.stdout.splitlines()]
    assert shown[0] == ["split", "images", "share", "providers", "tags"]
    for name, images, *_ in shown[1:]:
        assert len(read_table(tmp_path / f"data/{name}.csv")) == int(images)
    assert [row[0] for row in shown[1:]] == list(SPLITS)
    assert "least evenly divided tag: " in done.stderr
    assert "images left out, since all of their tags are" in done.stderr
    refused = fetch("fetch", "splits", "none.csv")
    assert (refused.returncode, refused.stderr.partition(":")[0]) == (1, "error")


def test_the_whole_way_from_a_search_to_a_measured_model(fetch: Run, tmp_path: Path) -> None:
    def step(*arguments: object, code: int = 0) -> str:
        done = fetch(*arguments, timeout=200, env={"OMP_NUM_THREADS": "1"})
        assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    step("fetch", "europeana", "all", "--match-labels", "--limit", "200", code=3)
    step("fetch", "splits", "data/europeana.csv", "--min-count", "5", "--val", "0.15", "--test", "0.15")
    step("download", "--allow-private-hosts", "--workers", "8", "--rate", "0")
    step("trees", "--write", "labels")
    learn = ["--backbone", "convnext_mini", "--no-pretrained", "--image-size", "32", "--batch-size", "32"]
    step("train", *learn, "--epochs", "3", "--device", "cpu", "--workers", "0", "--name", "mine")
    told = step("evaluate", "mine", "--device", "cpu", "--format", "json")
    results = {each["split"]: each for each in json.loads(told)["results"]}
    for split in ("test_id", "test_ood"):
        images = len(list(csv.DictReader(io.StringIO((tmp_path / f"data/{split}.csv").read_text()))))
        assert results[split]["images"] == images
        assert results[split]["images_missing"] == 0
        assert results[split]["tags_out_of_vocabulary"] == 0
        # Colours are materials and shapes are types: there is something to learn.
        assert results[split]["overall"]["r_precision"] > 0.5
