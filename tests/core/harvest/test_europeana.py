"""The harvest of Europeana, against a local server that speaks the real shapes and their faults."""

import csv
import json
import logging
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import CollectError, DataError
from eufcc_cli.core.files import Root, image_id_of, image_stem
from eufcc_cli.core.harvest.aat import Node, Roots
from eufcc_cli.core.harvest.concept_cache import Entity
from eufcc_cli.core.harvest.europeana import Search, image_id, image_url, read_record
from eufcc_cli.core.harvest.harvesting import Harvest, Servers, harvest
from eufcc_cli.core.harvest.mapping import Mapper, tag_name
from eufcc_cli.core.harvest.rows import COLUMNS
from eufcc_cli.core.taxonomy.linked_data.concepts import read_uris
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column, names, paths
from tests.servers import catalogue
from tests.servers.europe import Europe, europe
from tests.servers.europeana import KEY

RECORDS = 250
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Europe]:
    with europe(RECORDS, tmp_path_factory.mktemp("files")) as running:
        yield running


@pytest.fixture
def collect(server: Europe, tmp_path: Path) -> Callable[..., Harvest]:
    """Harvest by keywords into data/europeana.csv of a root of the test's own."""
    server.forget()
    base = server.base
    servers = Servers(
        f"{base}/record/v2", f"{base}/entity", f"{base}/sparql.json", f"{base}/thumbnail/v2/url.json"
    )

    def run(*keywords: str, key: str = KEY, output: str = "data/europeana.csv", **options: Any) -> Harvest:
        filters = {name: options.pop(name) for name in ("theme", "reusability") if name in options}
        search = Search(keywords, **filters)
        return harvest(Root(tmp_path), search, key, tmp_path / output, servers=servers, **options)

    return run


def rows(done: Harvest) -> Rows:
    return read_table(done.output).to_dict("records")  # type: ignore[return-value]


