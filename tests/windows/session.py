"""Commands of eufcc, one after another in one process: python session.py COMMANDS.json [< LIST].

The file holds a list of argument lists. Beside it, N.out and N.err get what command N prints, and codes.json
the exit codes. A command with --review is answered as by a browser, and then ended as by Ctrl-C.
"""

import _thread
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path


def _review(printed: Path) -> None:
    """Open the page whose URL a command printed, decide about its first suggestion, and press Ctrl-C."""
    import httpx

    try:
        while not (url := printed.read_text(encoding="cp1252").strip()):
            time.sleep(0.02)
        for path in ("", "api/start", "thumbnail/0"):
            assert httpx.get(url + path, timeout=60).status_code == 200, path
        body, origin = {"rows": [[0, "accepted"]]}, url[: url.index("/", 8)]
        answer = httpx.post(url + "api/decide", json=body, headers={"Origin": origin}, timeout=60)
        assert answer.status_code == 200, answer.text
    finally:
        _thread.interrupt_main()


def _run(arguments: list[str], out: Path, err: Path) -> int:
    from eufcc_cli.cli import app

    for file, number in ((out, 1), (err, 2)):
        opened = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    if "--review" in arguments:
        threading.Thread(target=_review, args=(out,), daemon=True).start()
    try:
        app(arguments, prog_name="eufcc")
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()  # what a process that ended would have closed
    return code


def main() -> None:
    commands = Path(sys.argv[1])
    codes = []
    for number, arguments in enumerate(json.loads(commands.read_text(encoding="utf-8"))):
        at = commands.with_name(str(number))
        codes.append(_run(arguments, at.with_suffix(".out"), at.with_suffix(".err")))
    commands.with_name("codes.json").write_text(json.dumps(codes), encoding="utf-8")


if __name__ == "__main__":
    main()
