"""Runs the examples of a document, in order, in the folder where it is started.

    python run_document.py FILE

A block of text behind one that is run is what that one prints at its end, but for its percentages.
Blocks of python share their names; blocks of bash run with `bash -euo pipefail`. A block that is
one `keras-attn serve` runs on beside the rest until the end, once its port is open.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.M | re.S)


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a document: language and text."""
    return [(found[1], found[2]) for found in BLOCK.finditer(text)]


def run(path: Path) -> None:
    """Runs them; raises what the first one that fails raises."""
    names = {"__name__": "__main__"}
    printed = None
    with contextlib.ExitStack() as servers:
        for i, (language, code) in enumerate(blocks(path.read_text(encoding="utf-8")), start=1):
            print(f"== {path.name}, block {i}: {language}", flush=True)
            if language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(code, f"{path.name}, block {i}", "exec"), names)
                printed = out.getvalue()
                print(printed)
            elif language == "bash" and code.startswith("keras-attn serve "):
                servers.enter_context(serving(code))
                printed = None
            elif language == "bash":
                command = ["bash", "-euo", "pipefail", "-c", code]
                printed = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True
                ).stdout
                print(printed)
            elif language == "text" and printed is not None:
                end = normal(printed)[-len(normal(code)) :]
                if end != normal(code):
                    raise ValueError(f"{path.name}, block {i} is {code!r}. Received: {printed!r}")
            else:
                printed = None


def normal(text: str) -> list[str]:
    """Lines without the spaces around them, and without percentages."""
    return [re.sub(r"[\d.]+ ?%", "#", line).strip() for line in text.strip().splitlines()]


@contextlib.contextmanager
def serving(command: str):
    """A server from when its port is open on."""
    arguments = shlex.split(command, comments=True)
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else 8501
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))  # or another server would answer
    server = subprocess.Popen(arguments)
    try:
        end = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        else:
            raise RuntimeError(f"{command} does not answer")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
