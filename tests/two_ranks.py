"""A command in two processes that work together, as torchrun starts them, without torchrun's own process."""

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import Sequence


def meeting_point() -> dict[str, str]:
    """The environment that names a free port, not one of those that connections take at random meanwhile."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)  # another one in each process of tests
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def run_two_ranks(words: Sequence[str], *arguments: object) -> list["subprocess.CompletedProcess[str]"]:
    """Run `eufcc` (started by `words`) as ranks 0 and 1 of two; what became of each."""
    meeting = meeting_point() | {"WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [*words, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | meeting | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    ended = []
    for process in started:
        out, err = process.communicate(timeout=250)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return ended
