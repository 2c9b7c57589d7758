"""The copy of a library that the morning plays with; the library itself is only ever read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cachekeeper.core.keys import check_key, check_path
from cachekeeper.errors import ConfigurationError, InvalidInput

MOST_FILES = 10_000
RENAMED = " renamed 9999"  # what a rename adds at most: the new name must do as well
LARGEST = 32 * 1024 * 1024  # this version holds a file in memory while it moves


@dataclass(frozen=True)
class Copied:
    """What was copied and what was left out; ``bytes`` of all copies."""

    files: int
    bytes: int
    skipped: dict[str, int]


def check_apart(library: Path, state: Path) -> Path:
    """The folder that ``library`` names; to be asked before anything is written.

    Raises:
        ConfigurationError: it is no folder, or it and the state folder lie inside one another.
    """
    source, written = library.expanduser().resolve(), state.resolve()
    if not source.is_dir():
        raise ConfigurationError(f"LIBRARY: {library} is not a folder")
    if written.is_relative_to(source):
        raise ConfigurationError(f"LIBRARY: the state folder lies inside {library}; use --state")
    if source.is_relative_to(written):
        raise ConfigurationError(f"LIBRARY: {library} lies inside the state folder; use --state")
    return source


def copy(source: Path, target: Path) -> Copied:
    """Copy regular files of ``source`` to ``target``, never as links.

    Raises:
        ConfigurationError: it holds nothing to copy, or nothing but empty files.
    """
    files, size, skipped = 0, 0, dict.fromkeys(("over the limit", "too large", "odd name"), 0)
    for path, entry in _regular_files(source):
        copied = target / path
        try:
            if reason := _refusal(path, entry, files):
                skipped[reason] += 1
                continue
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(entry.path, copied)
        except FileNotFoundError:  # somebody has deleted it meanwhile
            continue
        files, size = files + 1, size + copied.stat().st_size
    if not files:
        raise ConfigurationError(f"LIBRARY: {source} holds no file to copy")
    if not size:
        raise ConfigurationError(f"LIBRARY: {source} holds nothing but empty files")
    return Copied(files, size, {reason: n for reason, n in skipped.items() if n})


def _refusal(path: str, entry: os.DirEntry[str], files: int) -> str | None:
    if files >= MOST_FILES:
        return "over the limit"
    if entry.stat(follow_symlinks=False).st_size > LARGEST:
        return "too large"
    try:
        check_path(path)
        check_key(f"thumb:{path}{RENAMED}")
    except InvalidInput:
        return "odd name"
    return None


def _regular_files(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(relative path, entry), in a fixed order; what is hidden, linked or closed to us is not."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (PermissionError, FileNotFoundError):
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _regular_files(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file() and os.access(entry.path, os.R_OK):
            yield f"{prefix}{entry.name}", entry
