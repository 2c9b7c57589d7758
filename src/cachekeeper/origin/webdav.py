"""Files of a WebDAV server, Nextcloud among them: versions and lists by PROPFIND."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from cachekeeper.core.ports.origins import Listed, Version
from cachekeeper.errors import ForbiddenPath, OriginMissing, OriginUnavailable
from cachekeeper.origin.multistatus import ASKED, DAV, OWNCLOUD_ID, Row, rows
from cachekeeper.origin.streamed import Content
from cachekeeper.origin.wire import Wire, length_in, token_of

_HEADERS: Final = {"Content-Type": "application/xml; charset=utf-8"}


class WebdavServer:
    """A server that speaks WebDAV (RFC 4918)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def stat(self, path: str) -> Version:
        """Its length and ETag, else when it was modified."""
        try:
            found = self._found(path, "0")
        except OriginMissing:
            self._check_root()
            raise
        row = self._own(found, path)
        if row.folder:
            raise ForbiddenPath("path", path, "a regular file")
        return self._version(path, row)

    def get(self, path: str, start: int) -> Content:
        """By GET. Asked first whether it is a file: on some servers a folder has a page."""
        size = self.stat(path).size
        content = self._wire.get(path, start)
        if content.version.size != size:
            content.close()
            raise OriginUnavailable(
                f"{self._wire.name}: {path} has {size} bytes, and gives {content.version.size}"
            )
        return content

    def check(self, path: str) -> Version:
        """As a GET says it; some servers write the ETag of a PROPFIND in another way."""
        return self._wire.stat(path)

    def list(self, folder: str) -> list[Listed]:
        """What is in a folder; folders have tokens where a change below shows in them."""
        try:
            found = self._found(folder, "1")
        except OriginMissing:
            self._check_root()
            raise
        if not self._own(found, folder).folder:
            raise OriginMissing(f"{self._wire.name}: {folder} is no folder")
        return [
            self._listed(path, row)
            for path, row in found.items()
            if path and path.rpartition("/")[0] == folder
        ]

    def _own(self, found: dict[str, Row], path: str) -> Row:
        """What was asked for; without it the rest is no list of a folder of ours."""
        if path not in found:
            raise OriginUnavailable(
                f"{self._wire.name}: it answers for what is not below {self._wire.root}"
            )
        return found[path]

    def _listed(self, path: str, row: Row) -> Listed:
        if not row.folder:
            return Listed(path, self._version(path, row))
        tells = OWNCLOUD_ID in row.properties
        return Listed(path, None, row.properties.get(f"{DAV}getetag", "") if tells else "")

    def _version(self, path: str, row: Row) -> Version:
        length = length_in(row.properties.get(f"{DAV}getcontentlength", ""))
        if length is None:
            raise OriginUnavailable(f"{self._wire.name}: it does not say how large {path} is")
        etag = row.properties.get(f"{DAV}getetag", "")
        modified = row.properties.get(f"{DAV}getlastmodified", "")
        return Version(length, token_of(etag, modified, length))

    def _found(self, path: str, depth: str) -> dict[str, Row]:
        wire = self._wire
        target = wire.root.target(path, folder=depth == "1")
        with closing(wire.ask("PROPFIND", target, {**_HEADERS, "Depth": depth}, ASKED)) as answer:
            if answer.status != 207:
                raise OriginUnavailable(f"{wire.name}: {wire.root} is no WebDAV folder")
            body = answer.whole()
        try:
            found = rows(body)
        except ValueError as error:
            raise OriginUnavailable(f"{wire.name}: it answers no PROPFIND: {error}") from None
        named = ((wire.root.below(row.href), row) for row in found)
        return {path: row for path, row in named if path is not None}

    def _check_root(self) -> None:
        """A storage that is not mounted has not lost its files. Raises OriginUnavailable."""
        try:
            self._found("", "0")
        except OriginMissing:
            wire = self._wire
            raise OriginUnavailable(f"{wire.name}: {wire.root} is away") from None
