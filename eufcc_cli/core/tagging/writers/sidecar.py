"""Suggestions as XMP sidecar files, which photo and collection management programs read as keywords."""

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from eufcc_cli import __version__
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.files import image_stem, write_text
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.tagger import Result

_TOOL = "eufcc"

_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk={tool}>
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmp:CreatorTool={model}
    xmp:MetadataDate={date}>
   <dc:subject>
    <rdf:Bag>
{subjects}
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
{paths}
    </rdf:Bag>
   </lr:hierarchicalSubject>
{contributors}  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""

_CONTRIBUTORS = """\
   <dc:contributor>
    <rdf:Bag>
{people}
    </rdf:Bag>
   </dc:contributor>
"""


def sidecar_path(item: Input, folder: Path | None) -> Path:
    """`photo.jpg.xmp` beside the image, or at the image's path below a folder.

    Raises ImageError for an address without a folder: it has no place for a file beside it.
    """
    if item.path is None:
        if item.row is not None:
            raise ImageError("not downloaded: `eufcc download` gets it")
        if folder is None:
            raise ImageError("an address has no place for a sidecar: give `output=FOLDER`")
        return folder / f"{image_stem(item.iri)}.xmp"
    beside = item.path.with_name(f"{item.path.name}.xmp")
    if folder is None:
        return beside
    if ".." in beside.parts:
        beside = beside.resolve()
    return folder / beside.relative_to(beside.anchor)


def is_ours(path: Path) -> bool:
    """True for a sidecar that eufcc wrote, which it may therefore replace."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return f'x:xmptk="{_TOOL} ' in file.read(1000)
    except OSError:
        return False


def creator(model: str, digest: str, asked: str) -> str:
    """What a sidecar says of its origin: the model, and a digest of all that was asked for."""
    return f"{_TOOL} {__version__}, model {model}, SHA-256 {digest}, choice {asked}"


def is_current(path: Path, item: Input, creator: str) -> bool:
    """True for a sidecar of this origin that is not older than its image."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            same = f"xmp:CreatorTool={quoteattr(creator)}" in file.read(4000)
        return same and (item.path is None or item.path.stat().st_mtime <= path.stat().st_mtime)
    except OSError:
        return False


def write_sidecar(
    path: Path, result: Result, creator: str, date: str, contributors: Iterable[str] = ()
) -> None:
    """Write an image's suggestions as dc:subject and lr:hierarchicalSubject, whole or not at all.

    contributors: the people who decided about them (dc:contributor).
    """
    people = _items(contributors)
    tags = [tag for tags in result.tags.values() for tag in tags]
    content = _XMP.format(
        tool=quoteattr(f"{_TOOL} {__version__}"),
        model=quoteattr(creator),
        date=quoteattr(date),
        subjects=_items(tag.tag for tag in tags),
        paths=_items("|".join(tag.path) for tag in tags),
        contributors=_CONTRIBUTORS.format(people=people) if people else "",
    )
    write_text(path, content)


def _items(values: Iterable[str]) -> str:
    return "\n".join(f"     <rdf:li>{escape(value)}</rdf:li>" for value in dict.fromkeys(values))
