"""An IIIF server of this machine: Presentation 2 and 3, Image API 2 and 3, levels 0 to 2."""

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from typing import Any

from PIL import Image

SIZE = 800, 600
_REQUEST = re.compile(r"/image/(\d)/(\w+)/(full|square|[\d,]+)/([^/]+)/0/default\.jpg")


def picture(name: str) -> Image.Image:
    """A picture whose four corners tell where they belong."""
    image = Image.new("RGB", SIZE, (sum(map(ord, name)) % 256, 90, 160))
    for box, colour in (((0, 0), "red"), ((700, 0), "lime"), ((0, 500), "blue"), ((700, 500), "white")):
        image.paste(colour, (*box, box[0] + 100, box[1] + 100))
    return image


class Library:
    """What the server gives: JSON documents by path, pictures, and what was asked for."""

    def __init__(self) -> None:
        self.base = ""
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.broken: dict[str, int] = {}
        """Paths that are answered with an error."""

    def images(self) -> list[str]:
        return [path for path in self.asked if path.endswith(".jpg")]

    # --- documents -------------------------------------------------------------------------------------

    def service(self, name: str, version: int, level: int | None, *, listed: bool = False) -> Any:
        """A service as a manifest of either version writes it."""
        url = f"{self.base}/image/{version}/{name}"
        if version == 2:
            profile = f"http://iiif.io/api/image/2/level{level}.json"
            one = {"@context": "http://iiif.io/api/image/2/context.json", "@id": url, "profile": profile}
        else:
            one = {"id": url, "type": "ImageService3", "profile": f"level{level}"}
        if level is None:
            del one["profile"]
        return [one] if listed else one

    def manifest2(self, path: str, label: Any, pages: list[tuple[Any, Any]], **more: Any) -> str:
        """Presentation 2: pages of (label, service or None for a plain picture, "" for none at all)."""
        canvases = []
        for number, (text, service) in enumerate(pages, start=1):
            canvas = f"{self.base}{path}/canvas/{number}"
            resource = {
                "@id": self._body(service, number),
                "@type": "dctypes:Image",
                "width": 800,
                "height": 600,
            }
            if service:
                resource["service"] = service
            images = [
                {"@type": "oa:Annotation", "motivation": "sc:painting", "resource": resource, "on": canvas}
            ]
            canvases.append(
                {"@id": canvas, "@type": "sc:Canvas", "label": text, "width": 800, "height": 600}
                | ({} if service == "" else {"images": images})
            )
        return self._add(path, {
            "@context": "http://iiif.io/api/presentation/2/context.json", "@id": f"{self.base}{path}",
            "@type": "sc:Manifest", "label": label,
            "sequences": [{"@type": "sc:Sequence", "canvases": canvases}], **more,
        })  # fmt: skip

    def manifest3(self, path: str, label: Any, pages: list[tuple[Any, Any]], **more: Any) -> str:
        """Presentation 3, in the same terms."""
        canvases = []
        for number, (text, service) in enumerate(pages, start=1):
            canvas = f"{self.base}{path}/canvas/{number}"
            body = {"id": self._body(service, number), "type": "Image", "width": 800, "height": 600}
            if service:
                body["service"] = service if isinstance(service, list) else [service]
            painted = {
                "id": f"{canvas}/a",
                "type": "Annotation",
                "motivation": "painting",
                "body": body,
                "target": canvas,
            }
            pages_ = [{"id": f"{canvas}/p", "type": "AnnotationPage", "items": [painted]}]
            canvases.append(
                {"id": canvas, "type": "Canvas", "label": text, "width": 800, "height": 600}
                | {"items": [] if service == "" else pages_}
            )
        return self._add(path, {
            "@context": "http://iiif.io/api/presentation/3/context.json", "id": f"{self.base}{path}",
            "type": "Manifest", "label": label, "items": canvases, **more,
        })  # fmt: skip

    def collection2(self, path: str, **more: Any) -> str:
        """Presentation 2: `collections`, `manifests` or `members`, `first` and `next` of pages."""
        lists = {
            key: [
                {"@id": url, "@type": f"sc:{'Collection' if 'collection' in url else 'Manifest'}"}
                for url in value
            ]
            for key, value in more.items()
            if isinstance(value, list)
        }  # fmt: skip
        return self._add(path, {
            "@context": "http://iiif.io/api/presentation/2/context.json", "@id": f"{self.base}{path}",
            "@type": "sc:Collection", "label": "Everything", **more, **lists,
        })  # fmt: skip

    def collection3(self, path: str, urls: list[str], **more: Any) -> str:
        """Presentation 3: references to manifests and collections."""
        items = [
            {"id": url, "type": "Collection" if "collection" in url else "Manifest", "label": {"en": ["x"]}}
            for url in urls
        ]
        return self._add(path, {
            "@context": "http://iiif.io/api/presentation/3/context.json", "id": f"{self.base}{path}",
            "type": "Collection", "label": {"none": ["Everything"]}, "items": items, **more,
        })  # fmt: skip

    def _body(self, service: Any, number: int) -> str:
        one = service[0] if isinstance(service, list) else service
        if not one:
            return f"{self.base}/plain/{number}.jpg"
        url = one.get("@id") or one["id"]
        return f"{url}/full/{'full' if '/2/' in url else 'max'}/0/default.jpg"

    def _add(self, path: str, document: Any) -> str:
        self.documents[path] = document
        return f"{self.base}{path}"

    # --- answers ---------------------------------------------------------------------------------------

    def answer(self, path: str) -> tuple[int, str, bytes]:
        self.asked.append(path)
        if path in self.broken:
            return self.broken[path], "text/plain", b"no"
        if path in self.documents:
            document = self.documents[path]
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            return 200, "application/ld+json", content
        if found := re.fullmatch(r"/image/(\d)/(\w+)/info\.json", path):
            return 200, "application/json", json.dumps(self.info(int(found[1]), found[2])).encode()
        if path.startswith("/plain/"):
            return 200, "image/jpeg", _jpeg(picture(path))
        if (found := _REQUEST.fullmatch(path)) and (
            image := self._scaled(int(found[1]), *found.groups()[1:])
        ):
            return 200, "image/jpeg", _jpeg(image)
        return 404, "text/plain", b"nothing there"

    def info(self, version: int, name: str) -> dict[str, Any]:
        """level0sizes has files of some sizes, level0tiles only tiles, others do what they are asked for."""
        level = 0 if name.startswith("level0") else 2
        info: dict[str, Any] = {"width": SIZE[0], "height": SIZE[1], "protocol": "http://iiif.io/api/image"}
        if version == 2:
            info |= {
                "@id": f"{self.base}/image/2/{name}",
                "profile": [f"http://iiif.io/api/image/2/level{level}.json"],
            }
        else:
            info |= {"id": f"{self.base}/image/3/{name}", "type": "ImageService3", "profile": f"level{level}"}
        if name.startswith("level0sizes"):
            info["sizes"] = [{"width": w, "height": w * 3 // 4} for w in (100, 200, 400, 800)]
        if name.startswith("level0tiles"):
            info["tiles"] = [{"width": 128, "scaleFactors": [1, 2, 4, 8]}]
        return info

    def _scaled(self, version: int, name: str, region: str, size: str) -> Image.Image | None:
        """What a server of the service's level gives, None for what it has not."""
        image = picture(name)
        if region != "full":
            left, top, w, h = map(int, region.split(","))
            image = image.crop((left, top, left + w, top + h))
        whole = "max" if version == 3 else "full"
        if size == whole:
            return image if region == "full" or name.startswith("level0tiles") else None
        wide, _, high = size.partition(",")
        if (
            not wide.isdecimal()
            or int(wide) > image.width
            or ((version == 3) != bool(high) and "level0" in name)
        ):
            return None
        if name.startswith("level0sizes") and (region != "full" or int(wide) not in (100, 200, 400)):
            return None
        if name.startswith("level0tiles"):
            factor = ceil(image.width / int(wide))
            if factor not in (1, 2, 4, 8) or int(wide) > 128:
                return None
        return image.resize(
            (int(wide), int(high) if high else ceil(image.height * int(wide) / image.width)), 0
        )


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


@contextmanager
def library() -> Iterator[Library]:
    """A running server."""
    served = Library()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, kind, content = served.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
