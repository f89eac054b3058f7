"""The `eufcc` command without the seconds in which it imports PyTorch.

A server imports the heavy libraries once and forks for every call; the fork takes over the caller's streams,
folder and environment, and then does what the console script does. To the caller it is a program like any
other: `python warm_command.py SOCKET ARGUMENT…`. Where there is no fork, the console script itself is called.
"""

import array
import contextlib
import gc
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOCKET, USED = "calls", "used"  # in the folder of a server

# Read at import, by the libraries or by Python: a call that sets them needs a process of its own.
READ_AT_IMPORT = ("HF_", "TORCH", "OMP_", "MKL_", "PYTHON", "LD_", "LC_", "LANG", "CUDA", "EUFCC_PLUGIN")
PRELOADED = (
    *("torch", "torch._dynamo", "timm", "torchvision", "pandas", "pyarrow", "httpx", "PIL.Image", "anytree"),
    *("safetensors.torch", "huggingface_hub", "open_clip", "scipy.optimize", "openvino", "lxml.etree"),
    *("rich.progress", "rich.table", "typer._adapters", "typer.rich_utils", "pydantic", "openpyxl"),
)


def serve(note: Path, folder: Path) -> None:
    """Answer calls until no process has the folder's pipe open for writing; then remove the folder."""
    from filelock import FileLock

    used = os.open(folder / USED, os.O_RDONLY | os.O_NONBLOCK)
    gc.disable()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as eufcc has it
    import eufcc_cli.core

    core = pkgutil.walk_packages(eufcc_cli.core.__path__, "eufcc_cli.core.")
    for module in (*PRELOADED, *(one.name for one in core)):
        with contextlib.suppress(ImportError):
            __import__(module)
    gc.freeze()  # a search for garbage in a fork would copy every page that it looks at
    gc.enable()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / SOCKET))
    listener.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this
    os.write(1, b"ready\n")
    called: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor of the process: it, and its caller
    while True:
        callers = {connection: ended for ended, (_, connection) in called.items()}
        ready, _, _ = select.select([listener, used, *called, *callers], [], [], 10)
        for one in ready:
            if one is listener:
                connection, _ = listener.accept()
                child = _fork(connection, [listener.fileno(), used, *called, *callers])
                if child == 0:
                    from eufcc_cli.__main__ import main

                    return main()
                called[os.pidfd_open(child)] = child, connection
            elif one in callers and callers[one] in called:
                _pass_signals(one, called[callers[one]][0])
            elif one in called:
                child, connection = called.pop(one)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with connection, contextlib.suppress(OSError):
                    connection.send(b"%d" % status)
                os.close(one)
        if _unused(used):
            with FileLock(f"{note}.lock"):  # whoever begins to use it has this lock
                if _unused(used):
                    for child, _ in called.values():
                        os.kill(child, signal.SIGKILL)
                    return shutil.rmtree(folder)


def _unused(pipe: int) -> bool:
    """Whether no process has the pipe open for writing."""
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return False


def _fork(connection: socket.socket, others: list[int | socket.socket]) -> int:
    """Fork for a call; the fork (0) closes what belongs to the server, and is as the caller is."""
    message, data, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(12))
    streams = array.array("i", data[0][2] if data else b"")
    while not message.endswith(b"\n"):
        more = connection.recv(1 << 20)
        message += more or b"null\n"  # the caller was killed: its fork ends at once
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for other in (*streams, connection, *others):
            other.close() if isinstance(other, socket.socket) else os.close(other)
        request = json.loads(message)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.umask(request["umask"])
        # Of the new streams: whether they are terminals, and their buffers.
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        sys.argv = request["arguments"]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return 0
    for stream in streams:
        os.close(stream)
    return child


def _pass_signals(connection: socket.socket, child: int) -> None:
    """Send a call's process the signals that its caller got; none: whoever called was killed."""
    with contextlib.suppress(OSError):
        numbers = connection.recv(16).split()
        for number in numbers or [b"%d" % signal.SIGKILL]:
            os.kill(child, int(number))


def call(path: str, arguments: list[str]) -> int:
    """The exit code of a call (negative: the signal that ended it)."""
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "arguments": ["eufcc", *arguments],
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "umask": umask,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: connection.send(b"%d " % number))
        socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        return int(connection.recv(16) or 1)


class WarmCommand:
    """A server of warm calls, one for all processes of tests; `start` gives the words that begin a call.

    The server starts with the first call of any of them, and ends with the last one that used it.
    """

    def __init__(self, command: str, note: Path) -> None:
        """note: a file that names the folder of the server, the same for all that share it."""
        self.command = command
        self._note = note
        self._folder = Path()
        self._used: int | None = None

    def start(self, environment: dict[str, str], changed: dict[str, str], arguments: list[str]) -> list[str]:
        """The words before `arguments`, in a call that has `environment` with `changed`.

        Help imports nothing heavy, and is slower to draw where much is imported.
        """
        differs = [name for name, value in changed.items() if environment.get(name) != value]
        own = any(name.startswith(READ_AT_IMPORT) for name in differs)
        if own or "--help" in arguments or not hasattr(os, "pidfd_open"):
            return [self.command]
        if self._used is None:
            from filelock import FileLock

            with FileLock(f"{self._note}.lock"):
                self._use(environment)
        return [sys.executable, "-S", "-E", __file__, str(self._folder / SOCKET)]

    def _use(self, environment: dict[str, str]) -> None:
        """Use the server that another process started, or start it."""
        if self._note.is_file():
            self._folder = Path(self._note.read_text())
            with contextlib.suppress(OSError):  # no server reads from the pipe any more
                self._used = os.open(self._folder / USED, os.O_WRONLY | os.O_NONBLOCK)
                return
        self._folder = Path(tempfile.mkdtemp())  # not pytest's: the name of a socket must be short
        os.mkfifo(self._folder / USED)
        opened = os.open(self._folder / USED, os.O_RDWR)  # waits for nobody
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", self._note, self._folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n", "the server of warm calls has not started"
            self._used = os.open(self._folder / USED, os.O_WRONLY)
        finally:
            os.close(opened)
            server.stdout.close()
        self._note.write_text(str(self._folder))

    def close(self) -> None:
        """Use the server no more."""
        if self._used is not None:
            os.close(self._used)
            self._used = None


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        sys.path[0] = str(Path(__file__).parents[1])
        serve(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        status = call(sys.argv[1], sys.argv[2:])
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
            time.sleep(1)
        sys.exit(status)
