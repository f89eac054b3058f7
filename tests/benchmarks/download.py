"""Downloading against its floors and peers, from a server that is not the bottleneck.

Every measurement runs in a process of its own, alternately, the best of several rounds counts.
EUFCC_BENCH_IMAGES chooses how many images (4,000), EUFCC_BENCH_IMG2DATASET names a Python that has
img2dataset, for the comparison with it.
"""

import asyncio
import csv
import io
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from eufcc_cli.core.download.backlog import find_backlog
from eufcc_cli.core.download.engine import Options, download_images
from eufcc_cli.core.download.ledger import Entry, Ledger
from eufcc_cli.core.download.store import JPEG_QUALITY, place
from eufcc_cli.core.download.summary import summarise
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.http.politeness import Politeness
from tests.servers import Misbehaving, misbehaving_server
from tests.servers.misbehaving import picture

ROUNDS = 2
AT_ONCE = 16
PICTURES = 100
SERVER = Path(__file__).parents[1] / "servers" / "fast.c"


def main() -> None:
    if shutil.which("cc") is None:
        print("no C compiler (cc): skipped, since a server written in Python would be the bottleneck")
        return
    count = int(os.environ.get("EUFCC_BENCH_IMAGES", "4000"))
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), draw) as port:
        speeds(Path(folder), port, count)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), draw_small) as port:
        memory(Path(folder), port, count)
    with tempfile.TemporaryDirectory() as folder:
        start(Path(folder))


def speeds(folder: Path, port: int, count: int) -> None:
    parts = ["bare", "eufcc", "pillow", "eufcc-resize"]
    peer = os.environ.get("EUFCC_BENCH_IMG2DATASET")
    if peer:
        parts += ["img2dataset", "img2dataset-resize"]
    else:
        print("img2dataset: skipped, EUFCC_BENCH_IMG2DATASET names no Python that has it")
    best = dict.fromkeys(parts, 0.0)
    for _ in range(ROUNDS):
        for part in parts:  # in turn, so that what disturbs one disturbs all
            best[part] = max(best[part], count / run(part, port, count, folder, peer))
    print(f"{count:,} JPEGs of about {average(folder) / 1000:.0f} kB and 400 px, images/s")
    for name, part, against, floor in [
        ("bare httpx loop that only writes bytes", "bare", None, None),
        ("eufcc download", "eufcc", "bare", 0.75),
        ("two processes of Pillow, nothing fetched", "pillow", None, None),
        ("eufcc download --resize 256", "eufcc-resize", "pillow", 1.0),
        ("img2dataset", "img2dataset", None, None),
        ("eufcc download against it", "eufcc", "img2dataset", 1.2),
        ("img2dataset, resizing to 256", "img2dataset-resize", None, None),
        ("eufcc download --resize 256 against it", "eufcc-resize", "img2dataset-resize", 1.5),
    ]:
        if part in best and (against is None or against in best):
            ratio = "" if against is None else f"{best[part] / best[against]:8.2f} (aim {floor})"
            print(f"  {name:42}{best[part]:8.0f}{ratio}")


def memory(folder: Path, port: int, count: int) -> None:
    few, many = (float(run_part("memory", port, n, folder)) for n in (count, 10 * count))
    print(f"memory after {count:,} images {few:.0f} MB, after {10 * count:,} {many:.0f} MB: ", end="")
    print(f"{many - few:+.0f} MB (aim 30)")


def start(folder: Path) -> None:
    """How long until the first request, with 100,000 rows of which 99 in 100 are done."""
    root = Root(folder)
    one = folder / "picture.jpg"
    one.write_bytes(picture("all the same"))
    with Ledger(root.ledger) as ledger:
        for n in range(100_000):
            if n % 100:
                path = image_stem(f"art_{n:06}").with_suffix(".jpg")
                size = place(one, root.images, path)
                ledger.record(Entry(f"art_{n:06}", "ok", path=path.as_posix(), bytes=size))
    with misbehaving_server() as slow:
        write_table(root, slow)
        command = [Path(sys.executable).with_name("eufcc"), "--quiet", "--root", folder, "download"]
        options = ["--allow-private-hosts", "--rate", "0"]
        began = time.monotonic()
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        asked = min(times[0] for times in slow.log()["times"].values())
    print(f"100,000 rows, 99 % done: first request after {asked - began:.1f} s (aim 2)")


def run(part: str, port: int, count: int, folder: Path, peer: str | None) -> float:
    """Seconds that one part took."""
    if part.startswith("img2dataset"):
        return img2dataset(str(peer), part.endswith("resize"), port, count, folder)
    return float(run_part(part, port, count, folder))


def run_part(part: str, port: int, count: int, folder: Path) -> str:
    arguments = [part, str(port), str(count), str(folder)]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.download", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ended.stdout