def test_a_harvest_says_what_the_records_say(collect: Callable[..., Harvest], tmp_path: Path) -> None:
    done = collect("all", unmapped=tmp_path / "unmapped.csv")
    table = rows(done)
    assert tuple(table[0]) == COLUMNS
    assert len(table) == done.images == RECORDS - 2
    assert done.failed == {
        catalogue.record(number).id: "Europeana no longer has it (404)" for number in (97, 194)
    }
    english = {
        10: "metal | copper alloy | bronze",
        11: "metal | silver (metal)",
        12: "paper (fiber product)",
        13: "plant material | wood (plant material)",
        20: "paintings (visual works)",
        21: "prints (visual works) | etchings (prints)",
        22: "medals",
        23: "containers (receptacles) | vases",
        30: "numismatics",
        31: "archaeology",
        40: "portraits",
        41: "landscapes (representations)",
        None: "",
    }
    for row in table:
        record = catalogue.record(int(row["europeanaId"][-6:]))
        speaks = record.number % 11 != 0
        by_word = record.number % 7 == 0 and record.number % 13 and record.number % 17
        assert row["idInSource"] == record.id.strip("/").replace("/", "-")
        assert row[facet_column("objectTypes")] == (english[record.type] if speaks else "")
        if record.number % 13 == 0:
            assert row[facet_column("materials")] == english[record.material]
        else:
            assert row[facet_column("materials")] == (
                english[record.material] if speaks and not by_word else ""
            )
        assert row[facet_column("classifications")] == (english[record.discipline] if speaks else "")
        assert row[facet_column("subjects")] == (english[record.subject] if speaks else "")
        assert row["repository.keeper"] == record.provider
        assert row["database"] == "EUROPEANA"
        assert row["rights"] == record.rights
        assert row["keyword"] == "all"
        assert row["title"] == writable(record.title)
        assert row["attribution"] == writable(f"{record.title} - {record.provider} - {record.rights}")
        assert row["#portraitMedia.original"].endswith(f"-{record.number}.jpg&type=IMAGE")
    with (tmp_path / "unmapped.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["concept"]: row for row in csv.DictReader(file)}
    assert {listed[catalogue.uri(n)]["reason"] for n in catalogue.STRAY} == {
        "no root of subjects or classifications above it",
        "no exact match in AAT",
        "its broader concepts form a loop",
        "Europeana does not know it",
        "AAT does not know it",
    }
    strays = Counter(
        record.stray
        for record in map(catalogue.record, range(1, RECORDS + 1))
        if record.number % 11 and record.number % 97
    )
    assert {n: int(listed[catalogue.uri(n)]["records"]) for n in catalogue.STRAY} == {
        n: strays[n] for n in catalogue.STRAY
    }


def writable(text: str) -> str:
    """A text as a UTF-8 file can hold it on one line."""
    kept = ("\ufffd" if "\ud800" <= c <= "\udfff" else " " if c in "\x00\x85\u2028" else c for c in text)
    return " ".join("".join(kept).split())


def test_the_concept_of_every_tag_is_kept(collect: Callable[..., Harvest], tmp_path: Path) -> None:
    done = collect("all")
    uris = read_uris(Root(tmp_path).concepts)
    assert uris["materials"]["bronze"] == "http://vocab.getty.edu/aat/300010957"
    table = read_table(done.output)
    for facet in FACETS:
        assert {name for text in table[facet_column(facet)] for name in names(text)} == set(uris[facet])


def test_rights_and_attribution_stand_beside_the_data(collect: Callable[..., Harvest]) -> None:
    table = rows(collect("medal"))
    text = Path(table and collect("medal").output).with_name("europeana.attribution.md").read_text()
    assert "ODC Attribution License" in text
    providers = Counter(row["repository.keeper"] for row in table)
    for provider, images in providers.items():
        assert f"- {provider}: {images} image" in text


def test_the_key_goes_to_europeana_alone_and_comes_back_nowhere(
    collect: Callable[..., Harvest], server: Europe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        collect("all", limit=30)
        collect("elsewhere", output="data/other.csv", limit=30)
    assert server.log()["keys"] == ["entity", "record"]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["", "  "])
def test_without_a_key_nothing_is_asked(collect: Callable[..., Harvest], server: Europe, key: str) -> None:
    with pytest.raises(CollectError, match="no Europeana API key") as caught:
        collect("all", key=key)
    assert "https://apis.europeana.eu" in (caught.value.hint or "")
    assert server.count() == 0


def test_a_wrong_key_is_told_without_telling_it(collect: Callable[..., Harvest]) -> None:
    with pytest.raises(CollectError, match="the API key is not accepted") as caught:
        collect("all", key="another/key+")
    assert "another" not in str(caught.value)
    assert "***" in str(caught.value)
    assert "EUROPEANA_API_KEY" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("keyword", "said"),
    [("bad query", "Invalid query parameter: bad query"), ("bad theme", "Bad Request: Theme x is not known")],
)
def test_both_kinds_of_error_bodies_are_told(
    collect: Callable[..., Harvest], keyword: str, said: str
) -> None:
    with pytest.raises(
        CollectError, match=f"rejects the search for {keyword}: Europeana answered 400: {said}"
    ):
        collect(keyword)


@pytest.mark.parametrize(
    "keyword", ["limited", "limited by header", "down", "cut in the middle", "torn", "expiring"]
)
def test_what_passes_is_waited_for(collect: Callable[..., Harvest], server: Europe, keyword: str) -> None:
    began = time.monotonic()
    found = {row["europeanaId"] for row in rows(collect(keyword, shallow=True))}
    if "limited" in keyword:
        assert time.monotonic() - began >= 1
    assert found == _expected(keyword)


def test_a_used_up_limit_is_heeded_before_it_is_refused(
    collect: Callable[..., Harvest], server: Europe
) -> None:
    began = time.monotonic()
    collect("last request", shallow=True)
    pages = sum("search.json" in target for target in server.log()["asked"])
    assert time.monotonic() - began >= pages - 1
    assert pages > 1


def test_a_limit_that_lasts_too_long_ends_the_harvest_with_a_sentence(
    collect: Callable[..., Harvest],
) -> None:
    with pytest.raises(CollectError, match="the limit of requests is reached") as caught:
        collect("day limit")
    assert "again later to resume" in (caught.value.hint or "")


@pytest.mark.parametrize("keyword", ["empty last page", "plain"])
def test_the_results_end_where_they_end(collect: Callable[..., Harvest], keyword: str) -> None:
    assert {row["europeanaId"] for row in rows(collect(keyword, shallow=True))} == _expected(keyword)


@pytest.mark.parametrize(("keyword", "pages"), [("repeating", 2), ("going round", 3), ("all", 3)])
def test_a_cursor_that_was_there_before_ends_the_search(
    collect: Callable[..., Harvest], server: Europe, keyword: str, pages: int
) -> None:
    collect(keyword, shallow=True)
    asked = {target: times for target, times in server.log()["asked"].items() if "search.json" in target}
    assert list(asked.values()) == [1] * pages


