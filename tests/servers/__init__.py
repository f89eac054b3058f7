"""Real servers for the tests, each in a process of its own."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Misbehaving:
    """The server of `misbehaving.py`, at work on several loopback addresses."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, path: str, host: int = 1) -> str:
        return f"http://127.0.0.{host}:{self.port}/{path}"

    def log(self) -> dict[str, Any]:
        """What was asked so far: per path the times of its requests, per host the most at once."""
        with urllib.request.urlopen(self.url("_log"), timeout=100) as answer:
            return json.load(answer)

    def forget(self) -> None:
        """Begin the log, and everything that happens only once, anew."""
        urllib.request.urlopen(self.url("_forget"), timeout=100).close()


@contextmanager
def misbehaving_server() -> Iterator[Misbehaving]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.misbehaving"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Misbehaving(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
