"""Real servers over a folder, each in a process of its own, and origins that read them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cachekeeper.core.ports.origins import Origin
from cachekeeper.origin.opening import opened
from cachekeeper.settings import Settings
from tests.origins.webdav_server import PASSWORD, USER

ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A server; ``stop`` kills it at once."""

    child: subprocess.Popen[str]
    port: int
    requests: Path = field(default=Path(os.devnull))

    def asked(self) -> list[str]:
        """``METHOD path`` of each request so far."""
        return self.requests.read_text().splitlines()

    def stop(self) -> None:
        self.child.kill()
        self.child.wait()


def started(module: str, *arguments: str) -> Process:
    """A server process that has said its port."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"tests.origins.{module}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        return Process(child, int(child.stdout.readline()))


@contextmanager
def webdav(folder: Path, beside: Path, *options: str) -> Iterator[Process]:
    """A WebDAV server of a folder; ``beside`` is where it may write."""
    requests = beside / f"requests-{uuid.uuid4().hex}"
    requests.touch()
    process = started("webdav_server", str(folder), str(requests), *options)
    process.requests = requests
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def web(module: str, folder: Path) -> Iterator[Process]:
    """A web server of a folder."""
    process = started(module, str(folder))
    try:
        yield process
    finally:
        process.stop()


def dav_fields(port: int, secrets: Path, **more: Any) -> dict[str, Any]:
    """The settings of an origin on ``webdav``."""
    password = secrets / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return {
        "url": f"webdav://127.0.0.1:{port}/dav/my files/",
        "user": USER,
        "password_file": password,
        **more,
    }


def only(state: Path, **fields: Any) -> Origin:
    """The one origin ``it``: its paths begin with ``it/``."""
    made = opened(Settings(state=state, origins={"it": fields}))
    assert made is not None
    return made
