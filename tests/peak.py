"""The peak memory of a command, measured by a small process between.

A process that is forked begins with the memory of the one that forks it, and that counts as its own peak:
measured from a test process with torch in it, every command would seem to need the same.
"""

import subprocess
import sys
from collections.abc import Sequence

_BETWEEN = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_memory(command: Sequence[object], **kwargs: object) -> int:
    """Run a command that writes nothing to standard output; its peak memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", _BETWEEN, *map(str, command)],
        check=True,
        stdout=subprocess.PIPE,
        **kwargs,  # type: ignore[call-overload]
    )
    return int(done.stdout) * 1024
