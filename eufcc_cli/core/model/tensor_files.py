"""Tensors in safetensors files, written whole or not at all."""

import contextlib
import os
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from eufcc_cli.core.files import atomic_path, sync


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all, without a second copy of its tensors in memory."""
    with atomic_path(path) as temporary:
        temporary.touch()
        readers = temporary.stat().st_mode  # as the user's umask says, which safetensors does not ask
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # the system's error is only in its text
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]), os.strerror(int(number[1]))) if number else error from error
        with contextlib.suppress(OSError):
            temporary.chmod(readers)
        with temporary.open("r+b") as file:
            sync(file)
