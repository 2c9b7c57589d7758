"""The copy of a library that the morning plays with; the library itself is only ever read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cachekeeper.core.keys import check_key
from cachekeeper.errors import ConfigurationError, InvalidInput

MOST_FILES = 10_000
LARGEST = 32 * 1024 * 1024  # this version holds a file in memory while it moves


@dataclass(frozen=True)
class Copied:
    """What was copied and what was left out; ``bytes`` of all copies."""

    files: int
    bytes: int
    skipped: dict[str, int]


def copy(library: Path, target: Path) -> Copied:
    """Copy regular files of ``library`` to ``target``, never as links.

    Raises:
        ConfigurationError: it is no folder, holds nothing to copy, or ``target`` lies inside it.
    """
    source = library.expanduser().resolve()
    if not source.is_dir():
        raise ConfigurationError(f"LIBRARY: {library} is not a folder")
    if target.resolve().is_relative_to(source):
        raise ConfigurationError(f"LIBRARY: the state folder lies inside {library}; use --state")
    files, size, skipped = 0, 0, dict.fromkeys(("over the limit", "too large", "odd name"), 0)
    for path, entry in _regular_files(source):
        reason = _refusal(path, entry, files)
        if reason:
            skipped[reason] += 1
            continue
        copied = target / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.path, copied)
        files, size = files + 1, size + copied.stat().st_size
    if not files:
        raise ConfigurationError(f"LIBRARY: {library} holds no file to copy")
    return Copied(files, size, {reason: n for reason, n in skipped.items() if n})


def _refusal(path: str, entry: os.DirEntry[str], files: int) -> str | None:
    if files >= MOST_FILES:
        return "over the limit"
    if entry.stat(follow_symlinks=False).st_size > LARGEST:
        return "too large"
    try:
        check_key(f"thumb:{path}")
    except InvalidInput:
        return "odd name"
    return None


def _regular_files(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(relative path, entry) in a fixed order; hidden ones and links are passed over."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _regular_files(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file() and os.access(entry.path, os.R_OK):
            yield f"{prefix}{entry.name}", entry