def test_a_search_that_ends_too_early_is_told(
    collect: Callable[..., Harvest], caplog: pytest.LogCaptureFixture
) -> None:
    collect("early", shallow=True)
    assert "early: Europeana repeated a page; 100 of 125 results could be read" in caplog.text


def test_a_search_without_results_is_told(collect: Callable[..., Harvest], tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="Europeana has no picture for nothing"):
        collect("nothing")
    assert not (tmp_path / "data/europeana.csv").exists()


def _expected(keyword: str) -> set[str]:
    from tests.servers.europeana import Server

    server = Server(RECORDS, Path())
    return {catalogue.record(number).id for number in server._found(keyword)}


def test_a_record_found_by_several_keywords_is_kept_once(collect: Callable[..., Harvest]) -> None:
    one, other = "medal", "textile"
    assert _expected(one) & _expected(other)
    table = rows(collect(one, other, shallow=True))
    ids = [row["europeanaId"] for row in table]
    assert len(ids) == len(set(ids))
    assert set(ids) == _expected(one) | _expected(other)
    assert all(row["europeanaId"] in _expected(row["keyword"]) for row in table)


def test_a_limit_is_shared_among_keywords_and_can_be_raised(
    collect: Callable[..., Harvest], server: Europe
) -> None:
    first = collect("all", "medal", limit=120)
    table = rows(first)
    assert len(table) + len(first.failed) == 120
    assert {row["keyword"] for row in table} == {"all", "medal"}
    server.forget()
    second = collect("all", "medal", limit=140)
    more = rows(second)
    assert more[: len(table)] == table
    assert len(more) + len(second.failed) == 140
    assert max(server.log()["asked"].values()) == 1
    assert sum("Item_" in target for target in server.log()["asked"]) == 20


def test_a_shallow_harvest_takes_facets_from_the_branches(
    collect: Callable[..., Harvest], server: Europe
) -> None:
    done = collect("all", shallow=True)
    assert not any("Item_" in target for target in server.log()["asked"])
    for row in rows(done):
        record = catalogue.record(int(row["europeanaId"][-6:]))
        told = {facet for facet in FACETS if row[facet_column(facet)]}
        expected = {"objectTypes", "materials"} if record.number % 11 else set()
        if record.number % 11:
            expected |= {"classifications"} if record.discipline else set()
            expected |= {"subjects"} if record.subject else set()
        assert told == expected


def test_every_concept_is_asked_for_once_whatever_the_harvest(
    collect: Callable[..., Harvest], server: Europe
) -> None:
    collect("all")
    collect("medal", output="data/other.csv")
    asked = server.log()["asked"]
    entities = {target: times for target, times in asked.items() if "/entity/" in target}
    assert set(entities.values()) == {1}
    assert {int(target.split("/")[-1].removesuffix(".json")) for target in entities} == {
        *catalogue.MATERIALS,
        *catalogue.TYPES,
        *catalogue.DISCIPLINES,
        *catalogue.SUBJECTS,
        *catalogue.STRAY,
    }
    wanted = Counter(
        aat for target, times in asked.items() if "sparql" in target for aat in _ids(target) * times
    )
    assert set(wanted.values()) == {1}
    assert set(wanted) <= set(catalogue.NODES) | {"300999999"}


def _ids(target: str) -> list[str]:
    import re

    return re.findall(r"aat%3A(\d+)", target)


def test_another_language_or_other_roots_cost_no_request(
    collect: Callable[..., Harvest], server: Europe, tmp_path: Path
) -> None:
    collect("all")
    server.forget()
    done = collect("all", language="ca")
    catalan = rows(done)
    told = [name for facet in FACETS for name in _tags(catalan, facet)]
    assert done.foreign_names == len([name for name in told if name not in _CATALAN])
    assert _tags(catalan, "materials") == {
        *("metal", "copper alloy", "Bronze", "Argent", "Paper", "plant material", "Fusta")
    }
    dutch = rows(collect("all", language="nl"))
    assert {"metaal", "brons", "papier", "copper alloy"} <= _tags(dutch, "materials")
    chinese = rows(collect("all", language="zh"))
    assert "木 ｜ ＄ 材" in _tags(chinese, "materials")
    assert "花瓶" in _tags(chinese, "objectTypes")
    roots = tmp_path / "roots.json"
    roots.write_text(json.dumps({"facets": {"materials": [{"id": "300010357", "starts": "below"}]}}))
    mine = rows(collect("all", roots=roots))
    assert any(
        row[facet_column("materials")]
        == "materials (substances) | inorganic material | metal | copper alloy | bronze"
        for row in mine
    )
    assert not _tags(mine, "objectTypes")
    assert server.count() == 0


