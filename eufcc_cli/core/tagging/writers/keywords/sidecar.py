"""Terms in XMP sidecar files, which photo and collection management programs read as keywords."""

import os
from pathlib import Path
from typing import Protocol

from eufcc_cli import __version__
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.files import image_stem, write_bytes
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.formats import SidecarName
from eufcc_cli.core.tagging.writers.keywords.xmp import MOST_BYTES, Packet, Terms


class KeywordPlace(Protocol):
    """A place for the keywords of an image: a file beside it, or the image itself."""

    def path(self, item: Input) -> Path:
        """The file for them; ImageError if there can be none."""

    def origin(self, path: Path) -> str | None:
        """The origin of our terms in the file, None without any; ImageError if it is not XMP."""

    def is_current(self, path: Path, item: Input, origin: str) -> bool:
        """True if the file already holds terms of this origin."""

    def write(self, path: Path, terms: Terms) -> None:
        """Replace our terms in the file, whole or not at all; ImageError if it cannot hold them."""


class Sidecars:
    """XMP files beside the images, or at the images' paths below a folder."""

    def __init__(self, folder: Path | None = None, name: SidecarName | None = None) -> None:
        """name: where None, the one that exists, else `photo.jpg.xmp`."""
        self._folder = folder
        self._name = name
        self._images: dict[Path, Path] = {}

    def path(self, item: Input) -> Path:
        if item.path is None:
            if item.row is not None:
                raise ImageError("not downloaded: `eufcc download` gets it")
            if self._folder is None:
                raise ImageError("an image on the web cannot have a sidecar beside it: give `output=FOLDER`")
            return self._folder / f"{image_stem(item.iri)}.xmp"
        image = item.path
        if self._folder is not None:
            if ".." in image.parts:
                image = image.resolve()
            image = self._folder / image.relative_to(image.anchor)
        path = self._named(image)
        if path.stem != image.name and self._images.setdefault(path, item.path) != item.path:
            raise ImageError(
                f"{path} is the sidecar of {self._images[path]} as well: `sidecar_name={SidecarName.full}` "
                "gives each its own"
            )
        return path

    def _named(self, image: Path) -> Path:
        full, stem = image.with_name(f"{image.name}.xmp"), image.with_suffix(".xmp")
        if self._name == SidecarName.stem:
            return stem
        if self._name is None and os.path.lexists(stem) and not os.path.lexists(full):
            return stem
        return full

    def origin(self, path: Path) -> str | None:
        return None if (packet := _read(path)) is None else packet.origin

    def is_current(self, path: Path, item: Input, origin: str) -> bool:
        if self.origin(path) != origin:
            return False
        return item.path is None or item.path.stat().st_mtime <= path.stat().st_mtime

    def write(self, path: Path, terms: Terms) -> None:
        packet = _read(path) or Packet()
        packet.put(terms)
        write_bytes(path, packet.content())


def _read(path: Path) -> Packet | None:
    try:
        with path.open("rb") as file:
            return Packet(file.read(MOST_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}; it is left as it is") from error


def creator(model: str, digest: str, asked: str) -> str:
    """The origin of terms: the model, and a digest of the options that terms depend on."""
    return f"eufcc {__version__}, model {model}, SHA-256 {digest}, choice {asked}"
