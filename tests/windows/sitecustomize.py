"""Linux as a program for Windows meets it: put this folder on PYTHONPATH, and EUFCC_WINDOWS=FOLDER.

There is no Windows to test on. What eufcc imports lacks the modules and functions that are POSIX's alone;
processes can only be spawned; text without a stated encoding is an error; and below FOLDER the file system
refuses what NTFS does: names with a colon, files that differ in letter case alone, and to replace or remove
what this process has open (what another one has open is refused twice, and then no more).
"""

import builtins
import collections
import multiprocessing.context
import os
import sys
import types
import warnings
from pathlib import Path

FOLDER = os.path.realpath(os.environ["EUFCC_WINDOWS"])
_MODULES = frozenset(("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"))
_OF_OS = """
    fork forkpty sched_getaffinity sched_setaffinity getuid geteuid getgid getegid getgroups uname nice
    statvfs fstatvfs chown lchown fchown chroot mkfifo mknod killpg setsid getpgid wait wait3 wait4 WNOHANG
    getloadavg sysconf pread pwrite posix_fadvise posix_fallocate sendfile sync fdatasync O_DIRECTORY
    O_NOFOLLOW O_CLOEXEC O_NONBLOCK
"""
_OF_SIGNAL = """
    SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGCHLD SIGSTOP SIGCONT SIGTSTP SIGQUIT pthread_sigmask
    pthread_kill alarm setitimer sigwait SIG_BLOCK SIG_SETMASK
"""
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(10))]
)


class _Seen(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, module: types.ModuleType, hidden: frozenset[str], **others: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(_module=module, _hidden=hidden, **others)

    def __getattr__(self, name: str) -> object:
        if name in self._hidden:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return getattr(self._module, name)


def _import(name: str, globals=None, locals=None, fromlist=(), level: int = 0) -> types.ModuleType:
    caller = str((globals or {}).get("__name__"))
    if level == 0 and caller.split(".")[0] == "eufcc_cli":
        if name.split(".")[0] in _MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        if name in _SEEN:
            return _SEEN[name]
    return _real_import(name, globals, locals, fromlist, level)


_real_import = builtins.__import__
_SEEN = {
    "os": _Seen(
        os,
        frozenset(_OF_OS.split()),
        name="nt",
        supports_fd=frozenset(),
        supports_follow_symlinks=frozenset(),
    ),
    "signal": _Seen(_real_import("signal"), frozenset(_OF_SIGNAL.split())),
    "sys": _Seen(sys, frozenset(), platform="win32"),
}
builtins.__import__ = _import

_real_context = multiprocessing.context.DefaultContext.get_context


def _context(self, method=None):
    if method not in (None, "spawn"):
        raise ValueError(f"cannot find context for {method!r} on Windows")
    return _real_context(self, method or "spawn")


multiprocessing.context.DefaultContext.get_context = _context
multiprocessing.get_context = multiprocessing.context._default_context.get_context
multiprocessing.set_start_method("spawn")

warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module=r"eufcc_cli(\..*)?")

_attempts: collections.Counter[str] = collections.Counter()


def _refusal(number: int, winerror: int, path: str, reason: str) -> OSError:
    error = OSError(number, f"{reason} [WinError {winerror}]", path)
    error.winerror = winerror
    return error


def _check_name(path: str) -> None:
    for part in Path(path).relative_to(FOLDER).parts:
        stem = part.split(".")[0].rstrip().lower()
        if set(part) & set('<>:"|?*\\') or min(part) < " " or part[-1] in ". " or stem in _RESERVED:
            raise _refusal(22, 123, path, "The filename, directory name, or volume label syntax is incorrect")
    folder, name = os.path.split(path)
    if not os.path.lexists(path) and os.path.isdir(folder):
        for other in os.listdir(folder):
            if other.casefold() == name.casefold():
                raise _refusal(17, 183, path, f"differs from {other} in letter case alone")


def _check_closed(path: str) -> None:
    here = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))
    if path in here or f" {path}\n" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace"):
        raise _refusal(13, 32, path, "The process cannot access the file because it is being used")


def _hook(event: str, arguments: tuple) -> None:
    if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not isinstance(
        arguments[0], str | bytes
    ):
        return
    frame = sys._getframe().f_back
    while frame and frame.f_globals.get("__name__", "").split(".")[0] in (
        "pathlib",
        "os",
        "shutil",
        "tempfile",
    ):
        frame = frame.f_back
    caller = frame.f_globals.get("__name__", "") if frame else ""
    if caller.split(".")[0] in ("filelock", "sitecustomize"):  # which have a backend of their own for Windows
        return
    if event == "open" and not (arguments[2] or 0) & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
        return
    paths = [os.path.abspath(os.fsdecode(path)) for path in arguments[: 2 if event == "os.rename" else 1]]
    paths = [os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in paths]
    if not all(path.startswith(f"{FOLDER}/") for path in paths):
        return
    if event in ("open", "os.mkdir", "os.rename"):
        _check_name(paths[-1])
    if event in ("os.rename", "os.remove"):
        for path in paths:
            _check_closed(path)
    if event == "os.rename" and os.path.exists(paths[-1]):
        _attempts[paths[-1]] += 1
        if _attempts[paths[-1]] % 3:
            raise _refusal(13, 5, paths[-1], "Access is denied")


sys.addaudithook(_hook)
