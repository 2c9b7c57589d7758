"""No path, id or planted link leads out of the folders of blobs, devices and the origin."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachekeeper.client.cache import Cache
from cachekeeper.errors import CachekeeperError, InvalidInput
from cachekeeper.origin.folder import FolderOrigin
from cachekeeper.settings import Settings
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.device_files import DeviceFiles
from tests.property.canary import SECRET, Around, lost_texts, lost_values
from tests.property.machines import run_machine

BODIES = (b"", b"one", b"two" * 1000)
DIGESTS = tuple(hashlib.sha256(body).hexdigest() for body in (*BODIES, SECRET))
COPIES = ("0" * 32, "1" * 32)
DEVICES = ("anna", "ben")
#: In the folders of a host, what a link may take the place of.
PLACES = (
    *(f"blobs/{digest[:2]}" for digest in DIGESTS),
    *(f"blobs/{digest[:2]}/{digest}" for digest in DIGESTS),
    "blobs/incoming",
    *(f"devices/{device}" for device in DEVICES),
    *(f"devices/{device}/{copy}" for device in DEVICES for copy in COPIES),
    "library/album",
    "library/album/one",
    "library/one",
)
#: What may come of it: an error of ours, or of the system that a folder is not what it should be.
REFUSED = (CachekeeperError, OSError)

digests = st.sampled_from(DIGESTS) | lost_texts()
copies = st.sampled_from(COPIES) | lost_texts()
devices = st.sampled_from(DEVICES) | lost_values()
paths = st.sampled_from(["one", "album/one", "album", "album/two"]) | lost_values()


class Machine(RuleBasedStateMachine):
    """Calls, and links that somebody plants between them who can write to the folders."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = Path(tempfile.mkdtemp(prefix="cachekeeper-canary-"))
        self.around = Around(self.temporary)
        self.host = self.around.inner
        library = self.host / "library"
        (library / "album").mkdir(parents=True)
        for name in ("one", "album/one"):
            (library / name).write_bytes(b"one")
        self.blobs = Blobs(self.host / "blobs")
        self.files = DeviceFiles(self.host / "devices", self.blobs)
        self.origin = FolderOrigin(library)

    def teardown(self) -> None:
        shutil.rmtree(self.temporary)

    @rule(place=st.sampled_from(PLACES), data=st.data())
    def a_link_is_planted(self, place: str, data: st.DataObject) -> None:
        link = self.host / place
        if not link.parent.is_dir() or link.parent.is_symlink():
            return
        _clear(link)
        link.symlink_to(data.draw(st.sampled_from(self.around.targets(link))))

    @rule(place=st.sampled_from(PLACES))
    def a_pipe_is_planted(self, place: str) -> None:
        pipe = self.host / place
        if pipe.parent.is_dir() and not pipe.parent.is_symlink():
            _clear(pipe)
            os.mkfifo(pipe)

    @rule(place=st.sampled_from(PLACES))
    def it_is_taken_away(self, place: str) -> None:
        if not (self.host / place).parent.is_symlink():
            _clear(self.host / place)

    @rule(body=st.sampled_from(BODIES))
    def stores(self, body: bytes) -> None:
        self._call(self.blobs.put, body)

    @rule(chunks=st.lists(st.sampled_from(BODIES), max_size=3), size=st.integers(0, 5000))
    def receives(self, chunks: list[bytes], size: int) -> None:
        self._call(self.blobs.receive, chunks, size)

    @rule(digest=digests)
    def reads_a_blob(self, digest: str) -> None:
        content = self._call(self.blobs.get, digest)
        assert content is None or SECRET not in content
        assert self._call(self.blobs.size, digest) != len(SECRET)

    @rule(age=st.sampled_from([-1.0, 1000.0]), keep=st.sets(st.sampled_from(DIGESTS)))
    def collects(self, age: float, keep: set[str]) -> None:
        self._call(self.blobs.collect, keep, age)

    @rule(device=devices, copy=copies, digest=digests)
    def links(self, device: Any, copy: str, digest: str) -> None:
        self._call(self.files.link, device, copy, digest)

    @rule(device=devices, copy=copies)
    def reads_a_copy(self, device: Any, copy: str) -> None:
        with suppress(*REFUSED):
            file = self.files.open(device, copy)
            if file is not None:
                with file:
                    assert SECRET not in (file.read() or b"")

    @rule(device=devices, some=st.lists(copies, max_size=3))
    def deletes(self, device: Any, some: list[str]) -> None:
        self._call(self.files.delete, device, some)

    @rule(device=devices)
    def lists_copies(self, device: Any) -> None:
        found = self._call(self.files.sizes, device) or {}
        assert "secret" not in found

    @rule(path=paths)
    def reads_the_origin(self, path: Any) -> None:
        content = self._call(self.origin.read, path)
        assert content is None or SECRET not in content
        version = self._call(self.origin.stat, path)
        assert version is None or version.size != len(SECRET)

    @rule(path=paths | st.just(""))
    def lists_the_origin(self, path: Any) -> None:
        for listed in self._call(self.origin.list, path) or ():
            assert "secret" not in listed.path

    def _call(self, call: Callable[..., Any], *given: Any) -> Any:
        """What it gives, None when it refuses, as it says that it may."""
        try:
            return call(*given)
        except REFUSED:
            return None

    @invariant()
    def nothing_outside_was_touched(self) -> None:
        self.around.check()


