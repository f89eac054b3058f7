"""The canvases of an IIIF manifest or collection as images to tag, each no larger than the network needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from eufcc_cli.core.download.prefetch import Fetcher
from eufcc_cli.core.harvest.iiif.pictures import fetch_picture
from eufcc_cli.core.harvest.iiif.presentation import Canvas, Manifest, looks_like_document
from eufcc_cli.core.harvest.iiif.walk import Broken, walk
from eufcc_cli.core.http.politeness import FetchError
from eufcc_cli.core.tagging.inputs import Input, fail


@dataclass(frozen=True)
class Canvases:
    """The images at an IIIF URL; `short_side`: the pixels that the network needs of the shorter side."""

    fetcher: Fetcher
    short_side: int
    language: str | None = None
    """The language of labels, where a manifest has them in several."""

    def __call__(self, url: str) -> Iterator[Input]:
        """One input for each canvas, in order.

        A document that cannot be used becomes an input whose source raises the reason; a URL that turns out
        to be an image's becomes that image.
        """
        first = self.fetcher.document(url)
        try:
            content = first()
        except FetchError as error:
            yield _broken(url, f"cannot fetch: {error}")
            return
        if not looks_like_document(content):
            yield Input(url, lambda: content, url)
            return

        def start(address: str) -> Callable[[], bytes]:
            return (lambda: content) if address == url else self.fetcher.document(address)

        for found in walk(url, start):
            if isinstance(found, Broken):
                yield _broken(found.url, found.reason)
            elif not found.canvases:
                yield _broken(found.id, "the manifest has no canvas")
            else:
                yield from (self._input(found, canvas) for canvas in found.canvases)

    def _input(self, manifest: Manifest, canvas: Canvas) -> Input:
        labels = [manifest.label.text(self.language)]
        if len(manifest.canvases) > 1:
            labels.append(canvas.label.text(self.language))
        label = ": ".join(filter(None, labels))
        if canvas.picture is None:
            no_image = partial(fail, "no image is painted on the canvas")
            return Input(canvas.id, no_image, canvas.id, canvas=canvas.id, label=label)
        picture = canvas.picture
        source = self.fetcher.by(lambda get: fetch_picture(picture, self.short_side, get))
        return Input(picture.url, source, canvas.id, canvas=canvas.id, label=label)


def _broken(url: str, reason: str) -> Input:
    return Input(url, partial(fail, reason), url)
