"""Opening what lies below a folder, part by part: no part may be a link, now or a moment later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: A link is not followed, and a pipe not waited for.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root: Path, *parts: str) -> int:
    """A descriptor, to be closed by the caller, of what the parts lead to.

    Raises:
        OSError: it is not there (ENOENT), or a part is a link (ELOOP or ENOTDIR).
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts, 1):
        try:
            below = os.open(part, READ if number == len(parts) else _FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle


@contextmanager
def folder_beneath(root: Path, *parts: str, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder below ``root``, made (mode 0700) if asked to.

    Raises:
        OSError: as ``open_beneath``.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=handle)
            below = os.open(part, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)
