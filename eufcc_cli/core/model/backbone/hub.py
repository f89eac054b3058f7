"""The Hugging Face hub: whether it can be reached, tested once and briefly before its library tries."""

import logging
import os
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from eufcc_cli.core.errors import HubError, first_line
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED

log = logging.getLogger("eufcc")

_PATIENCE = 3.0  # seconds


@contextmanager
def hub(what: str, needed: bool = True) -> Iterator[None]:
    """Inside, the hub's library downloads; if the hub cannot be reached, it only reads its cache.

    Raises HubError, naming `what` was wanted, if the cache does not have it.
    """
    if not needed:
        yield
        return
    unreachable = why_unreachable()
    library = logging.getLogger("huggingface_hub")
    level = library.level
    library.setLevel(logging.ERROR)  # one error, ours, instead of a line for every attempt
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if unreachable is None or _is_about_a_name(error):
            raise
        raise HubError(f"{what}: not downloaded before, and {unreachable}", without_network()) from error
    finally:
        library.setLevel(level)


def is_downloaded(backbone: str) -> bool:
    """Whether the hub's cache has the weights of a timm backbone, NAME.TAG; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache

    # It returns an object if the file is known not to exist, None if nothing is known about it.
    files = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(f"timm/{backbone}", file), str) for file in files)


def _is_about_a_name(error: Exception) -> bool:
    """Whether timm does not know a backbone: the hub would not help."""
    return isinstance(error, RuntimeError) and str(error).startswith(
        ("Unknown model", "Invalid pretrained tag")
    )


def without_network(run: str | None = None) -> str:
    """The hint for working without the hub: a training with the requested name."""
    command = f"`eufcc train --backbone {BUNDLED}`"
    if run:
        command = f"`eufcc train --backbone {BUNDLED} --name {shlex.quote(run)}`"
    return f"without a network: {command}, whose weights are installed"


@cache
def why_unreachable() -> str | None:
    """Why the hub cannot be used, None if it can; if not, no library tries to reach it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    patience = float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or _PATIENCE)
    reasons: list[str | None] = [f"no answer in {patience:g} s"]
    session = get_session()  # which takes its time, too

    def ask() -> None:
        try:
            session.head(constants.ENDPOINT, timeout=patience)
            reasons.append(None)
        except Exception as error:  # whatever the library's transport raises
            reasons.append(first_line(error))

    # In a thread: looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    reason = reasons[-1]
    if reason is None:
        return None
    log.info("%s: %s", constants.ENDPOINT, reason)
    constants.HF_HUB_OFFLINE = True
    return f"{constants.ENDPOINT} cannot be reached: {reason}"
