"""Several origins as one."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from cachekeeper.errors import ForbiddenPath, OriginMissing, OriginUnavailable
from cachekeeper.origin import mounted
from cachekeeper.origin.opening import opened
from cachekeeper.settings import Settings
from tests.origins.conftest import aged
from tests.origins.servers import dav_fields, webdav
from tests.support import unused_port, wait_until


def test_the_first_part_of_a_path_names_the_origin(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_text(name)
    origin = opened(
        Settings(
            state=tmp_path,
            origins={
                "one": {"url": str(tmp_path / "one")},
                "two": {"url": f"file://{tmp_path}/two", "bytes_per_s": "1MiB"},
            },
        )
    )
    assert origin is not None
    assert origin.read("one/sub/a") == b"one"
    assert origin.read("two/sub/a") == b"two"
    assert [each.path for each in origin.list("")] == ["one", "two"]
    assert [each.path for each in origin.list("two")] == ["two/sub"]
    assert [each.path for each in origin.list("two/sub")] == ["two/sub/a"]
    with pytest.raises(OriginMissing, match="no origin 'three'; there are one, two"):
        origin.stat("three/a")
    with pytest.raises(OriginMissing):
        origin.list("three")
    for path in ("one", "one/../two/sub/a", "one/../../a", "one//a"):
        with pytest.raises(ForbiddenPath):
            origin.read(path)


def test_one_that_is_away_keeps_no_other(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        folder.mkdir()
        (folder / "a").write_text("a")
    with webdav(far, tmp_path) as process:
        origin = opened(
            Settings(
                state=tmp_path,
                origins={
                    "down": {"url": f"http://127.0.0.1:{unused_port()}/", "failures": 1},
                    "near": {"url": str(near)},
                    "far": dav_fields(process.port, tmp_path, poll_s=0.1),
                },
            )
        )
        assert origin is not None
        for _ in range(2):
            with pytest.raises(OriginUnavailable):
                origin.read("down/a")
        assert origin.read("near/a") == origin.read("far/a") == b"a"
        stop, told = threading.Event(), set[str]()

        def follow() -> None:
            for batch in origin.watch(stop):
                told.update(each.path for each in batch)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()

        def both() -> bool:
            aged(near / "a")
            aged(far / "a")
            return told >= {"near/a", "far/a"}

        wait_until(both)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_when_one_comes_back_whoever_watches_is_told_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed while it was away was told by nobody."""
    monkeypatch.setattr(mounted, "AGAIN_S", 0.1)
    for name in ("stays", "goes"):
        (tmp_path / name).mkdir()
    folders = {name: {"url": str(tmp_path / name)} for name in ("stays", "goes")}
    origin = opened(Settings(state=tmp_path, origins=folders))
    assert origin is not None
    batches = origin.watch(threading.Event())
    next(batches)
    next(batches)
    shutil.rmtree(tmp_path / "goes")
    (tmp_path / "goes").mkdir()
    with pytest.raises(OriginUnavailable, match="goes was not watched for a while"):
        for _ in batches:
            pass
