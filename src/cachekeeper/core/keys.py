"""Keys, tags, device ids and relative paths: what a well-formed one looks like.

Each function returns its argument, so that it can stand where the value is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, TypeGuard

from cachekeeper.errors import ForbiddenPath, InvalidInput

MAX_KEY_BYTES: Final = 512
NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
DEVICE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: A whole key; of how many bytes is another question, but for those that are short in any case.
_KEY = re.compile(NAMESPACE.pattern + r":[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_SHORT = MAX_KEY_BYTES // 4  # characters, of at most four bytes each

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # just the characters of category Cc

_KEY_RULE = (
    f"namespace:rest, 1 to {MAX_KEY_BYTES} bytes of UTF-8 without control characters, "
    "the namespace of letters, digits, '.', '_' and '-'"
)
_TAG_RULE = f"1 to {MAX_KEY_BYTES} bytes of UTF-8 without control characters"
_PATH_RULE = "a relative path below its folder, without '..', '.', backslash or control characters"


def check_key(key: object, field: str = "key") -> str:
    """A key, ``namespace:rest``.

    Raises:
        InvalidInput: it is none; names ``field``.
    """
    if not (isinstance(key, str) and are_keys([key])):
        raise InvalidInput(field, key, _KEY_RULE)
    return key


def are_keys(texts: Iterable[object]) -> bool:
    """Whether all of them are keys: for many at once."""
    whole = _KEY.fullmatch
    return all(
        isinstance(text, str)
        and whole(text) is not None
        and (len(text) <= _SHORT or len(text.encode()) <= MAX_KEY_BYTES)
        for text in texts
    )


def check_tag(tag: object, field: str = "tag") -> str:
    """A tag: any short text. Raises InvalidInput otherwise."""
    if not _is_text(tag):
        raise InvalidInput(field, tag, _TAG_RULE)
    return tag


def check_namespace(name: object, field: str = "namespace") -> str:
    """The part of a key before its colon. Raises InvalidInput otherwise."""
    if not (isinstance(name, str) and NAMESPACE.fullmatch(name)):
        raise InvalidInput(field, name, f"text that matches {NAMESPACE.pattern}")
    return name


def check_device(device: object, field: str = "device") -> str:
    """A device id. Raises InvalidInput otherwise."""
    if not (isinstance(device, str) and DEVICE.fullmatch(device)):
        raise InvalidInput(field, device, f"text that matches {DEVICE.pattern}")
    return device


def check_path(path: object, field: str = "path") -> str:
    """A relative POSIX path that can't leave its folder by its own words (links apart).

    Raises:
        ForbiddenPath: absolute, empty, climbing or ambiguous.
    """
    if not _is_text(path) or "\\" in path or path.startswith("/"):
        raise ForbiddenPath(field, path, _PATH_RULE)
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ForbiddenPath(field, path, _PATH_RULE)
    return path


def file_key(path: str) -> str:
    """The key of a file of the origin."""
    return f"file:{path}"


def folder_key(folder: str) -> str:
    """The key of what stands in a folder of the origin, '' for the topmost one."""
    return f"folder:{folder or '.'}"


def namespace_of(key: str) -> str:
    """The namespace of a well-formed key."""
    return key.partition(":")[0]


def folder_of(path: str) -> str:
    """The folder of a relative path, '' for the topmost one."""
    return path.rpartition("/")[0]


def parent_of(path: str) -> str:
    """The folder of a relative path, ``.`` for the top."""
    return str(PurePosixPath(path).parent)


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not value:
        return False
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # a lone surrogate, as os.fsdecode makes of broken names
        return False
    return size <= MAX_KEY_BYTES and not _CONTROL.search(value)