_CATALAN = {labels["ca"] for labels, _ in catalogue.ENTITIES.values() if "ca" in labels}


def _tags(table: Rows, facet: str) -> set[str]:
    return {name for row in table for path in paths(row[facet_column(facet)]) for name in path}


def test_words_are_matched_with_labels_only_when_asked_to(collect: Callable[..., Harvest]) -> None:
    plain = collect("all")
    without = rows(plain)
    matched = collect("all", match_labels=True)
    assert plain.literals == matched.literals > 0
    for before, after in zip(without, rows(matched), strict=True):
        number = int(before["europeanaId"][-6:])
        if number % 7 == 0 and number % 13 and number % 11 and number % 17:
            assert before[facet_column("materials")] == ""
            leaf = after[facet_column("materials")].rpartition(" | ")[2]
            assert (
                leaf.partition(" ")[0]
                == {10: "bronze", 11: "silver", 12: "paper", 13: "wood"}[catalogue.record(number).material]
            )
        else:
            assert before == after
    reasons = {(each.value, each.reason) for each in matched.unmapped if not each.value.startswith("http")}
    assert ("Digitaal fotobestand", "no concept bears this label") in reasons
    assert ("kustwacht", "no concept bears this label") in reasons


def test_another_search_does_not_overwrite_a_harvest(collect: Callable[..., Harvest], tmp_path: Path) -> None:
    before = collect("medal", shallow=True).output.read_bytes()
    for change in ({"theme": "art"}, {"reusability": "all"}):
        with pytest.raises(CollectError, match="holds a harvest with other keywords or filters"):
            collect("medal", shallow=True, **change)
    with pytest.raises(CollectError, match="holds a harvest"):
        collect("textile", shallow=True)
    assert (tmp_path / "data/europeana.csv").read_bytes() == before
    assert {row["keyword"] for row in rows(collect("textile", shallow=True, force=True))} == {"textile"}


def test_a_search_that_was_refused_or_found_nothing_gives_way(collect: Callable[..., Harvest]) -> None:
    for keyword in ("bad theme", "nothing"):
        with pytest.raises(CollectError):
            collect(keyword)
    assert rows(collect("medal", shallow=True))


