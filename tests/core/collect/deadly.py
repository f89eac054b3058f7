"""A decoder that one image kills, for worker processes: a module of its own, since they have to import it."""

import os
import signal
from pathlib import Path

from eufcc_cli.core.collect.storing import Rejected, Stored, Storing, store


def store_or_die(body: bytes | Path, digest: str, image_id: str, how: Storing) -> Stored | Rejected:
    if image_id == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return store(body, digest, image_id, how)
