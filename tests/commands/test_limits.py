"""--max-pixels and --user-agent: one setting each, for every command alike."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from eufcc_cli.cli import app
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.http.client import user_agent
from tests.conftest import Run

pytestmark = pytest.mark.one_processor

TRAIN = ("--backbone", "test_convnext3", "--no-pretrained", "--epochs", 1, "--image-size", 32)


@pytest.fixture
def picky(tmp_path: Path) -> Iterator[str]:
    """The address of a server that sends a picture to those alone whose User-Agent names a contact."""
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "picture.jpg")
    picture = (tmp_path / "picture.jpg").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            agent = self.headers["User-Agent"]
            asked = self.path.split("?")[-1]
            welcome = asked in agent if asked != self.path else "://" in agent or "@" in agent
            self.send_response(200 if welcome else 403)
            self.end_headers()
            self.wfile.write(picture if welcome else b"see the User-Agent policy")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_user_agent_names_a_contact_or_is_the_users(picky: str, trained: Path, eufcc: Run) -> None:
    def tag(url: str, *options: str, **env: str) -> int:
        return eufcc(
            *("--root", trained, *options, "tag", f"{picky}{url}", "--allow-private-hosts"), env=env
        ).returncode

    assert tag("/a.jpg") == 0
    assert tag("/a.jpg?it@museum.example") == 3
    assert tag("/a.jpg?it@museum.example", "--user-agent", "Museum (it@museum.example)") == 0
    assert tag("/a.jpg?it@museum.example", EUFCC_USER_AGENT="Museum (it@museum.example)") == 0
    assert tag("/a.jpg", "--user-agent", "nobody") == 3


def test_downloads_name_a_contact(picky: str, tmp_path: Path, eufcc: Run) -> None:
    table = tmp_path / "root" / "data" / "train.csv"
    table.parent.mkdir(parents=True)
    table.write_text(f"idInSource,#portraitMedia.original,materials.hierarchy\na,{picky}/a.jpg,or\n")
    download = ("--root", tmp_path / "root", "download", "--allow-private-hosts", "--format", "json")
    done = eufcc(*download, env={"EUFCC_USER_AGENT": "nobody"})
    assert (done.returncode, '"refused": 1' in done.stdout) == (3, True)
    done = eufcc(*download, "--retry-failed", "all")
    assert (done.returncode, '"ok": 1' in done.stdout) == (0, True)


@pytest.mark.parametrize("agent", ["line\nbreak", "Müseum", "\x1b[2J"])
def test_a_user_agent_that_is_no_header(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EUFCC_USER_AGENT", agent)
    with pytest.raises(CollectError, match="user_agent"):
        user_agent()


@pytest.mark.usefixtures("by_pytorch")
def test_every_command_has_the_same_largest_image(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(trained, tmp_path / "root")
    photo = next((root / "data" / "images").rglob("*.jpg"))

    def run(*arguments: object, variable: str = "") -> Result:
        monkeypatch.setenv("EUFCC_MAX_PIXELS", variable)  # an option sets it for the whole process
        return CliRunner().invoke(app, ["--root", str(root), *map(str, arguments)])

    for command in (
        ("tag", photo),
        ("train", "--name", "limit", *TRAIN),
        ("evaluate", "small", "--split", "val", "--no-keep-scores"),
    ):
        for done in (run(*command, "--max-pixels", 100), run(*command, variable="100")):
            assert done.exit_code in (1, 3), (command, done.stderr)
            assert "EUFCC_MAX_PIXELS" in done.stdout + done.stderr, command
        done = run(*command, "--max-pixels", 10**6)
        assert done.exit_code == 0, (command, done.stderr)