def bare(port: int, count: int, folder: Path) -> float:
    """The floor: httpx as everybody uses it, without any check."""
    import httpx

    async def fetch() -> None:
        numbers = iter(range(count))
        async with httpx.AsyncClient() as client:

            async def work() -> None:
                for n in numbers:
                    answer = await client.get(f"http://127.0.0.1:{port}/{n}")
                    (folder / f"{n}.jpg").write_bytes(answer.content)

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    began = time.monotonic()
    asyncio.run(fetch())
    return time.monotonic() - began


def eufcc(port: int, count: int, folder: Path, resize: int | None = None) -> float:
    root = Root(folder)
    wanted = pd.DataFrame(
        {
            "id": [f"art_{n:06}" for n in range(count)],
            "url": [f"http://127.0.0.1:{port}/{n}" for n in range(count)],
        },
        dtype=str,
    )
    wanted["provider"] = "museum"
    began = time.monotonic()
    politeness = Politeness(per_host=AT_ONCE, rate=0, allow_private_hosts=True)
    with Ledger(root.ledger) as ledger:
        stock = find_backlog(root, ledger, wanted)
        download_images(
            root, ledger, stock.pending, stock.found, Options(resize=resize, politeness=politeness)
        )
        assert summarise(wanted, ledger).statuses == {"ok": count}
    return time.monotonic() - began


def pillow(port: int, count: int, folder: Path) -> float:
    """The floor of --resize: two processes that do nothing but decode, resize and encode in memory."""
    with multiprocessing.Pool(2) as pool:
        contents = [path.read_bytes() for path in sorted(folder.parent.glob("*.jpg"))]
        work = [contents[n % len(contents)] for n in range(count)]
        pool.map(_resize, work[:8])
        began = time.monotonic()
        pool.map(_resize, work, chunksize=50)
        return time.monotonic() - began


def _resize(content: bytes) -> None:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    image.save(io.BytesIO(), "JPEG", quality=JPEG_QUALITY)


def peak_memory(port: int, count: int, folder: Path) -> float:
    eufcc(port, count, folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


IMG2DATASET = """
import sys, time
from img2dataset import download
urls, out, mode = sys.argv[1:]
began = time.monotonic()
download(url_list=urls, output_folder=out, processes_count=2, thread_count=16, image_size=256, retries=0,
         number_sample_per_shard=1000, output_format="files", resize_mode=mode, resize_only_if_bigger=True,
         encode_quality=90, skip_reencode=mode == "no")
print(time.monotonic() - began)
"""


def img2dataset(python: str, resize: bool, port: int, count: int, folder: Path) -> float:
    """The published peer, as its documentation sets it up for as many cores: files, no retries."""
    out = Path(tempfile.mkdtemp(dir=folder))
    urls = out / "urls.txt"
    urls.write_text("\n".join(f"http://127.0.0.1:{port}/{n}" for n in range(count)))
    command = [python, "-c", IMG2DATASET, urls, out / "images", "keep_ratio" if resize else "no"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ended.stdout.split()[-1])


@contextmanager
def server(folder: Path, drawing: Callable[[Path], None]) -> Iterator[int]:
    binary = folder / "fast"
    subprocess.run(["cc", "-O2", "-o", binary, SERVER], check=True)
    drawing(folder)
    process = subprocess.Popen([binary, folder, str(PICTURES)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def draw(folder: Path) -> None:
    """Pictures of 533 x 400 with as much detail as a thumbnail of about 50 kB has."""
    rng = np.random.default_rng(0)
    for n in range(PICTURES):
        detail = Image.fromarray(rng.integers(0, 256, (100, 133, 3), dtype=np.uint8))
        detail.resize((533, 400), Image.Resampling.BICUBIC).save(folder / f"{n}.jpg", quality=54)


def draw_small(folder: Path) -> None:
    for n in range(PICTURES):
        (folder / f"{n}.jpg").write_bytes(picture(str(n)))


def average(folder: Path) -> float:
    sizes = [path.stat().st_size for path in folder.glob("*.jpg")]
    return sum(sizes) / len(sizes)


def write_table(root: Root, server: Misbehaving) -> None:
    with root.table("train").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["idInSource", "#portraitMedia.original", "materials.hierarchy"])
        writer.writerows((f"art_{n:06}", server.url(f"ok/{n}"), "wood") for n in range(100_000))


PARTS: dict[str, Callable[[int, int, Path], float]] = {
    "bare": bare,
    "eufcc": eufcc,
    "eufcc-resize": lambda port, count, folder: eufcc(port, count, folder, resize=256),
    "pillow": pillow,
    "memory": peak_memory,
}

if __name__ == "__main__":
    part, port, count, folder = sys.argv[1:]
    # Removed with all else at the end: for minutes ext4 looks at each inode set free before it takes one.
    own = Path(tempfile.mkdtemp(dir=folder))
    print(json.dumps(PARTS[part](int(port), int(count), own)))
