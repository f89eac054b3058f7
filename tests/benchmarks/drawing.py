"""How fast the miniature collection is drawn, on one core and on all, beside what writing it alone costs.

The floor encodes and writes as many JPEG files of a picture that is drawn already.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from eufcc_cli.core.demo import draw_collection
from eufcc_cli.core.demo.camera import jpeg, photograph
from eufcc_cli.core.demo.picture_plan import plan
from eufcc_cli.core.files import Root, write_bytes

IMAGES = 800


def write_only(folder: Path) -> None:
    plans = [plan(0, number) for number in range(IMAGES)]
    picture = photograph(plans[0])
    for p in plans:
        picture.save(folder / "encoded.jpg", quality=88, comment=p.id)
        write_bytes(folder / f"{p.id}.jpg", (folder / "encoded.jpg").read_bytes())


def seconds(work: Callable[[Path], object]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        work(Path(folder))
        return time.perf_counter() - start


def main() -> None:
    jpeg(plan(0, 0), "")  # the first picture makes the textures
    cores = os.cpu_count() or 1
    rows = {
        "floor: encode and write, 1 core": seconds(write_only),
        "draw, 1 core": seconds(lambda folder: draw_collection(Root(folder), IMAGES, workers=1)),
        f"draw, {cores} cores": seconds(lambda folder: draw_collection(Root(folder), IMAGES, workers=cores)),
    }
    for name, took in rows.items():
        print(f"{name:34}{IMAGES / took:8.0f} images/s{took:8.2f} s")


if __name__ == "__main__":
    main()
