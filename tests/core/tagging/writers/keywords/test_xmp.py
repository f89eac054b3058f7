"""XMP packets of other programs: what is theirs stays, ours is replaced; read by ElementTree."""

import contextlib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.writers.keywords.xmp import Packet, Terms
from tests.core.tagging.writers.keywords.foreign import KEYWORDS, LIGHTROOM, PROGRAMS

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
PATHS = "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject"
BRONZE = Suggestion("bronze", ("metal", "bronze"), 0.9)
METAL = Suggestion("metal", ("metal",), 0.95)


def parsed(content: bytes) -> ET.Element:
    encoding = "utf-16" if content[:2] == b"\xff\xfe" else "utf-8"
    text = content.decode(encoding)
    return ET.fromstring(text[text.index("<x:xmpmeta") :].split("<?xpacket end")[0])


def bag(content: bytes, name: str) -> list[str]:
    return [item.text or "" for item in parsed(content).iterfind(f".//{name}/{RDF}Bag/{RDF}li")]


def rest(content: bytes, ours: set[str]) -> str:
    """Canonical XML of all that is not ours: keywords in `ours`, and our own namespace."""
    root = parsed(content)
    for parent in list(root.iter()):
        for child in list(parent):
            inside = list(child.iter(f"{RDF}li"))
            is_ours = child.tag.startswith("{urn:eufcc") or (child.tag == f"{RDF}li" and child.text in ours)
            if is_ours or (child.tag in (SUBJECT, PATHS) and all(item.text in ours for item in inside)):
                parent.remove(child)
    rdf = next(root.iter(f"{RDF}RDF"))
    for description in rdf.findall(f"{RDF}Description"):
        if not len(description) and len(description.attrib) <= 1:
            rdf.remove(description)
    return ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)


def terms(*names: str) -> Terms:
    tags = [Suggestion(name, ("top", name), 0.5) for name in names]
    return Terms.of({"materials": tags}, "eufcc test", "2026-11-26T10:00:00Z")


def test_a_fresh_packet_holds_names_and_paths_below_their_facet() -> None:
    packet = Packet()
    packet.put(Terms.of({"materials": [METAL, BRONZE]}, "origin", "date", ["Ann <A>"]))
    content = packet.content()
    assert bag(content, SUBJECT) == ["metal", "bronze"]
    assert bag(content, PATHS) == ["materials|metal", "materials|metal|bronze"]
    assert bag(content, "{http://purl.org/dc/elements/1.1/}contributor") == ["Ann <A>"]
    assert Packet(content).origin == "origin"


def test_names_in_another_language_and_separators_within_a_name() -> None:
    tag = Suggestion("fusta", ("a|b", "fusta"), 0.5, names=("a|b", "wood"))
    found = Terms.of({"materials": [tag]}, "o", "d")
    assert (found.subjects, found.paths) == (("wood",), ("materials|a｜b|wood",))


@pytest.mark.parametrize("program", PROGRAMS)
def test_ten_runs_leave_what_other_programs_wrote(program: str) -> None:
    content = original = PROGRAMS[program]
    runs = [("bronze", "metal"), ("silk",), (), ("metal",), ("bronze",)] * 2
    for names in runs:
        packet = Packet(content)
        packet.put(terms(*names))
        content = packet.content()
        theirs = KEYWORDS[program]
        assert sorted(bag(content, SUBJECT)) == sorted({*theirs, *names})
        ours = {"bronze", "metal", "silk"} - {*theirs} | {f"materials|top|{name}" for name in names}
        assert rest(content, ours) == rest(original, ours)
    again = Packet(content)
    again.put(terms("bronze"))
    assert again.content() == content  # nothing grows
    body = original.rindex(b"<") if program != "digikam" else original.rindex("<".encode("utf-16-le"))
    assert content.endswith(original[body:])
    if program == "lightroom":
        assert content.count(b" " * 100 + b"\n") == 20  # the packet's padding


_KEYWORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8)


@given(
    st.lists(_KEYWORD, max_size=4, unique=True),
    st.lists(st.lists(_KEYWORD, max_size=4, unique=True), min_size=1, max_size=10),
    st.sampled_from(["utf-8", "utf-16-le"]),
)
def test_any_keywords_of_others_stay(theirs: list[str], runs: list[list[str]], encoding: str) -> None:
    root = ET.fromstring(LIGHTROOM.decode()[LIGHTROOM.decode().index("<x:xmpmeta") :].split("<?xpacket")[0])
    items = root.find(f".//{SUBJECT}/{RDF}Bag")
    assert items is not None
    for item in list(items):
        items.remove(item)
    for keyword in theirs:
        ET.SubElement(items, f"{RDF}li").text = keyword
    text = ET.tostring(root, encoding="unicode").replace("ns0:", "x:").replace("xmlns:ns0", "xmlns:x")
    content = original = ("\ufeff" if encoding != "utf-8" else "").encode(encoding) + text.encode(encoding)
    for names in runs:
        packet = Packet(content)
        packet.put(terms(*names))
        content = packet.content()
        assert sorted(bag(content, SUBJECT)) == sorted({*theirs, *names})
        ours = {*names} - {*theirs} | {f"materials|top|{name.replace('|', '｜')}" for name in names}
        assert rest(content, ours) == rest(original, ours)


def test_a_keyword_as_attribute_or_text_becomes_an_item() -> None:
    for given_as in ('dc:subject="old"/>', "><dc:subject>old</dc:subject></rdf:Description>"):
        content = (
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF[1:-1]}"><rdf:Description '
            f'rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" {given_as}</rdf:RDF></x:xmpmeta>'
        ).encode()
        packet = Packet(content)
        packet.put(terms("new"))
        assert bag(packet.content(), SUBJECT) == ["old", "new"]


def test_marks_are_found_where_another_program_moved_them() -> None:
    """libexiv2 and Adobe's toolkit write all properties into one description, simple ones as attributes."""
    packet = Packet(LIGHTROOM)
    packet.put(terms("silk"))
    text = packet.content().decode()
    own = text[text.rindex("  <rdf:Description") : text.rindex("</rdf:Description>")]
    inner = own[own.index(">") + 1 :]
    text = text.replace(own + "</rdf:Description>\n", "")
    text = text.replace("   <dc:title>", f"{inner}   <dc:title>").replace(
        'xmp:Rating="4"', 'xmp:Rating="4" xmlns:eufcc="urn:eufcc:xmp:1.0/"'
    )
    moved = Packet(text.encode())
    assert moved.origin == "eufcc test"
    moved.put(terms("gold"))
    assert bag(moved.content(), SUBJECT) == ["bronze", "Sommer & Winter", "gold"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no XML"),
        (b"hello", "no XML"),
        (b"<html><body/></html>", "first element is html"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta xmlns:x="adobe:ns:meta/"/>', "DOCTYPE"),
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF></x:xmpmeta>', "cannot be read"),
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/">', "end is missing"),
        (b'<?xml version="1.0" encoding="nonsense"?><x/>', "cannot be read"),
        (b"\xff\xfe<", "cannot be read"),
        (b"<a>" * 2000 + b"</a>" * 2000, "cannot be read"),
    ],
)
def test_what_is_no_xmp_is_left_alone(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        Packet(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(content: bytes) -> None:
    with contextlib.suppress(ImageError):
        Packet(content).put(terms("x"))


def test_control_characters_do_not_break_the_packet(tmp_path: Path) -> None:
    packet = Packet()
    packet.put(terms("a\x00b"))
    assert bag(packet.content(), SUBJECT) == ["a\ufffdb"]
