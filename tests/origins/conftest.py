"""Each kind of origin over a real folder that the test may change."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cachekeeper.core.ports.origins import Origin
from cachekeeper.origin.credentials import Credentials
from cachekeeper.origin.filesystem import FileSystem
from cachekeeper.origin.folder import FolderOrigin
from cachekeeper.origin.mounted import MountedOrigins
from cachekeeper.origin.remote import RemoteOrigin
from cachekeeper.origin_settings import OriginSettings
from tests.origins.servers import dav_fields, only, web, webdav

KINDS = ("folder", "webdav", "nextcloud", "web", "pages", "filesystem", "mounted")
POLL_S = 0.1
_seconds = itertools.count(1_000_000_000)


@dataclass
class Library:
    """A folder, and the origin that reads it through whatever lies between."""

    kind: str
    folder: Path
    origin: Origin
    prefix: str = ""  # of its paths in the origin

    def path(self, name: str) -> str:
        """A file's path in the origin."""
        return f"{self.prefix}{name}"

    def write(self, name: str, body: bytes) -> None:
        """As an editor does that writes into the file; no two writes in the same second."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        aged(path)

    def replace(self, name: str, body: bytes) -> None:
        """As an editor does that writes another file and renames it."""
        new = self.folder / f".{next(_seconds)}"
        new.write_bytes(body)
        aged(new)
        new.replace(self.folder / name)

    @property
    def lists(self) -> bool:
        """Whether it has lists at all."""
        return self.kind != "web"


def aged(path: Path) -> None:
    """Web servers tell times in seconds: let a second pass in the file's time, not in ours."""
    second = next(_seconds)
    os.utime(path, (second, second))


Opens = Callable[[str], Library]


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Makes a library of a kind."""
    with ExitStack() as servers:
        yield lambda kind: _opened(kind, tmp_path, servers)


@pytest.fixture(params=KINDS)
def library(request: pytest.FixtureRequest, opens: Opens) -> Library:
    """Each kind in turn."""
    return opens(request.param)


def _opened(kind: str, tmp_path: Path, servers: ExitStack) -> Library:
    folder = tmp_path / "library"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(b"not yours")
    if kind == "folder":
        return Library(kind, folder, FolderOrigin(folder))
    if kind == "filesystem":
        settings = OriginSettings(url=f"local://{folder}", poll_s=POLL_S)
        server = FileSystem("it", Credentials(), settings)
        return Library(kind, folder, RemoteOrigin("it", server, POLL_S))
    if kind in {"web", "pages"}:
        module = "static_server" if kind == "web" else "index_server"
        process = servers.enter_context(web(module, folder))
        url = f"http://127.0.0.1:{process.port}/" + ("files/" if kind == "web" else "")
        return Library(kind, folder, only(tmp_path, url=url, poll_s=POLL_S), "it/")
    process = servers.enter_context(
        webdav(folder, tmp_path, *(["--tells"] if kind == "nextcloud" else []))
    )
    origin = only(tmp_path, **dav_fields(process.port, tmp_path, poll_s=POLL_S))
    if kind == "mounted":
        (tmp_path / "other").mkdir()
        both = MountedOrigins({"files": origin, "other": FolderOrigin(tmp_path / "other")})
        return Library(kind, folder, both, "files/it/")
    return Library(kind, folder, origin, "it/")
