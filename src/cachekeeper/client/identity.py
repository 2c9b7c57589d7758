"""What this process is called where it is written down who asked."""

from __future__ import annotations

import os
import socket
import sys
from functools import cache
from pathlib import Path

SHOWN = 80  # characters of the host's name, and of the program's


def this_process() -> str:
    """``host:pid program``, the program as it was started."""
    return f"{_host()}:{os.getpid()} {_program()}"


@cache
def _host() -> str:
    return _printable(socket.gethostname())


def _program() -> str:
    started = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    if started.name == "__main__.py":  # python -m package
        return _printable(started.parent.name)
    return _printable(started.name) if started.name not in ("", "-c", "-m") else "python"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:SHOWN])
