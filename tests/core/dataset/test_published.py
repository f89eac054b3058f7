"""The published dataset: verified, resumed, never in the way of what is there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from eufcc_cli.core.dataset.pinned_files import git_blob_id
from eufcc_cli.core.dataset.published import REVISIONS, Revision, fetch_published
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests.servers.europe import Europe, europe

HEADER = (
    "idInSource,objectTypes.hierarchy,materials.hierarchy,#portraitMedia.original,database,repository.keeper"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository: four tables, the largest of some 70 kB, and four label files."""
    folder = tmp_path_factory.mktemp("repository")
    for directory in ("data", "labels"):
        (folder / directory).mkdir()
    for split, rows in {"train": 1000, "val": 20, "test_id": 20, "test_ood": 20}.items():
        lines = [
            f"{split}_{i},moble,fusta,https://museum.example/{i},EUROPEANA,Museu {i % 3}" for i in range(rows)
        ]
        (folder / f"data/{split}.csv").write_text("\n".join([HEADER, *lines, ""]))
    for facet in FACETS:
        (folder / f"labels/{facet}.txt").write_text(f"Root\n└── {facet}")
    return folder


@pytest.fixture(scope="module")
def server(files: Path) -> Iterator[Europe]:
    with europe(1, files) as running:
        yield running


