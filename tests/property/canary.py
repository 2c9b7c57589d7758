"""A tree around the folders that the product may touch, and the ways in which one gets lost."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

SECRET = b"canary " + secrets.token_hex(16).encode()  # drawn once: no example depends on it


class Seen(NamedTuple):
    """What would tell that something outside was touched; reading is told by what is returned."""

    kind: int
    size: int
    changed: int
    links: int
    content: bytes | str | None


class Around:
    """Files and folders outside, one of them beside each name that the product looks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inner = folder / "a" / "b"  # what the product may use lies in here
        self.inner.mkdir(parents=True)
        self.file, self.tree = folder / "secret", folder / "outside"
        for place in (self.file, self.tree / "secret", self.tree / "x" / "secret"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(SECRET)
        (self.tree / "empty").mkdir()
        self.before = self.look()

    def look(self) -> dict[str, Seen]:
        """Everything but what is in ``inner``."""
        found = {}
        for at, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if Path(at, name) != self.inner]
            for name in (*folders, *files):
                place = Path(at, name)
                status = place.lstat()
                content: bytes | str | None = None
                if place.is_symlink():
                    content = str(place.readlink())
                elif place.is_file():
                    content = place.read_bytes()
                # Of a folder the time tells that something was made or removed in it.
                parts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_nlink)
                found[str(place.relative_to(self.folder))] = Seen(*parts, content)
        return found

    def check(self) -> None:
        """Nothing outside was made, changed, linked or removed."""
        assert self.look() == self.before

    def targets(self, from_: Path) -> list[str]:
        """Where a link that was planted may lead: outside, nowhere, or to itself."""
        up = os.path.relpath(self.folder, from_.parent)
        places = [self.file, self.tree, self.tree / "secret", self.tree / "empty", self.folder]
        return [*map(str, places), f"{up}/secret", f"{up}/outside", "nothing", from_.name, "/"]


_PARTS = st.one_of(
    st.sampled_from(
        [
            "..", ".", "", "a", "secret", "outside", "x" * 255, "x" * 256, "\0", "a\0b", "\n",
            "\x7f", "\ud800", "é", "e\u0301", "\u2024\u2024", "\uff0e\uff0e", "\u202e", "\u200b",
            "..\\..", "%2e%2e", "~", "~root", "C:", "con", " ", ".. ", "-rf", "*", "incoming",
            "..;", "\U0001f600" * 60,
        ]
    ),
    st.text(max_size=5),
)  # fmt: skip


@st.composite
def lost_paths(draw: st.DrawFn) -> str:
    """Paths as they come from the wire, most of them none of ours."""
    parts = draw(st.lists(_PARTS, max_size=6))
    before = draw(st.sampled_from(["", "", "", "/", "//", "../", "../../../", "album/", "./"]))
    return before + draw(st.sampled_from(["/", "/", "//", "\\"])).join(parts)


def lost_texts() -> st.SearchStrategy[str]:
    """The same, and what is too long for a path."""
    long = st.sampled_from(["a" * 64, "a" * 5000, "../" * 2000 + "secret", "/" * 3000])
    return lost_paths() | long


def lost_values() -> st.SearchStrategy[object]:
    """What a caller may give for a path or an id that is not even a text."""
    return lost_texts() | st.sampled_from([None, 7, b"secret", ["a"], {"a": 1}, 1.5, True])
