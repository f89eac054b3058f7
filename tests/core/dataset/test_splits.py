"""Dividing a harvest: nothing on two sides, every kept tag learnable, tags shared out evenly."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from eufcc_cli.core.dataset.splits.division import divide
from eufcc_cli.core.dataset.splits.division_report import Report, Shares
from eufcc_cli.core.dataset.splits.split_files import report_file, write_splits
from eufcc_cli.core.dataset.splits.split_memory import SplitMemory, held_out_file, list_of_tests
from eufcc_cli.core.dataset.splits.stratification import hold_out, stratify
from eufcc_cli.core.dataset.splits.tag_sets import TagSets
from eufcc_cli.core.errors import CollectError, DataError
from eufcc_cli.core.files import SPLITS, Root
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import (
    FACETS,
    ID,
    IMAGE_URL,
    PROVIDER,
    RECORD,
    facet_column,
    paths,
)
from eufcc_cli.core.taxonomy.tables.annotations import names as names_of
from tests.oracles import iterative_stratification

_KINDS = (
    "moble | cadira",
    "moble | taula",
    "moble",
    "moneda",
    "estampa | gravat | aiguafort",
    "estampa $ retrat",
)
_MATTERS = ("metall | bronze", "metall | plata", "fusta", "", "paper", "material vegetal | fusta")


def collection(images: int, seed: int = 0, providers: int = 25) -> pd.DataFrame:
    """Images of two facets, some with rare tags, by providers of very different size.

    One in ten has the address of another image of its provider; two providers share one address.
    """
    rng = np.random.default_rng(seed)
    size = 1 / np.arange(1, providers + 1)
    rows: list[dict[str, str]] = []
    for i in range(images):
        provider = f"Museu {int(rng.choice(providers, p=size / size.sum()))}"
        theirs = [row[IMAGE_URL] for row in rows if row[PROVIDER] == provider] if rng.random() < 0.1 else []
        kind = _KINDS[int(rng.choice(len(_KINDS), p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]))]
        if rng.random() < 0.03:
            kind = f"moble | cadira | rara {rng.integers(8)}"
        rows.append(
            {
                ID: f"image_{i}",
                facet_column("objectTypes"): kind,
                facet_column("materials"): _MATTERS[int(rng.integers(len(_MATTERS)))],
                IMAGE_URL: str(rng.choice(theirs)) if theirs else f"https://museum.example/{i}.jpg",
                PROVIDER: provider,
                "title": f"Título {i}",
            }
        )
    for name in ("Museu 3", "Museu 4"):
        shared = next((row for row in rows if row[PROVIDER] == name), rows[0])
        shared[IMAGE_URL] = "https://museum.example/shared.jpg"
    return pd.DataFrame(rows)


def divided(
    table: pd.DataFrame, shares: Shares, same: Sequence[np.ndarray] = ()
) -> tuple[dict[str, pd.DataFrame], Report]:
    """The splits of a table, and the report."""
    division = divide(table, shares, same=same)
    return {name: division.part(name) for name in division.rows}, division.report


def check(table: pd.DataFrame, parts: dict[str, pd.DataFrame], report: Report) -> None:
    """What holds for every division, read off the tables alone."""
    where = pd.Series({image: name for name, part in parts.items() for image in part[ID]})
    assert where.index.is_unique
    assert len(table) == len(where) + report.untagged
    placed = table[table[ID].isin(where.index)]
    assert (
        placed[placed[IMAGE_URL] != ""].groupby(IMAGE_URL)[ID].agg(lambda ids: where[ids].nunique()) == 1
    ).all()
    if "test_ood" in parts:
        outer = set(parts["test_ood"][PROVIDER])
        assert report.held_out == sorted(outer)
        assert "" not in outer
        for name in parts.keys() - {"test_ood"}:
            assert not outer & set(parts[name][PROVIDER])
    before = table.set_index(ID)
    kept: dict[str, set[str]] = {}
    for facet in FACETS:
        column = facet_column(facet)
        if column not in table:
            continue
        train = pd.Series([name for text in parts["train"][column] for name in names_of(text)], dtype="str")
        counts = train.value_counts()
        kept[facet] = set(counts.index)
        assert (counts >= report.shares.min_count).all()
        for part in parts.values():
            for image, text in zip(part[ID], part[column], strict=True):
                # A literal reading: the same paths without the names that went.
                original = before[column][image]
                assert names_of(text) == names_of(original) & kept[facet]
                shortened = [[name for name in path if name in kept[facet]] for path in paths(original)]
                assert all(list(path) in shortened for path in paths(text))
    gone = {(tag.facet, tag.tag) for tag in report.dropped}
    for facet, names in kept.items():
        every = {name for text in table[facet_column(facet)] for name in names_of(text)}
        assert {(facet, name) for name in every - names} == {tag for tag in gone if tag[0] == facet}
    assert sum(map(len, kept.values())) == report.tags
    for tag in report.dropped:
        assert tag.train < report.shares.min_count
        assert tag.instead is None or tag.instead in kept[tag.facet]
    for name, part in parts.items():
        assert report.splits[name].images == len(part)
        assert report.splits[name].providers == part[PROVIDER].nunique()


@given(
    st.integers(30, 150),
    st.integers(0, 50),
    st.sampled_from([(0.1, 0.1, 0.1), (0.2, 0, 0.3), (0, 0, 0), (0.3, 0.3, 0.2)]),
    st.integers(1, 6),
)
@settings(max_examples=20, deadline=None)
def test_every_division_keeps_its_promises(
    images: int, seed: int, shares: tuple[float, float, float], min_count: int
) -> None:
    table = collection(images, seed)
    try:
        parts, report = divided(table, Shares(*shares, min_count=min_count, seed=seed))
    except CollectError as error:  # what is left to learn from is too little: refused, not divided
        assert f"no tag has {min_count} images" in str(error)
        assert images * (1 - sum(shares)) < 20 * min_count
        return
    check(table, parts, report)


def test_the_shares_are_those_asked_for() -> None:
    table = collection(1500)
    parts, report = divided(table, Shares(0.15, 0.1, 0.2, min_count=5))
    check(table, parts, report)
    images = sum(map(len, parts.values()))
    for name, share in (("val", 0.15), ("test_id", 0.1), ("test_ood", 0.2)):
        assert len(parts[name]) == pytest.approx(share * images, abs=0.01 * images)
    assert report.duplicates > 50
    assert report.worst is not None
    assert abs(report.worst.images - report.worst.even) < 8
    rare = {tag.tag: tag.instead for tag in report.dropped}
    assert rare
    assert set(rare.values()) == {"cadira"}


def test_the_same_table_and_seed_give_the_same_files(tmp_path: Path) -> None:
    source = tmp_path / "harvest.csv"
    collection(400).to_csv(source, index=False)
    roots = [Root(tmp_path / name) for name in ("one", "two", "three")]
    for root, seed in zip(roots, (5, 5, 6), strict=True):
        write_splits(root, source, Shares(min_count=3, seed=seed))
    one, two, three = ([root.table(name).read_bytes() for name in SPLITS] for root in roots)
    assert one == two != three
    assert report_file(roots[0]).read_bytes() == report_file(roots[1]).read_bytes()
    assert list(read_table(roots[0].table("val")).columns) == list(read_table(source).columns)
    told = json.loads(report_file(roots[0]).read_text())
    assert told["source"] == "harvest.csv"
    assert told["splits"]["train"]["images"] == len(read_table(roots[0].table("train")))
    kept = json.loads((roots[0].data / "provenance.json").read_text())["files"]
    assert set(kept) == {f"data/{name}.csv" for name in SPLITS}


def test_dividing_again_replaces_its_own_tables_and_no_others(tmp_path: Path) -> None:
    source, root = tmp_path / "harvest.csv", Root(tmp_path / "root")
    collection(400).to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3))
    write_splits(root, source, Shares(ood=0, min_count=3, seed=1), resplit=True)
    assert not root.table("test_ood").exists()
    assert "data/test_ood.csv" not in (root.data / "provenance.json").read_text()
    root.table("val").write_text("mine")
    with pytest.raises(CollectError, match=r"val\.csv: exists, and was not written by"):
        write_splits(root, source, Shares(min_count=3))
    assert root.table("val").read_text() == "mine"
    assert not list(root.data.glob(".splits.*"))
    write_splits(root, source, Shares(min_count=3), force=True)
    assert root.table("val").read_text() != "mine"


def test_a_division_interrupted_before_it_was_recorded_can_be_repeated(tmp_path: Path) -> None:
    source, root = tmp_path / "harvest.csv", Root(tmp_path / "root")
    collection(400).to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3))
    before = [root.table(name).read_bytes() for name in SPLITS]
    (root.data / "provenance.json").unlink()
    write_splits(root, source, Shares(min_count=3))
    assert [root.table(name).read_bytes() for name in SPLITS] == before


def test_unusable_input_is_refused(tmp_path: Path) -> None:
    root = Root(tmp_path)
    table = collection(50)
    root.data.mkdir()
    for name, change, reason in (
        ("twice.csv", lambda t: pd.concat([t, t.iloc[[3]]]), "the id image_3 occurs twice"),
        ("nobody.csv", lambda t: t.drop(columns=PROVIDER), f"column {PROVIDER} is missing"),
        ("nowhere.csv", lambda t: t.drop(columns=IMAGE_URL), f"column {IMAGE_URL} is missing"),
    ):
        change(table).to_csv(tmp_path / name, index=False)
        with pytest.raises(DataError, match=reason):
            write_splits(root, tmp_path / name)
    table.to_csv(root.table("train"), index=False)
    with pytest.raises(CollectError, match="would be replaced by its own splits"):
        write_splits(root, root.table("train"), force=True)
    with pytest.raises(DataError, match="no such file"):
        write_splits(root, tmp_path / "none.csv")
    with pytest.raises(CollectError, match="no tag has 500 images to learn from"):
        divide(table, Shares(min_count=500))
    with pytest.raises(CollectError, match="no tag has 2 images to learn from"):
        divide(table.iloc[[0, 1]].assign(**{facet_column("objectTypes"): "moble"}), Shares(0.45, 0.45, 0, 2))
    for shares, reason in (
        ({"val": -0.1}, "`val` -0.1: not a share"),
        ({"ood": 1}, "`ood` 1: not a share"),
        ({"val": 0.5, "test": 0.4}, "leave nothing to train on"),
        ({"min_count": 0}, "`min_count` 0"),
    ):
        with pytest.raises(CollectError, match=reason):
            Shares(**shares)
    assert not root.table("val").exists()


def test_one_provider_alone_cannot_be_held_out() -> None:
    table = collection(200, providers=1)
    parts, report = divided(table, Shares(min_count=3))
    check(table, parts, report)
    assert "test_ood" not in parts
    table = collection(200, providers=1).assign(**{PROVIDER: ""})
    parts, report = divided(table, Shares(min_count=3))
    assert "test_ood" not in parts


def test_a_thumbnail_and_its_original_stay_together() -> None:
    table = collection(200)
    original = "https://museum.example/same.jpg"
    table.loc[3, IMAGE_URL] = original
    table.loc[120, IMAGE_URL] = (
        "https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fmuseum.example%2Fsame.jpg&type=IMAGE"
    )
    for seed in range(5):
        parts, _ = divided(table, Shares(0.3, 0.3, 0.1, min_count=1, seed=seed))
        sides = {name for name, part in parts.items() if {"image_3", "image_120"} & set(part[ID])}
        assert len(sides) == 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_more_of_a_tag_is_held_out_than_can_be_spared(data: st.DataObject) -> None:
    """And among up to six blocks, no other choice comes nearer to the target."""
    blocks = data.draw(st.integers(0, 6))
    counts = np.array(
        data.draw(
            st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=blocks, max_size=blocks)
        )
    )
    counts = counts.reshape(blocks, 3)
    sizes = counts.max(axis=1, initial=0) + np.array(
        data.draw(st.lists(st.integers(1, 9), min_size=blocks, max_size=blocks)), dtype=int
    )
    spare = np.array(data.draw(st.lists(st.integers(0, 20), min_size=3, max_size=3)))
    target = data.draw(st.integers(0, 30))
    chosen = hold_out(counts, sizes, target, spare, np.random.default_rng(0))
    assert (counts[chosen].sum(axis=0) <= spare).all()
    gaps = [
        abs(sizes[list(choice)].sum() - target)
        for n in range(blocks + 1)
        for choice in itertools.combinations(range(blocks), n)
        if (counts[list(choice)].sum(axis=0) <= spare).all()
    ]
    assert abs(sizes[chosen].sum() - target) == min(gaps)


def _unevenness(counts: np.ndarray, fold: np.ndarray, shares: np.ndarray) -> float:
    every = np.column_stack([counts, np.ones(len(counts), dtype=int)])
    totals = every.sum(axis=0)
    gaps = np.stack([every[fold == f].sum(axis=0) for f in range(len(shares))]) - shares[:, None] * totals
    return float((gaps**2 / np.maximum(totals, 1)).sum())


@pytest.mark.parametrize("seed", range(4))
def test_stratification_is_more_even_than_the_published_algorithm_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = np.array([0.8, 0.1, 0.1])
    # Rare and general tags, the rare ones below the general ones as in a hierarchy.
    leaves = rng.random((600, 40)) < rng.random(40) ** 3 * 0.3
    counts = np.column_stack([leaves, leaves[:, :20].any(axis=1), leaves[:, 20:].any(axis=1)]).astype(int)
    units = TagSets.of_rows(np.arange(600), csr_array(counts), np.ones(600, dtype=int))
    ours = stratify(units, shares, np.random.default_rng(seed))
    theirs = iterative_stratification(counts.astype(bool).tolist(), shares.tolist(), seed)
    chance = _unevenness(counts, rng.choice(3, 600, p=shares), shares)
    assert _unevenness(counts, ours, shares) < _unevenness(counts, np.array(theirs), shares) < chance
    assert np.abs(np.bincount(ours, minlength=3) - shares * 600).max() < 6


def test_units_of_several_images_count_for_all_of_them() -> None:
    counts = csr_array(np.array([[4], [1], [1], [1], [1]]))
    sizes = np.array([4, 1, 1, 1, 1])
    for seed in range(10):
        units = TagSets.of_rows(np.arange(5), counts, sizes)
        fold = stratify(units, [0.5, 0.5], np.random.default_rng(seed))
        assert sizes[fold == 0].sum() == 4


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_units_of_images_have_the_tags_of_all_their_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, tags = int(rng.integers(1, 30)), int(rng.integers(1, 5))
    has = rng.integers(0, 2, (images, tags))
    unit = np.unique(rng.integers(0, images, images), return_inverse=True)[1]
    units = TagSets.of_rows(np.arange(images), csr_array(has), np.ones(images, dtype=int)).units(unit)
    sums = np.array([has[unit == number].sum(axis=0) for number in range(unit.max() + 1)])
    assert (units.has.toarray()[units.of] == sums).all()
    assert (units.sizes[units.of] == np.bincount(unit)).all()
    rows = np.unique(np.column_stack([sums, np.bincount(unit)]), axis=0)
    assert len(np.unique(units.of)) == len(rows)
    assert (units.images() == has.sum(axis=0)).all()
    wanted = rng.integers(0, 2, tags).astype(bool)
    assert (units.having(wanted) == (sums[:, wanted] > 0).any(axis=1)).all()


def test_real_annotations_are_divided_evenly(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "eufcc-340k" / "test_id.csv"
    table = read_table(source)
    assert (len(table), table[PROVIDER].nunique()) == (2633, 120)
    report = write_splits(Root(tmp_path), source, Shares())
    parts = {name: read_table(Root(tmp_path).table(name)) for name in SPLITS}
    check(table, parts, report)
    images = sum(map(len, parts.values()))
    assert all(len(parts[name]) == pytest.approx(0.1 * images, rel=0.1) for name in SPLITS[1:])
    assert len(report.held_out) > 20
    assert report.worst is not None
    assert abs(report.worst.images - report.worst.even) < 12


def _where(root: Root) -> dict[str, str]:
    return {image: split for split in root.splits() for image in read_table(root.table(split))[ID]}


@given(st.integers(0, 50), st.sampled_from([(0.1, 0.1, 0.1), (0.2, 0.1, 0), (0.3, 0.3, 0.2)]))
@settings(max_examples=4)
def test_a_table_that_grows_tenfold_moves_no_test_image(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shares: tuple[float, float, float]
) -> None:
    root = Root(tmp_path_factory.mktemp("root"))
    source, everything = root.path / "harvest.csv", collection(1000, seed)
    tested: dict[str, str] = {}
    learned: set[str] = set()
    for rows, of_seed in ((100, seed), (400, seed + 1), (1000, seed + 2)):
        # The same images in another order, some of them described anew.
        table = everything.iloc[:rows].sample(frac=1, random_state=of_seed)
        table[facet_column("materials")] = table[facet_column("materials")].where(
            np.arange(rows) % 7 > 0, "metall | bronze"
        )
        table.to_csv(source, index=False)
        report = write_splits(root, source, Shares(*shares, min_count=2, seed=of_seed))
        where = _where(root)
        assert {image: split for image, split in where.items() if image in tested} == tested
        assert all(where[image] in ("train", "val") for image in learned)
        frames = {name: read_table(root.table(name)) for name in root.splits()}
        check(table, frames, report)
        if rows > 100:
            new = set(where) - set(tested) - learned
            held = set(report.held_out)
            providers = dict(zip(everything[ID], everything[PROVIDER], strict=True))
            shared_with_tests = {
                image for image in new if where[image].startswith("test") and providers[image] not in held
            }
            addresses = dict(zip(everything[ID], everything[IMAGE_URL], strict=True))
            assert {addresses[image] for image in shared_with_tests} <= {
                addresses[image] for image, split in where.items() if image in tested
            } | {"https://museum.example/shared.jpg"}
        tested = {image: split for image, split in where.items() if split.startswith("test")}
        learned = set(where) - set(tested)


def test_a_test_image_stays_one_though_it_was_away(tmp_path: Path) -> None:
    source, root = tmp_path / "harvest.csv", Root(tmp_path / "root")
    table = collection(400)
    table.to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3))
    before = _where(root)
    gone = [image for image, split in before.items() if split.startswith("test")][::2]
    table[~table[ID].isin(gone)].to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3, seed=3))
    assert not set(gone) & set(_where(root))
    table.to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3, seed=4))
    assert {image: _where(root)[image] for image in gone} == {image: before[image] for image in gone}
    write_splits(root, source, Shares(min_count=3, seed=4), resplit=True)
    assert {image: _where(root)[image] for image in gone} != {image: before[image] for image in gone}


def test_providers_held_out_stay_so_however_they_are_spelled(tmp_path: Path) -> None:
    source, root = tmp_path / "harvest.csv", Root(tmp_path / "root")
    table = collection(400)
    table.to_csv(source, index=False)
    first = write_splits(root, source, Shares(min_count=3))
    held = first.held_out[0]
    assert held in held_out_file(root).read_text().splitlines()
    new = collection(40, seed=9, providers=1)
    new[ID], new[IMAGE_URL] = "new_" + new[ID], ""
    respelled = [held.upper(), f"{held}, Barcelona", f" {held} "]
    new[PROVIDER] = [respelled[i % 3] for i in range(len(new))]
    pd.concat([table, new]).to_csv(source, index=False)
    report = write_splits(root, source, Shares(min_count=3))
    outer = read_table(root.table("test_ood"))
    assert {held.upper(), f" {held} "} <= set(outer[PROVIDER])
    assert f"{held}, Barcelona" not in set(outer[PROVIDER])
    other = Root(tmp_path / "other")
    other.data.mkdir(parents=True)
    held_out_file(other).write_text("# by hand\nMuseu 2\nMuseums 1\n")
    report = write_splits(other, source, Shares(min_count=3))
    assert report.held_out == ["Museu 2"]
    assert report.near_held_out == [("Museu 1", "Museums 1")]


def test_the_images_of_a_record_stay_together(tmp_path: Path) -> None:
    table = collection(300)
    table[RECORD] = [f"record {i // 3}" for i in range(len(table))]
    table[PROVIDER] = "one"
    parts, report = divided(table, Shares(0.2, 0.2, 0, min_count=2))
    check(table, parts, report)
    splits = pd.concat([part.assign(split=name) for name, part in parts.items()])
    assert (splits.groupby(RECORD)["split"].nunique() == 1).all()
    same = np.where(np.arange(300) < 30, 5, -1)
    parts, _ = divided(table.drop(columns=RECORD), Shares(0.3, 0.3, 0, min_count=2), same=[same])
    together = {f"image_{i}" for i in range(30)}
    assert sum(bool(together & set(part[ID])) for part in parts.values()) == 1


def test_a_damaged_list_of_test_images_is_an_error(tmp_path: Path) -> None:
    source, root = tmp_path / "harvest.csv", Root(tmp_path / "root")
    collection(400).to_csv(source, index=False)
    write_splits(root, source, Shares(min_count=3))
    whole = list_of_tests(root).read_bytes()
    cut = whole[: whole.rindex(b"test_") + 3]
    for damaged in (
        b"name\nx\n",
        b"",
        cut,
        whole.replace(b"test_ood", b"train"),
        b"id,record,split\n\xff,a,b\n",
    ):
        list_of_tests(root).write_bytes(damaged)
        with pytest.raises(DataError, match=r"test_images\.csv: not a list of test images"):
            write_splits(root, source, Shares(min_count=3))
    list_of_tests(root).write_bytes(whole)
    write_splits(root, source, Shares(min_count=3))
    assert list_of_tests(root).read_bytes() == whole


@given(st.data())
@settings(max_examples=30)
def test_of_several_splits_of_an_image_or_record_the_first_test_counts(data: st.DataObject) -> None:
    rows = st.lists(st.tuples(*[st.sampled_from("abcdé")] * 2, st.sampled_from(SPLITS)), max_size=8)
    memory, known = SplitMemory(held_out=["Museum 1"]), data.draw(rows)
    for image, record, split in known:
        memory._add(split, pd.DataFrame({ID: [image], RECORD: [record]}, dtype="str"))
    names = st.lists(st.tuples(*[st.sampled_from("abcdéf")] * 2, st.sampled_from(["museum 1", "Museum 2"])))
    new = data.draw(names)

    def expected(image: str, record: str, provider: str) -> int:
        of_image = [split for one, _, split in known if one == image and split.startswith("test")]
        of_record = [split for _, one, split in known if one == record and split.startswith("test")]
        others = [split for one, _, split in known if one == image and split in ("train", "val")]
        held = ["test_ood"] if provider == "museum 1" else []
        places = [*of_image[:1], *of_record[:1], *held, *others[-1:]]
        return SPLITS.index(places[0]) if places else -1

    table = pd.DataFrame(new, columns=[ID, RECORD, PROVIDER], dtype="str")
    assert memory.place(table).tolist() == [expected(*row) for row in new]
