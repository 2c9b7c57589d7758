"""Any other file system that fsspec knows (S3, SFTP, SMB, ...): by its URL and its package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import fsspec

from cachekeeper.core.keys import check_path
from cachekeeper.core.ports.origins import Listed, Version
from cachekeeper.errors import (
    CachekeeperError,
    ConfigurationError,
    ForbiddenPath,
    OriginMissing,
    OriginUnavailable,
)
from cachekeeper.origin.credentials import Credentials
from cachekeeper.origin.streamed import Content
from cachekeeper.origin_settings import OriginSettings

#: What `info` and `ls` of a protocol call the change token; the first that is there is taken.
#: Not fsspec's own `ukey`: it is made of all that there is, or is always the same.
TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": ("ETag", "VersionId"),
    "gs": ("etag", "generation"),
    "abfs": ("etag",),
    "sftp": ("mtime",),
    "smb": ("last_write_time",),
}
ANY: Final = ("ETag", "etag", "LastModified", "last_modified", "mtime", "modified", "created")

#: What a protocol calls the user and the password.
NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "s3": ("key", "secret"),
    "sftp": ("username", "password"),
    "smb": ("username", "password"),
}


class FileSystem:
    """A root on a file system of fsspec.

    Raises:
        ConfigurationError: there is no such file system, or its package is missing.
    """

    def __init__(self, name: str, credentials: Credentials, settings: OriginSettings) -> None:
        self._name = name
        protocol = settings.scheme
        self._tokens = TOKENS.get(protocol, ANY)
        options: dict[str, Any] = dict(settings.options)
        if credentials.secret is not None:
            if protocol not in NAMES or credentials.user is None:
                known = ", ".join(sorted(NAMES))
                raise ConfigurationError(
                    f"origins.{name}: user and password are for {known}; "
                    f"for {protocol} see the variables that its package reads"
                )
            options |= dict(
                zip(NAMES[protocol], (credentials.user, credentials.secret), strict=True)
            )
        try:
            kind = fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"origins.{name}: {protocol}: {error}") from None
        self._make: Callable[[], Any] = lambda: fsspec.url_to_fs(
            settings.url, skip_instance_cache=True, **options
        )[0]
        self._files: Any = None
        self._pid = os.getpid()
        self._root = str(kind._strip_protocol(settings.url)).rstrip("/")

    def stat(self, path: str) -> Version:
        """As `info` says."""
        with self._errors(path):
            return self._version(path, self._fs().info(self._full(path)))

    def get(self, path: str, start: int) -> Content:
        """The file of fsspec, which asks for ranges where its protocol has them."""
        version = self.stat(path)
        with self._errors(path):
            file: BinaryIO = self._fs().open(self._full(path), "rb")
            file.seek(start)
        return _File(file, version, start, lambda: self._errors(path))

    def check(self, path: str) -> Version:
        """The same as ``stat``."""
        return self.stat(path)

    def list(self, folder: str) -> list[Listed]:
        """As `ls` says; folders have no tokens."""
        with self._errors(folder):
            where = self._full(folder)
            if self._fs().info(where).get("type") != "directory":
                raise OriginMissing(f"{self._name}: {folder} is no folder")
            found = self._fs().ls(where, detail=True)
            return list(self._listed(folder, found))

    def _listed(self, folder: str, found: Iterable[Mapping[str, Any]]) -> Iterator[Listed]:
        for each in found:
            name = str(each["name"]).rstrip("/").rpartition("/")[2]
            path = f"{folder}/{name}" if folder else name
            if str(each["name"]).rstrip("/") == self._full(folder):
                continue  # a folder of an object store that lists itself
            try:
                check_path(path)
            except ForbiddenPath:
                continue
            if each.get("type") == "directory":
                yield Listed(path, None)
            elif each.get("type") == "file":
                yield Listed(path, self._version(path, each))

    def _version(self, path: str, info: Mapping[str, Any]) -> Version:
        if info.get("type") != "file":
            raise ForbiddenPath("path", path, "a regular file")
        size = info.get("size")
        if not isinstance(size, int):
            raise OriginUnavailable(f"{self._name}: it does not say how large {path} is")
        token = next((str(info[key]) for key in self._tokens if info.get(key) is not None), "")
        return Version(size, f"{token} {size}")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"

    def _fs(self) -> Any:
        # When it is asked for: some connect at once. Anew after a fork: neither the loop nor the
        # connections of the parent are ours.
        if self._files is None or self._pid != os.getpid():
            try:
                self._files, self._pid = self._make(), os.getpid()
            except (TypeError, ValueError) as error:
                kind = type(error).__name__
                raise ConfigurationError(f"origins.{self._name}: its options: {kind}") from None
        self._files.invalidate_cache()  # a list that it remembers is no news
        return self._files

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """What packages raise, as errors of ours; their texts may hold what is secret."""
        try:
            yield
        except CachekeeperError:
            raise
        except (FileNotFoundError, NotADirectoryError):
            raise OriginMissing(f"{self._name} has no {path or 'such folder'}") from None
        except IsADirectoryError:
            raise ForbiddenPath("path", path, "a regular file") from None
        except PermissionError:
            raise OriginUnavailable(f"{self._name}: it refuses us: see its credentials") from None
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise OriginUnavailable(
                f"{self._name}: {path}: {reason or type(error).__name__}"
            ) from None


class _File:
    """A file of fsspec that is read on from a position."""

    def __init__(
        self, file: BinaryIO, version: Version, start: int, errors: Callable[[], Any]
    ) -> None:
        self._file, self._errors = file, errors
        self.version, self.start = version, start

    def read(self, size: int) -> bytes:
        with self._errors():
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()
