"""What a WebDAV server answers to PROPFIND (RFC 4918, 14.16), read without keeping the tree."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # see _Rows.doctype
from dataclasses import dataclass, field
from typing import Final

DAV: Final = "{DAV:}"
#: Only these servers have it, and their folders' ETags tell of anything that changes below.
OWNCLOUD_ID: Final = "{http://owncloud.org/ns}id"

ASKED: Final = (
    '<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" '
    'xmlns:o="http://owncloud.org/ns"><d:prop><d:resourcetype/><d:getcontentlength/><d:getetag/>'
    "<d:getlastmodified/><o:id/></d:prop></d:propfind>"
)


@dataclass(slots=True)
class Row:
    """One thing on the server; ``properties`` are those it has, by their names of XML."""

    href: str = ""
    folder: bool = False
    properties: dict[str, str] = field(default_factory=dict)


def rows(answer: bytes) -> list[Row]:
    """The things an answer tells of.

    Raises:
        ValueError: it is no such answer.
    """
    reader = _Rows()
    parser = ET.XMLParser(target=reader)  # noqa: S314  # the same
    try:
        parser.feed(answer)
        parser.close()
    except (ET.ParseError, LookupError) as error:  # the latter: an encoding that nobody knows
        raise ValueError(str(error)) from error
    return reader.rows


class _Rows:
    """Called for each piece of XML as it is parsed."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._row, self._part = Row(), Row()
        self._text: list[str] = []
        self._status, self._in_part, self._multistatus = "", False, False

    def doctype(self, name: str, public: str, system: str) -> None:  # noqa: ARG002  # as it is called
        # Without one there are no entities: none that swell, and none that name files of ours.
        raise ValueError("a document type, which no WebDAV server sends")

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  # the same
        self._text.clear()
        if tag == f"{DAV}multistatus":
            self._multistatus = True
        elif tag == f"{DAV}response":
            self._row = Row()
        elif tag == f"{DAV}propstat":
            self._part, self._status, self._in_part = Row(), "", True
        elif tag == f"{DAV}collection":
            self._part.folder = True

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        text = "".join(self._text).strip()
        self._text.clear()
        if tag == f"{DAV}href" and not self._row.href:
            self._row.href = text
        elif tag == f"{DAV}status" and self._in_part:
            self._status = text
        elif tag == f"{DAV}status" and " 5" in text:
            raise ValueError(f"it ends with {text}")  # 507: more is there than it tells of
        elif tag == f"{DAV}propstat":
            self._in_part = False
            if " 200" in self._status:  # the others are those that it has not
                self._row.properties |= self._part.properties
                self._row.folder |= self._part.folder
        elif tag == f"{DAV}response":
            self.rows.append(self._row)
        elif text:
            self._part.properties[tag] = text

    def close(self) -> None:
        if not self._multistatus:
            raise ValueError("no multistatus")