def test_a_table_of_the_users_own_is_not_overwritten(collect: Callable[..., Harvest], tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(CollectError, match="is not a harvest"):
        collect("medal", output="mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("file", ["europeana.harvest.sqlite", "concepts.sqlite"])
def test_a_damaged_checkpoint_is_named(collect: Callable[..., Harvest], tmp_path: Path, file: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / file).write_text("no database " * 100)
    with pytest.raises(CollectError, match=f"{file}: not a usable"):
        collect("medal")


def test_bad_input_costs_no_request(collect: Callable[..., Harvest], server: Europe, tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="a keyword is empty"):
        collect("medal", " ")
    with pytest.raises(CollectError, match="`reusability` free is not known"):
        collect("medal", reusability="free")
    with pytest.raises(CollectError, match="`lang` english! is not a language code"):
        collect("medal", language="english!")
    with pytest.raises(DataError, match="`roots`"):
        collect("medal", roots=tmp_path / "none.json")
    assert server.count() == 0


def test_filters_become_parameters() -> None:
    search = Search(("medal",), "art", "all", ('The "Old" Museum', "B"), ("Norway",))
    asked = search.parameters("medal", "AoE=")
    assert ("qf", 'DATA_PROVIDER:("The \\"Old\\" Museum" OR "B")') in asked
    assert ("qf", 'COUNTRY:("Norway")') in asked
    assert ("theme", "art") in asked
    assert ("cursor", "AoE=") in asked
    assert "reusability" not in dict(asked)
    assert ("reusability", "open") in Search(("medal",)).parameters("medal", "*")


def test_records_in_odd_shapes_are_read_as_far_as_they_go() -> None:
    record = read_record(
        {
            "object": {
                "proxies": [{"dcType": "no language map"}, None, {"dcType": {"EN": "one string"}}],
                "aggregations": [
                    {"edmDataProvider": {"def": ["http://organization/1"]}, "webResources": None}
                ],
                "organizations": [
                    {"about": "http://organization/1", "prefLabel": {"nl": ["Naam"], "en": ["Name"]}}
                ],
                "concepts": [{"prefLabel": {}}, {"about": "http://c/1", "exactMatch": "http://c/2"}],
            }
        }
    )
    assert record["values"] == {"dcType": [["def", "no language map"], ["en", "one string"]]}
    assert record["provider"] == "Name"
    assert record["concepts"] == {"http://c/1": {"labels": {}, "exactMatch": ["http://c/2"]}}
    assert record["attribution"] == record["rights"] == ""
    with pytest.raises(CollectError, match="has no record"):
        read_record({"object": None})
    assert image_url({"preview": "", "shownBy": ""}, {}) == ""


@given(
    st.lists(st.text(min_size=1).filter(lambda text: text.strip("/")), min_size=2, max_size=2, unique=True)
)
def test_ids_are_file_names_of_their_own(ids: list[str]) -> None:
    one, other = (image_id("/" + text.strip("/")) for text in ids)
    assert (one == other) == (ids[0].strip("/") == ids[1].strip("/"))
    assert "/" not in one
    assert image_id_of(image_stem(one)) == one


@given(st.text())
def test_a_tags_name_survives_the_published_format(label: str) -> None:
    name = tag_name({"en": [label]}, "en")
    assert paths(name) == ([(name,)] if name else [])
    assert paths(f"{name} | {name} $ {name}") == ([(name, name), (name,)] if name else [])


def test_two_concepts_of_a_facet_never_share_a_name() -> None:
    nodes = {
        "300264091": Node("Facet"),
        "300000001": Node("Concept", "300264091", {"en": ["glaze"]}),
        "300000002": Node("Concept", "300264091", {"en": ["glaze"]}),
        "300000003": Node("Concept", "300264091", {}),
    }
    concepts = SimpleNamespace(entities={"http://data.europeana.eu/concept/1": Entity()}, nodes=nodes)
    mapper = Mapper(concepts, Roots.read(), "en")  # type: ignore[arg-type]
    for number in (1, 2, 3):
        mapper.add({"concepts": [f"http://vocab.getty.edu/aat/30000000{number}"]}, None)
    assert [annotation["materials"] for annotation in mapper.annotations()] == [
        [("glaze (AAT 300000001)",)],
        [("glaze (AAT 300000002)",)],
        [("AAT 300000003",)],
    ]


def test_a_harvest_interrupted_three_times_equals_one_that_was_not(
    tmp_path: Path, eufcc_command: str
) -> None:
    """2,500 records; killed while searching, killed while reading records, stopped by Ctrl-C."""
    with europe(2500, tmp_path) as server:
        environment = os.environ | server.environment
        whole, broken = tmp_path / "whole", tmp_path / "broken"

        def start(root: Path) -> "subprocess.Popen[str]":
            command = [eufcc_command, "--root", str(root), "fetch", "europeana", "all", "medal"]
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        def end(process: "subprocess.Popen[str]") -> int:
            process.communicate(timeout=200)
            return process.returncode

        def interrupt(after: int, how: signal.Signals) -> int:
            server.answer(after)  # so that it has not ended before it is interrupted
            already = server.count()
            process = start(broken)
            while server.count() - already < after and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(how)
            code = end(process)
            server.answer(float("inf"))
            return code

        assert interrupt(20, signal.SIGKILL) == -signal.SIGKILL
        assert not (broken / "data/europeana.csv").exists()
        assert interrupt(700, signal.SIGKILL) == -signal.SIGKILL
        assert interrupt(700, signal.SIGINT) == 130
        with sqlite3.connect(broken / "data/europeana.harvest.sqlite") as store:
            (read,) = store.execute("SELECT count(*) FROM records WHERE record IS NOT NULL").fetchone()
        assert 0 < read < 2400
        assert end(start(broken)) == 3  # some records are gone
        interrupted = server.count()
        server.forget()
        assert end(start(whole)) == 3
        # What was under way when it was interrupted is all that was asked for again.
        assert interrupted - server.count() <= 3 * 5
        for name in ("europeana.csv", "europeana.attribution.md"):
            assert (broken / "data" / name).read_bytes() == (whole / "data" / name).read_bytes()
        assert len(read_table(whole / "data/europeana.csv")) == 2500 - 2500 // 97
