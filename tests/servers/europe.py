"""The local Europeana of `europeana.py`, started for a test."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.europeana import KEY


class Europe:
    """Its addresses, and what it was asked."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads `eufcc fetch europeana` and `fetch concepts` here."""
        return {
            "EUROPEANA_API_KEY": KEY,
            "EUFCC_RECORD_URL": f"{self.base}/record/v2",
            "EUFCC_ENTITY_URL": f"{self.base}/entity",
            "EUFCC_SPARQL_URL": f"{self.base}/sparql.json",
            "EUFCC_RECONCILE_URL": f"{self.base}/reconcile/",
            "EUFCC_THUMBNAIL_URL": f"{self.base}/thumbnail/v2/url.json",
        }

    def log(self) -> dict[str, Any]:
        """`asked`: how often each address; `keys`: the first parts of the paths that were sent a key;
        `ranges`: raw files asked for from an offset."""
        with urllib.request.urlopen(f"{self.base}/_log", timeout=100) as answer:
            return json.load(answer)

    def count(self) -> int:
        """How many requests there were."""
        with urllib.request.urlopen(f"{self.base}/_count", timeout=100) as answer:
            return int(answer.read())

    def answer(self, requests: float) -> None:
        """Answer so many more requests, and none after them."""
        urllib.request.urlopen(f"{self.base}/_answer/{requests}", timeout=100).close()

    def forget(self) -> None:
        """Begin the log, and everything that happens only once, anew."""
        urllib.request.urlopen(f"{self.base}/_forget", timeout=100).close()


@contextmanager
def europe(records: int, files: Path) -> Iterator[Europe]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.europeana", str(records), str(files)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        yield Europe(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
