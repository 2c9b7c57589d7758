"""Libraries that the tests of the demo share, and one whole run of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.demo.library import Seen, make_odd, make_small, seen
from tests.demo.runs import SHORT, Ended, ended


@dataclass(frozen=True)
class Checked:
    """A whole `demo check`, and the library before and after."""

    library: Path
    before: dict[bytes, Seen]
    after: dict[bytes, Seen]
    run: Ended


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 real files. Nobody may change them."""
    folder = tmp_path_factory.mktemp("library")
    make_small(folder)
    return folder


@pytest.fixture(scope="package")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A short morning, played to its end on a library with everything odd in it."""
    folder = tmp_path_factory.mktemp("odd")
    library, outside = folder / "my [photos" / "b]", folder / "outside"
    library.mkdir(parents=True)
    outside.mkdir()
    make_small(library)
    make_odd(library, outside)
    before = seen(folder)
    run = ended(sys.executable, "-m", SHORT, "check", "--library", library)
    return Checked(library, before, seen(folder), run)
