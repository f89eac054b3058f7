"""Fixtures that every test may use: the installed command, and the shared real data where it is there."""

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.warm_command import WarmCommand

# Hypothesis tries fifty examples unless a test asks for others. It times them, and how long it takes to make
# them, which says nothing on a busy machine. It tries the same ones every time, so that a failure belongs to
# the change that shows it; `--hypothesis-profile explore` tries others. Examples may share fixtures.
_CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("explore", deadline=None, max_examples=50, suppress_health_check=_CHECKS)
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")

# Whoever starts the tests in the background has them ignore Ctrl-C, and with them all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Small networks, and several processes at once: threads inside each would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# Compiled modules are kept for all processes of the run, even where Python is told not to write any.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What is imported and collected stays: a search for garbage takes a quarter of that time.
gc.disable()

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """What a test draws without a seed does not depend on the tests that its process ran before."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(0)


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


@pytest.fixture(scope="session")
def warm(eufcc_command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    """The installed command, from a process that has imported the heavy libraries."""
    command = WarmCommand(eufcc_command, shared_folder(tmp_path_factory) / "warm")
    yield command
    command.close()


@pytest.fixture(scope="session")
def quick_command(warm: WarmCommand) -> list[str]:
    """The words that start `eufcc`, for tests that send signals to it or put it into a pipe."""
    return warm.start(dict(os.environ) | {"HF_HUB_OFFLINE": "1"}, {}, [])


@pytest.fixture
def eufcc(warm: WarmCommand, eufcc_command: str, tmp_path: Path) -> Run:
    """Run the installed `eufcc` in a process of its own, in an empty folder, with pipes for all streams."""

    def run(*arguments: object, timeout: float = 250, **kwargs: object) -> subprocess.CompletedProcess[str]:
        kept = ("EUFCC_MACHINE",)
        environment = {
            name: value for name, value in os.environ.items() if name in kept or not name.startswith("EUFCC_")
        }
        environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        changed = dict(kwargs.pop("env", {}))  # type: ignore[call-overload]
        words = list(map(str, arguments))
        # Limits are set between fork and exec: a call that has some is a process of its own.
        start = [eufcc_command] if "preexec_fn" in kwargs else warm.start(environment, changed, words)
        return subprocess.run(
            [*start, *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=kwargs.pop("cwd", tmp_path),
            env=environment | changed,
            **kwargs,  # type: ignore[call-overload]
        )

    return run


LONGEST = (
    "test_trainer.py",
    "test_ray.py",
    "test_windows.py",
    "test_tag.py",
    "test_clip.py",
    "test_page.py",
    "test_download.py",
    "test_hub.py",
    "test_odd_filesystems.py",
    "test_plugins.py",
    "test_fetch.py",
    "test_europeana.py",
    "test_head.py",
    "test_decoder_processes.py",
    "test_paper.py",
    "test_costs.py",
    "test_fetch_table.py",
    "test_cli.py",
    "test_trees.py",
    "test_demo.py",
    "test_engine.py",
    "test_photographs.py",
    "test_interpolation.py",
    "test_methods.py",
)


def pytest_collection_finish() -> None:
    """From here on there is garbage, but not among what is there already."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process waits for another one at the end."""
    order = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that need a processor run at each precision of inference that they ask for."""
    if "processor" in metafunc.fixturenames:
        once = metafunc.definition.get_closest_marker("one_processor") is not None
        metafunc.parametrize("processor", ["fp32"] if once else ["fp32", "bf16"], indirect=True)


@pytest.fixture(scope="session")
def processor(request: pytest.FixtureRequest) -> Iterator[str]:
    """A processor without and one with matrix units for bf16, as eufcc sees it: the precision of inference.

    Everything that uses it is tested at both, whatever machine the tests run on, but for tests marked with
    `one_processor`: those are about processes, streams and files, whatever the scores are.
    """
    described = os.environ.get("EUFCC_MACHINE", "")
    others = [part for part in described.split(",") if part and not part.startswith("bf16=")]
    with pytest.MonkeyPatch.context() as patch:
        bf16 = "true" if request.param == "bf16" else "false"
        patch.setenv("EUFCC_MACHINE", ",".join([*others, f"bf16={bf16}"]))
        yield request.param


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all processes of this run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A copy, for this process, of a folder that one of the processes of this run made."""
    shared = shared_folder(tmp_path_factory) / f"made-{name}"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            unfinished = tmp_path_factory.mktemp(name) / "unfinished"
            make(unfinished)
            unfinished.rename(shared)
    folder = tmp_path_factory.mktemp(name) / "root"
    shutil.copytree(shared, folder)
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection root of 160 drawn images; read it, or copy it with `demo_root`."""
    from eufcc_cli.core.demo import draw_collection
    from eufcc_cli.core.files import Root

    def make(folder: Path) -> None:
        draw_collection(Root(folder), images=160, seed=7)

    return made_once(tmp_path_factory, "drawn", make)


@pytest.fixture
def demo_root(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn collection that a test may change."""
    folder = tmp_path / "root"
    shutil.copytree(drawn, folder)
    return folder


def compute_by_pytorch(patch: pytest.MonkeyPatch) -> None:
    """Let PyTorch compute everything: to convert a network takes longer than to train a small one."""
    patch.setattr("eufcc_cli.core.model.tagging_model.open_engine", lambda *_: None)


@pytest.fixture
def by_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch computes everything within this process."""
    compute_by_pytorch(monkeypatch)


@pytest.fixture(scope="session")
def trained(processor: str, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the drawn collection with a quickly trained run `small` (multilabel, 32 pixels).

    One for each kind of processor: what scores, tags and evaluates is tested at both precisions.
    """
    from eufcc_cli.core.files import Root
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.run import train_run

    def make(folder: Path) -> None:
        shutil.copytree(drawn, folder)
        config = TrainConfig(
            backbone="convnext_mini",
            pretrained=False,
            image_size=32,
            epochs=4,
            batch_size=16,
            device="cpu",
        )
        train_run(config, Root(folder), "small")

    return made_once(tmp_path_factory, f"trained-{processor}", make)
