"""Independent readers of XMP: libexiv2 and ExifTool."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest


def exiftool(path: Path) -> tuple[list[str], list[str]]:
    """Keywords and their paths as ExifTool reads them; skips, saying so, where it is not installed."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    command = ["exiftool", "-j", "-XMP-dc:Subject", "-XMP-lr:HierarchicalSubject", "-Warning", str(path)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found.get("Warning", "") in ("", "Superfluous BOM at start of XMP")  # of UTF-16 with a packet
    values = [found.get(name, []) for name in ("Subject", "HierarchicalSubject")]
    first, second = ([one] if isinstance(one, str) else one for one in values)
    return first, second


def libexiv2(path: Path) -> tuple[list[str], list[str]]:
    """The same as libexiv2 reads them."""
    import exiv2

    image = exiv2.ImageFactory.open(path.read_bytes())
    image.readMetadata()
    found = {one.key(): one.value() for one in image.xmpData()}
    names = ("Xmp.dc.subject", "Xmp.lr.hierarchicalSubject")
    first, second = ([str(one) for one in found[name]] if name in found else [] for name in names)
    return first, second
