"""Models and backbones from the Hugging Face hub: a real local server that speaks as much as is needed."""

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.conftest import Run

pytestmark = pytest.mark.one_processor

HUBS = "hf-hub:museum/none"  # which is not there
SESSION = Path(__file__).parents[2] / "windows" / "session.py"
REVISION = "0123456789abcdef0123456789abcdef01234567"
# As the hub keeps it: the head is named, so that another number of classes leaves it out.
CONFIG = {"tag": "ours", "classifier": "head.fc", "first_conv": "stem.0", "num_classes": 3}


class Hub(BaseHTTPRequestHandler):
    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repository = "/".join(parts[2:4])
            files = sorted(p.name for p in (self.folder / repository).glob("*"))
            listing = {"id": repository, "sha": REVISION, "siblings": [{"rfilename": name} for name in files]}
            return self.answer(json.dumps(listing).encode(), body) if files else self.missing("RepoNotFound")
        file = self.folder / "/".join(parts[:2]) / parts[-1]
        if file.is_file():
            return self.answer(file.read_bytes(), body)
        return self.missing("EntryNotFound" if file.parent.is_dir() else "RepoNotFound")

    def answer(self, content: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    folder = tmp_path / "hub"
    handler = type("Handler", (Hub,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "100",  # a busy machine
        "OMP_NUM_THREADS": "1",
    }
    yield folder, environment
    server.shutdown()


def python(code: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


LOAD = """
import sys
from pathlib import Path
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
for name in sys.argv[2:]:
    try:
        model = load_model(name, Root(Path(".")), device="cpu")
        print(model.name, model.vocabulary.digest)
    except EufccError as error:
        print("error:", error, "| hint:", error.hint)
"""

BACKBONE = """
import sys
import torch
from eufcc_cli.core.model.backbone.network import create_backbone
torch.manual_seed(0)
images = torch.randn(1, 3, 64, 64)
print(float(create_backbone(sys.argv[1], pretrained=True).eval()(images).detach().sum()))
"""


def test_published_weights_load_from_the_hub_by_name_and_then_without_it(
    hub: tuple[Path, dict[str, str]], trained: Path
) -> None:
    folder, environment = hub
    shutil.copytree(trained / "runs" / "small", folder / "museum" / "small")
    repository = folder / "timm" / "atto"
    repository.mkdir(parents=True)
    torch.manual_seed(5)
    model = timm.create_model("convnext_atto", num_classes=3)
    save_file(model.state_dict(), repository / "model.safetensors")
    settings = {"architecture": "convnext_atto", "num_classes": 3, "pretrained_cfg": CONFIG}
    (repository / "config.json").write_text(json.dumps(settings))
    model.reset_classifier(0)
    torch.manual_seed(0)
    expected = float(model.eval()(torch.randn(1, 3, 64, 64)).detach().sum())

    done = python(
        BACKBONE + LOAD, environment, "hf-hub:timm/atto", "hf-hub:museum/small", "hf-hub:museum/none"
    )
    assert done.returncode == 0, done.stderr
    total, found, nothing = done.stdout.splitlines()
    assert float(total) == pytest.approx(expected, rel=1e-4)
    config = json.loads((trained / "runs" / "small" / "config.json").read_text())
    assert found.split() == ["small", config["vocabulary"]["digest"]], done.stderr
    assert nothing.startswith("error: hf-hub:museum/none"), done.stderr
    assert "hint: check the name" in nothing

    nowhere = environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = python(LOAD, nowhere, "", "hf-hub:museum/small", "hf-hub:museum/other")
    found, nothing = done.stdout.splitlines()
    assert found.split()[0] == "small"
    assert "http://127.0.0.1:9 cannot be reached" in nothing


@pytest.fixture
def silent_hub(tmp_path: Path) -> Iterator[tuple[Callable[[], int], dict[str, str]]]:
    """A hub that never answers; how many connections there were to it, and the environment for it."""
    server = socket.create_server(("127.0.0.1", 0), backlog=100)
    server.setblocking(False)
    accepted = []

    def taken() -> int:
        with suppress(BlockingIOError):
            while True:
                accepted.append(server.accept()[0])
        return len(accepted)

    yield (
        taken,
        {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_ETAG_TIMEOUT": "1",
        },
    )
    for one in (*accepted, server):
        one.close()


TRAIN = ("train", "--device", "cpu", "--epochs", "1", "--backbone", "convnext_atto")


def session(folder: Path, lists: list[list[str]], environment: dict[str, str]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of commands, run one after the other in one process."""
    commands = folder / "commands.json"
    commands.write_text(json.dumps(lists))
    done = subprocess.run(
        [sys.executable, SESSION, commands], env=os.environ | environment, timeout=250, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    codes = json.loads((folder / "codes.json").read_text())
    return [
        (code, *((folder / f"{number}.{kind}").read_text() for kind in ("out", "err")))
        for number, code in enumerate(codes)
    ]


def test_a_hub_that_does_not_answer_is_asked_once_and_the_hint_names_what_works(
    silent_hub: tuple[Callable[[], int], dict[str, str]], demo_root: Path, eufcc: Run
) -> None:
    taken, environment = silent_hub
    done = eufcc("--root", demo_root, *TRAIN, env=environment)
    assert done.returncode == 1
    assert taken() == 1
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and environment["HF_ENDPOINT"] in error
    command = re.search("`(eufcc .*)`", hint)
    assert command, hint
    small = ("--device", "cpu", "--epochs", 1, "--image-size", 32)
    done = eufcc(*shlex.split(command[1])[1:], *small)
    assert done.returncode == 0, done.stderr


def test_hf_hub_offline_is_honoured(
    silent_hub: tuple[Callable[[], int], dict[str, str]], demo_root: Path, tmp_path: Path
) -> None:
    taken, environment = silent_hub
    lists = [["--root", str(demo_root), *TRAIN], ["--root", str(demo_root), *TRAIN, "--backbone", HUBS]]
    for code, _, error in session(tmp_path, lists, environment | {"HF_HUB_OFFLINE": "1"}):
        assert code == 1
        assert "HF_HUB_OFFLINE is set" in error
        assert len(error.splitlines()) == 2
    assert taken() == 0


def test_a_model_out_of_reach_costs_its_row_and_not_the_table(
    silent_hub: tuple[Callable[[], int], dict[str, str]], trained: Path, tmp_path: Path
) -> None:
    taken, environment = silent_hub
    evaluate = ["--root", str(trained), "evaluate"]
    absent = (HUBS, "clip:ViT-B-32/openai")
    lists = [[*evaluate, "small", *absent, "--format", "json"], [*evaluate, HUBS]]
    table, alone = session(tmp_path, lists, environment)
    code, out, error = table
    assert code == 3, error
    assert {row["model"] for row in json.loads(out)["results"]} == {"small"}
    for name in absent:
        assert f"{name} is left out" in error
    assert taken() == 1  # what was found out is remembered
    code, _, error = alone
    assert code == 1
    assert len(error.splitlines()) == 2
