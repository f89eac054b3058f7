"""Frame times while 10,000 images of a contact sheet scroll in Chromium.

    python -m tests.benchmarks review_scrolling

Without a graphics card Chromium draws on the processor, which other programs use as well. For comparison:
"idle", the same page without scrolling, and "plain", 2,000 of the thumbnails in an ordinary element of
the same size, without any script.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eufcc_cli.core.files import Root
from tests.core.report.chromium import BINARY
from tests.core.tagging.review.conftest import line, serving, suggestion, write_lines
from tests.core.tagging.review.person import Person, chromium

IMAGES = 10_000
FILES = 200

_FRAMES = """([host, step]) => new Promise((done) => {
  const at = document.querySelector(host), times = [];
  let before = null;
  const frame = (now) => {
    if (before !== null) times.push(now - before);
    before = now;
    at.scrollTop += step;
    if (times.length < 240) requestAnimationFrame(frame); else done(times);
  };
  requestAnimationFrame(frame);
})"""


_PLAIN = """async () => {
  const sheet = document.querySelector("#sheet"), plain = document.createElement("div");
  plain.id = "plain";
  plain.className = "grid";
  for (let i = 0; i < 2000; i += 1) {
    const picture = new Image(128, 128);
    picture.src = `small/${i % 200}`;
    plain.append(picture);
  }
  sheet.after(plain);
  sheet.style.display = "none";
  await Promise.all([...plain.children].slice(0, 200).map((picture) => picture.decode()));
}"""


def frames(person: Person, host: str, step: int) -> str:
    times = np.array(person.page.evaluate(_FRAMES, [host, step]))
    late = (times > 34).mean()
    return (
        f"median {np.median(times):.1f} ms, 95 % below {np.quantile(times, 0.95):.1f} ms, "
        f"longest {times.max():.0f} ms, later than two frames {late:.1%}"
    )


def run(browser: Any, folder: Path) -> None:
    for i in range(FILES):
        Image.effect_noise((640, 480), 60).convert("RGB").save(folder / f"{i}.jpg")
    tags = [suggestion(["metal"], 0.9), suggestion(["wood"], 0.6)]
    lines = [
        {**line(i, {"materials": tags}), "image": f"{i % FILES}.jpg", "id": str(i)} for i in range(IMAGES)
    ]
    with serving(write_lines(folder / "t.jsonl", lines), Root(folder)) as (_, url):
        for width, height in ((1366, 768), (1920, 1080)):
            began = time.perf_counter()
            person = Person(browser, url, width, height)
            print(f"{width} x {height}: shown after {time.perf_counter() - began:.1f} s")
            print("  idle               ", frames(person, "#sheet", 0))
            for step in (12, 120, 1500):
                person.page.evaluate("document.querySelector('#sheet').scrollTop = 0")
                print(f"  sheet, {step:4} px a frame", frames(person, "#sheet", step))
            person.page.evaluate(_PLAIN)
            print("  plain,   120 px a frame", frames(person, "#plain", 120))
            person.press("v")
            print("  images,  120 px a frame", frames(person, "#image-list", 120), flush=True)
            assert person.problems == []
            person.context.close()


def main() -> None:
    if BINARY is None:
        print("no chromium on this machine")
        return
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        run(browser, Path(folder))


if __name__ == "__main__":
    main()
