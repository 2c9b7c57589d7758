"""The origin of a process, as its settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cachekeeper.core.ports.origins import Origin
from cachekeeper.errors import ConfigurationError
from cachekeeper.origin.breaker import Breaker
from cachekeeper.origin.credentials import Credentials, credentials_of
from cachekeeper.origin.limited import LimitedOrigin
from cachekeeper.origin.mounted import MountedOrigins
from cachekeeper.origin.rate import ByteRate
from cachekeeper.origin.remote import RemoteOrigin, Server
from cachekeeper.origin_settings import OriginSettings
from cachekeeper.settings import Settings

HTTP: Final = {"http": "http", "https": "https", "webdav": "http", "webdavs": "https"}
#: fsspec's ways into this host, past the rules of a folder.
REFUSED: Final = {"local", "dir", "data", "generic", "reference"}


def opened(settings: Settings) -> Origin | None:
    """The folder of ``origin``, or all of ``origins``; None without either. Nothing is asked yet.

    Raises:
        ConfigurationError: a secret can't be read, or an extra is missing: it names it.
        InvalidInput: what should be a folder is none, or a URL names no place.
    """
    if settings.origin is not None:
        return _folder(settings.origin)
    if not settings.origins:
        return None
    return MountedOrigins({name: _limited(name, each) for name, each in settings.origins.items()})


def _limited(name: str, settings: OriginSettings) -> Origin:
    return LimitedOrigin(
        name,
        _opened(name, settings),
        concurrency=settings.concurrency,
        wait_s=settings.wait_s,
        breaker=Breaker(name, settings.failures),
        rate=ByteRate(int(settings.bytes_per_s)) if settings.bytes_per_s else None,
        poll_s=None if settings.scheme == "file" else settings.poll_s,
    )


def _opened(name: str, settings: OriginSettings) -> Origin:
    if settings.scheme == "file":
        path = settings.url
        return _folder(Path(path if path.startswith("/") else unquote(urlsplit(path).path)))
    credentials = credentials_of(name, settings)
    if settings.scheme in HTTP:
        return RemoteOrigin(name, _over_http(name, settings, credentials), settings.poll_s)
    if settings.scheme in REFUSED:
        raise ConfigurationError(f"origins.{name}.url: {settings.scheme} is no place of its own")
    with _extra(name, "fsspec", "fsspec"):
        from cachekeeper.origin.filesystem import FileSystem
    return RemoteOrigin(name, FileSystem(name, credentials, settings), settings.poll_s)


def _over_http(name: str, settings: OriginSettings, credentials: Credentials) -> Server:
    dav = settings.scheme.startswith("webdav")
    with _extra(name, "webdav" if dav else "http", "urllib3"):
        from cachekeeper.origin.address import root_of
        from cachekeeper.origin.web import WebServer
        from cachekeeper.origin.webdav import WebdavServer
        from cachekeeper.origin.wire import Wire
    url = HTTP[settings.scheme] + "://" + settings.url.partition("://")[2]
    wire = Wire(name, root_of(url, f"origins.{name}.url"), credentials, settings)
    return WebdavServer(wire) if dav else WebServer(wire)


def _folder(path: Path) -> Origin:
    # Here, as all others are: a producer without an origin needs nothing that watches folders.
    from cachekeeper.origin.folder import FolderOrigin

    return FolderOrigin(path)


@contextmanager
def _extra(origin: str, extra: str, package: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ConfigurationError(
            f"origins.{origin}: it needs {package}: pip install 'cachekeeper[{extra}]'"
        ) from None
