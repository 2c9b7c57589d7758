"""Each kind of origin over a real folder that the test may change."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
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
from tests.origins.servers import Process, dav_fields, only, web, webdav

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


class Servers:
    """One server of a kind for all tests, each of which has a folder below the served one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack, self._ports = folder, stack, dict[str, int]()

    def served(self, kind: str) -> Path:
        """What the server of a kind serves; beside each test's folder is what it must not read."""
        folder = self._folder / kind
        if not folder.exists():
            folder.mkdir()
            (folder / "outside").write_bytes(b"not yours")
        return folder

    def port(self, kind: str) -> int:
        """Where it listens."""
        if kind not in self._ports:
            self._ports[kind] = self._stack.enter_context(self._started(kind)).port
        return self._ports[kind]

    def _started(self, kind: str) -> AbstractContextManager[Process]:
        folder = self.served(kind)
        if kind in {"web", "pages"}:
            return web("static_server" if kind == "web" else "index_server", folder)
        return webdav(folder, self._folder, *(["--tells"] if kind == "nextcloud" else []))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """See ``Servers``."""
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture(params=KINDS)
def library(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Library:
    """Each kind in turn, over an empty folder."""
    kind: str = request.param
    folder = servers.served(kind) / uuid.uuid4().hex
    folder.mkdir()
    if kind == "folder":
        return Library(kind, folder, FolderOrigin(folder))
    if kind == "filesystem":
        settings = OriginSettings(url=f"local://{folder}", poll_s=POLL_S)
        server = FileSystem("it", Credentials(), settings)
        return Library(kind, folder, RemoteOrigin("it", server, POLL_S))
    port = servers.port(kind)
    if kind in {"web", "pages"}:
        url = f"http://127.0.0.1:{port}/" + ("files/" if kind == "web" else "") + folder.name
        return Library(kind, folder, only(tmp_path, url=url, poll_s=POLL_S), "it/")
    fields = dav_fields(port, tmp_path, poll_s=POLL_S)
    origin = only(tmp_path, **{**fields, "url": fields["url"] + folder.name})
    if kind == "mounted":
        (tmp_path / "other").mkdir()
        both = MountedOrigins({"files": origin, "other": FolderOrigin(tmp_path / "other")})
        return Library(kind, folder, both, "files/it/")
    return Library(kind, folder, origin, "it/")