@pytest.fixture
def base(files: Path, server: Europe, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the raw files; their blob ids stand for those of `corrected`."""
    names = [str(path.relative_to(files)) for path in sorted(files.rglob("*.*"))]
    blobs = {name: git_blob_id(files / name) for name in names}
    monkeypatch.setitem(REVISIONS, "corrected", Revision("0" * 40, blobs))
    server.forget()
    return f"{server.base}/files"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "collection")


def parts(root: Root) -> list[Path]:
    return list(root.path.rglob("*.part"))


def test_every_file_comes_verified_with_its_provenance(root: Root, files: Path, base: str) -> None:
    fetched = fetch_published(root, base_url=f"{base}/ok/")
    assert [file.path.name for file in fetched if file.new] == [
        *("train.csv", "val.csv", "test_id.csv", "test_ood.csv"),
        *(f"{facet}.txt" for facet in FACETS),
    ]
    for file in fetched:
        name = file.path.relative_to(root.path)
        assert file.path.read_bytes() == (files / name).read_bytes()
    kept = json.loads((root.data / "provenance.json").read_text())["files"]
    assert len(kept) == 8
    train = kept["data/train.csv"]
    assert train["url"] == f"{base}/ok/data/train.csv"
    assert train["git_blob_id"] == git_blob_id(root.table("train"))
    assert train["dataset_revision"] == "corrected"
    assert train["bytes"] == root.table("train").stat().st_size
    attribution = (root.data / "ATTRIBUTION.md").read_text()
    assert (
        "Art & Architecture Thesaurus (AAT)® which is made available under the ODC Attribution License"
        in (" ".join(attribution.split()))
    )
    assert "- Museu 0: 355 images" in attribution
    assert not parts(root)


def test_what_is_there_and_right_costs_no_request(root: Root, base: str, server: Europe) -> None:
    fetch_published(root, splits=["val"], base_url=f"{base}/ok")
    server.forget()
    again = fetch_published(root, splits=["val", "test_id"], labels=False, base_url=f"{base}/ok")
    assert [(file.path.name, file.new) for file in again] == [("val.csv", False), ("test_id.csv", True)]
    assert list(server.log()["asked"]) == ["/files/ok/data/test_id.csv"]


def test_a_connection_that_keeps_breaking_is_taken_up_where_it_broke(
    root: Root, files: Path, base: str, server: Europe
) -> None:
    fetch_published(root, splits=["train"], labels=False, base_url=f"{base}/breaking")
    assert root.table("train").read_bytes() == (files / "data/train.csv").read_bytes()
    offsets = [int(told.split()[1]) for told in server.log()["ranges"]]
    assert len(offsets) > 3
    assert offsets == sorted(set(offsets))


def test_a_part_left_by_an_interruption_is_continued(
    root: Root, files: Path, base: str, server: Europe
) -> None:
    _leave_part(root, (files / "data/train.csv").read_bytes()[:40_000])
    fetch_published(root, splits=["train"], labels=False, base_url=f"{base}/ok")
    assert server.log()["ranges"] == ["data/train.csv 40000"]
    assert root.table("train").read_bytes() == (files / "data/train.csv").read_bytes()


@pytest.mark.parametrize("left", [b"of another file", b""])
def test_a_part_of_something_else_does_not_stay_in_the_way(
    root: Root, files: Path, base: str, left: bytes
) -> None:
    _leave_part(root, left)
    fetch_published(root, splits=["train"], labels=False, base_url=f"{base}/ok")
    assert root.table("train").read_bytes() == (files / "data/train.csv").read_bytes()


def test_a_whole_part_that_was_only_not_put_in_its_place_is_enough(
    root: Root, files: Path, base: str
) -> None:
    _leave_part(root, (files / "data/train.csv").read_bytes())
    fetch_published(root, splits=["train"], labels=False, base_url=f"{base}/ok")
    assert root.table("train").read_bytes() == (files / "data/train.csv").read_bytes()


def test_a_server_without_ranges_sends_the_whole_again(root: Root, files: Path, base: str) -> None:
    _leave_part(root, (files / "data/train.csv").read_bytes()[:5000])
    fetch_published(root, splits=["train"], labels=False, base_url=f"{base}/whole")
    assert root.table("train").read_bytes() == (files / "data/train.csv").read_bytes()


def _leave_part(root: Root, content: bytes) -> None:
    root.data.mkdir(parents=True)
    blob = REVISIONS["corrected"].files["data/train.csv"]
    (root.data / f".train.csv.{blob[:12]}.part").write_bytes(content)


def test_a_busy_server_is_asked_again(root: Root, base: str) -> None:
    fetch_published(root, splits=["val"], labels=False, base_url=f"{base}/busy")
    assert root.table("val").is_file()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("wrong", "not the published file: its git blob id differs"),
        ("html", "a web page came instead of the file"),
        ("missing", "the server answered 404 Not Found"),
    ],
)
def test_a_wrong_answer_names_the_file_and_leaves_the_old_one(
    root: Root, base: str, how: str, reason: str
) -> None:
    root.data.mkdir(parents=True)
    root.table("val").write_text("mine")
    url = f"{base}/{how}" if how != "missing" else f"{base}/ok/elsewhere"
    with pytest.raises(CollectError) as caught:
        fetch_published(root, splits=["val"], labels=False, base_url=url, force=True)
    assert str(caught.value) == f"{root.table('val')}: {url}/data/val.csv: {reason}"
    assert root.table("val").read_text() == "mine"
    assert not parts(root)
    assert not (root.data / "provenance.json").exists()


def test_one_wrong_file_does_not_keep_the_others(root: Root, base: str) -> None:
    with pytest.raises(CollectError, match=r"\(4 files failed\)"):
        fetch_published(root, base_url=f"{base}/wrong")
    assert all(root.label_file(facet).is_file() for facet in FACETS)
    assert len(json.loads((root.data / "provenance.json").read_text())["files"]) == 4


def test_other_peoples_work_is_only_replaced_by_force(root: Root, base: str, server: Europe) -> None:
    root.data.mkdir(parents=True)
    root.table("val").write_text("mine")
    with pytest.raises(CollectError, match="is not a file of EUFCC-340K") as caught:
        fetch_published(root, base_url=f"{base}/ok")
    assert "`force`" in (caught.value.hint or "")
    assert not server.log()["asked"]
    assert not root.table("train").exists()
    fetch_published(root, base_url=f"{base}/ok", force=True)
    assert root.table("val").read_text() != "mine"


def test_a_file_of_another_revision_gives_way(root: Root, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_published(root, splits=["val"], labels=False, base_url=f"{base}/ok")
    older = root.table("val").with_name("older.csv")
    older.write_text("the older val")
    monkeypatch.setitem(REVISIONS, "original", Revision("1" * 40, {"data/val.csv": git_blob_id(older)}))
    older.replace(root.table("val"))
    fetch_published(root, splits=["val"], labels=False, base_url=f"{base}/ok")
    assert root.table("val").read_text() != "the older val"


def test_secrets_in_a_mirrors_address_are_kept_nowhere(root: Root, base: str, server: Europe) -> None:
    secret = base.replace("//", "//me:pa55word@")
    fetch_published(root, splits=["val"], labels=False, base_url=f"{secret}/ok")
    assert "pa55word" not in (root.data / "provenance.json").read_text()
    with pytest.raises(CollectError) as caught:
        fetch_published(root, splits=["test_id"], labels=False, base_url=f"{secret}/html")
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc", "ftp://mirror.example", "mirror.example", "http://"])
def test_an_address_that_is_none_is_refused_at_once(root: Root, url: str) -> None:
    with pytest.raises(CollectError, match=r"val\.csv"):
        fetch_published(root, splits=["val"], labels=False, base_url=url)


def test_unknown_names_are_refused(root: Root) -> None:
    with pytest.raises(CollectError, match="revision newest is not known"):
        fetch_published(root, "newest")
    with pytest.raises(CollectError, match="split dev is not published"):
        fetch_published(root, splits=["dev"])
    assert not root.path.exists()


def test_two_fetches_do_not_write_into_one_another(root: Root, base: str) -> None:
    root.data.mkdir(parents=True)
    with FileLock(root.data / ".fetch.lock"), pytest.raises(CollectError, match="another `eufcc fetch`"):
        fetch_published(root, base_url=f"{base}/ok")


def test_a_broken_record_of_provenance_is_named(root: Root, base: str, server: Europe) -> None:
    root.data.mkdir(parents=True)
    (root.data / "provenance.json").write_text("{")
    with pytest.raises(Exception, match=r"provenance\.json: not a record of provenance"):
        fetch_published(root, splits=["val"], labels=False, base_url=f"{base}/ok")
    assert server.count() == 0


def test_a_root_that_is_a_file_is_told(root: Root, base: str) -> None:
    root.path.write_text("a file")
    with pytest.raises(CollectError, match=r"data: cannot write: Not a directory"):
        fetch_published(root, base_url=f"{base}/ok")


def test_the_pinned_revisions_differ_where_they_say() -> None:
    corrected, original = REVISIONS["corrected"].files, REVISIONS["original"].files
    assert {name for name in corrected if corrected[name] != original[name]} == {
        "data/train.csv",
        "data/val.csv",
    }
    assert len(corrected) == 8