def _clear(place: Path) -> None:
    if place.is_symlink() or place.is_fifo() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


def test_whatever_is_planted_nothing_leads_out() -> None:
    run_machine(Machine, steps=40, costs=3)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Around:
    return Around(tmp_path_factory.mktemp("around"))


@pytest.fixture(scope="module")
def cache(server_url: str, around: Around) -> Iterator[Cache]:
    library = around.inner / "library"
    library.mkdir()
    (library / "one").write_bytes(b"one")
    (library / "out").symlink_to(around.file)
    (library / "up").symlink_to("..")
    (library / "away").symlink_to(around.tree)
    settings_ = Settings(
        cache_url=server_url,
        broker_url=server_url,
        deployment="canary",
        state=around.inner / "state",
        origin=library,
        memory_bytes=1_000_000,
        disk_min_free=0,
        prefetch=False,
    )
    with Cache(settings_) as opened:
        yield opened
        layout, redis = opened.stores.connection.layout, opened.stores.connection.redis
        redis.delete(*redis.scan_iter(match=f"{layout.prefix}*"))


near = st.sampled_from(
    ["out", "up/up/secret", "away/secret", "away", "up", "one", "one/x", "up/.."]
)


@given(device=st.just("anna") | lost_values(), path=near | lost_values())
def test_a_device_gets_nothing_but_files_of_the_origin(
    cache: Cache, around: Around, device: Any, path: Any
) -> None:
    folder = around.inner / "state" / "devices"
    before = {each.name for each in folder.iterdir()}
    calls: list[Callable[[], object]] = [
        lambda: cache.device(device).get(path).body,
        lambda: cache.device(device).pin(path),
        lambda: cache.device(device).unpin(path),
    ]
    if isinstance(path, str):  # what a namespace names is always a text
        calls += [lambda: cache.load_file(path).body, lambda: cache.files.lookup(path)]
    for call in calls:
        with suppress(CachekeeperError):
            given_ = call()
            assert not (isinstance(given_, bytes) and SECRET in given_)
    around.check()
    made = {each.name for each in folder.iterdir()} - before
    assert made == ({device} if made else set())


@given(device=lost_values())
def test_an_id_that_is_none_is_refused_before_any_folder_is_made(
    cache: Cache, around: Around, device: Any
) -> None:
    there = {each.name for each in (around.inner / "state" / "devices").iterdir()}
    if isinstance(device, str) and re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", device):
        cache.device(device)  # reads nothing, so there is no folder yet
    else:
        with pytest.raises(InvalidInput, match="; allowed: "):
            cache.device(device)
    assert there == {each.name for each in (around.inner / "state" / "devices").iterdir()}
