"""What an origin lists, compared with the versions that are known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from cachekeeper.core.ports.origins import Listed, Version

DIGEST_BYTES: Final = 8
#: What is known of a folder: that it is one. Its name ends with a slash.
FOLDER: Final = b"/"


def digest_of(version: Version) -> bytes:
    """A version as it is kept: of one size, whatever an origin takes for a token."""
    text = f"{version.size} {version.token}"
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(slots=True)
class Difference:
    """What a folder has that was known otherwise; names within the folder, without slashes."""

    same: int = 0  # files
    changed: dict[str, bytes] = field(default_factory=dict)  # name -> its version now
    new: dict[str, bytes] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # all that it has
    new_folders: list[str] = field(default_factory=list)
    gone_folders: list[str] = field(default_factory=list)

    @property
    def lists_otherwise(self) -> bool:
        """Whether a list of the folder reads otherwise."""
        return bool(self.new or self.gone or self.new_folders or self.gone_folders)


def compare(known: Mapping[str, bytes], listed: Iterable[Listed]) -> Difference:
    """What became of a folder, of which ``known`` has files and folders by name."""
    found, there = Difference(), set[str]()
    for each in listed:
        name = each.path.rpartition("/")[2]
        if each.version is None:
            there.add(f"{name}/")
            found.folders.append(name)
            if f"{name}/" not in known:
                found.new_folders.append(name)
            continue
        there.add(name)
        now, before = digest_of(each.version), known.get(name)
        if before is None:
            found.new[name] = now
        elif before != now:
            found.changed[name] = now
        else:
            found.same += 1
    missing = known.keys() - there
    found.gone = sorted(name for name in missing if not name.endswith("/"))
    found.gone_folders = sorted(name[:-1] for name in missing if name.endswith("/"))
    return found


def inside(folder: str, name: str) -> str:
    """The path of a name in a folder, '' for the topmost one."""
    return f"{folder}/{name}" if folder else name
