"""Libraries for the tests: a small one of real pictures and notes, and one with everything odd."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from demo.pictures import painted

PICTURES, NOTES = 96, 24
ALBUMS = 4


def make_small(folder: Path) -> None:
    """120 real files: enough to page through, small enough to be made in no time."""
    for number in range(PICTURES):
        album = folder / "Photos" / f"Album {number % ALBUMS}"
        album.mkdir(parents=True, exist_ok=True)
        picture = painted(160, 120, seed=number)
        (album / f"IMG_{number}.jpg").write_bytes(picture)
    for number in range(NOTES):
        (folder / f"note {number}.txt").write_text(f"note {number}\n" * 100, encoding="utf-8")


def make_odd(folder: Path, outside: Path) -> None:
    """Beside ordinary files, whatever else people's folders hold; a link leads ``outside``."""
    secret = outside / "secret.txt"
    secret.write_text("not in the library\n", encoding="utf-8")
    odd = folder / "odd things"
    deep = odd / "ein Ordner" / "ウサギ" / "🎉 party"
    deep.mkdir(parents=True)
    (deep / "naïve café 🍰.txt").write_text("cake\n", encoding="utf-8")
    (deep / "[bold]no markup[x].txt").write_text("plain\n", encoding="utf-8")
    (odd / "two\nlines.txt").write_text("a newline in its name\n", encoding="utf-8")
    (odd / "back\\slash.txt").write_text("a backslash in its name\n", encoding="utf-8")
    (odd / os.fsdecode(b"latin-1 \xe9.txt")).write_text("no UTF-8\n", encoding="utf-8")
    (odd / f"{'n' * 47}{'🙂' * 51}.txt").write_text("a long name\n", encoding="utf-8")
    (odd / "empty.txt").touch()
    (odd / "truncated.jpg").write_bytes(painted(160, 120, seed=1)[:900])
    (odd / ".hidden").write_text("hidden\n", encoding="utf-8")
    (odd / ".hidden folder").mkdir()
    (odd / ".hidden folder" / "inside.txt").write_text("hidden too\n", encoding="utf-8")
    (odd / "link to a file").symlink_to(secret)
    (odd / "link to a folder").symlink_to(outside, target_is_directory=True)
    (odd / "link to nowhere").symlink_to("nowhere")
    (odd / "twin.txt").hardlink_to(odd / "empty.txt")
    os.mkfifo(odd / "pipe")
    path = odd
    while len(os.fsencode(path.relative_to(folder))) < 520:  # longer than a key may be
        path = path / ("d" * 100)
    path.mkdir(parents=True)
    (path / "deep.txt").write_text("far down\n", encoding="utf-8")
    sealed = odd / "unreadable.txt"
    sealed.write_text("sealed\n", encoding="utf-8")
    sealed.chmod(0)


@dataclass(frozen=True)
class Seen:
    """What can be seen of a file without having it changed."""

    kind: int
    mode: int
    size: int
    modified_ns: int
    changed_ns: int  # of the inode: a link made to it, a mode set and set back
    inode: int
    links: int
    owner: int
    content: str


def seen(folder: Path) -> dict[bytes, Seen]:
    """Everything in a folder, itself included, by the bytes of its path."""
    return {os.fsencode(path): _seen(path) for path in (folder, *sorted(folder.rglob("*")))}


def _seen(path: Path) -> Seen:
    status = path.lstat()
    content = ""
    if path.is_symlink():
        content = str(path.readlink())
    elif stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return Seen(
        stat.S_IFMT(status.st_mode),
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_nlink,
        status.st_uid,
        content,
    )
