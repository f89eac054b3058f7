"""Make the pictures of README and documentation: `python scripts/pictures.py DEMO`, after `make demo`.

DEMO is the drawn collection with the run `demo`. Chromium is needed for the HTML report and the review page.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread

from rich.console import Console

from eufcc_cli import Root, Tagger
from eufcc_cli.core.tagging.review.opening import open_review
from eufcc_cli.core.tagging.writers.screen import panel

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
EUFCC = Path(sys.executable).with_name("eufcc")


def terminal(root: Root, image: Path) -> None:
    """What `eufcc tag IMAGE` shows in a terminal."""
    console = Console(
        record=True, width=92, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(f"[bold]$[/bold] eufcc --root {root.path.name} tag {image.name}")
    for result in Tagger("demo", root)(image):
        console.print(panel(result))
    console.save_svg(str(PICTURES / "tag.svg"), title="eufcc tag")


def statistics(root: Root) -> None:
    """The statistics figure of the collection."""
    plot = PICTURES / "statistics.svg"
    subprocess.run([EUFCC, "--quiet", "--root", root.path, "trees", "--plot", plot], check=True)


def report(root: Root) -> None:
    """The first page of the HTML report."""
    chromium = shutil.which("chromium") or sys.exit("the picture of the report needs chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        splits = ["--split", "test_id", "--split", "test_ood"]
        command = [EUFCC, "--quiet", "--root", root.path, "evaluate", "demo", *splits, "--html", page]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shot = f"--screenshot={PICTURES / 'report.png'}"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,900"]
        subprocess.run([chromium, *flags, shot, page.as_uri()], check=True, capture_output=True)


def review(root: Root) -> None:
    """The review page: by term in light colours, by image in dark ones."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or sys.exit("the pictures of the review page need chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        tags = Path(folder) / "tags.jsonl"
        command = [
            EUFCC,
            "--quiet",
            "--root",
            root.path,
            "tag",
            "--model",
            "demo",
            "--table",
            root.table("test_id"),
            "-o",
            tags,
        ]
        subprocess.run(command, check=True)
        _, server = open_review(tags, root, "curator")
        Thread(target=server.serve, daemon=True).start()
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, view, colours, width, height in (
            ("review-terms", "terms", "light", 1280, 800),
            ("review-images", "images", "dark", 1280, 800),
        ):
            size = {"width": width, "height": height}
            page = browser.new_context(viewport=size, color_scheme=colours).new_page()
            page.goto(server.url)
            page.wait_for_selector("#sheet .tile")
            if view == "images":
                page.keyboard.press("v")
                page.wait_for_selector(".chip")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=PICTURES / f"{name}.png")
        browser.close()
        server.stop()


def main() -> None:
    """Make all pictures."""
    root = Root(Path(sys.argv[1]))
    PICTURES.mkdir(exist_ok=True)
    showcase = subprocess.run(
        [EUFCC, "--quiet", "--root", root.path, "fetch", "demo"], check=True, capture_output=True, text=True
    )
    terminal(root, Path(showcase.stdout.splitlines()[0]))
    statistics(root)
    report(root)
    review(root)


if __name__ == "__main__":
    main()
