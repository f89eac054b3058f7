"""Fixtures that every test may use: the installed command, and the shared real data where it is there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real annotations and photographs; skips, saying so, where they are not there."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("EUFCC_TEST_DATA", default))
    if not (folder / "eufcc-340k" / "test_id.csv").is_file():
        pytest.skip(f"real data not found in {folder} (set EUFCC_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def eufcc_command() -> str:
    """The installed console script, beside the interpreter that runs the tests."""
    return str(Path(sys.executable).with_name("eufcc"))


@pytest.fixture
def eufcc(eufcc_command: str, tmp_path: Path) -> Run:
    """Run the installed `eufcc` in a subprocess, in an empty folder, with pipes for all three streams."""

    def run(*arguments: object, timeout: float = 120, **kwargs: object) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EUFCC_")}
        environment |= {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"} | dict(kwargs.pop("env", {}))  # type: ignore[call-overload]
        return subprocess.run(
            [eufcc_command, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=kwargs.pop("cwd", tmp_path),
            env=environment,
            **kwargs,  # type: ignore[call-overload]
        )

    return run
