"""`demo run`: it stays up, shows every edit, and ends without a trace however it is ended."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper import Cache
from cachekeeper.local.state import read_running
from cachekeeper.settings import load
from tests.demo.runs import INVITATION, Run, demo, keeper
from tests.support import unused_port, wait_until

PICTURE, ALBUM = "Photos/Album 0/IMG_0.jpg", "album:0/Photos/Album 0"
CHAIN = f"file:{PICTURE} -> thumb:{PICTURE} -> {ALBUM}"
CLEAN = "redis, memory clean"


@pytest.fixture(scope="module")
def run(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One that has played and now watches; its last test ends it."""
    made = Run(tmp_path_factory.mktemp("run"), small)
    try:
        made.wait_for(INVITATION)
        made.look()
        yield made
    finally:
        made.close()


def shown_after(run: Run, path: str, text: str) -> tuple[str, float]:
    """The line that an edit gives, and the seconds until it was printed."""
    before = run.said()
    begin = time.monotonic()
    (run.library / path).write_text(text)

    def line() -> str:
        news = run.said()[len(before) :].rpartition("\n")[0].splitlines()
        return next((line for line in news if path in line), "")

    return wait_until(line, 5), time.monotonic() - begin


def cached(run: Run, key: str) -> bool:
    with Cache(load(state=run.state, memory_bytes=0)) as cache:
        return cache.why(key).state == "fresh"


def made(run: Run) -> bool:
    """Whether all of the chain is in a shared tier; if it is not, the picture is changed once.

    What was made while the morning's last changes came may be in no shared tier. It is made again
    when somebody looks at it, and a reader does after each change.
    """
    try:
        return wait_until(lambda: cached(run, ALBUM) and cached(run, f"thumb:{PICTURE}"), 5)
    except AssertionError:
        shown_after(run, PICTURE, f"another picture at {time.time()}")
        return False


def test_it_plays_and_invites(run: Run) -> None:
    said = run.said()
    assert "│ fails │" not in said
    assert f"{INVITATION} {run.library} and watch" in said
    assert "Flower: http://127.0.0.1:" in said
    assert run.process.poll() is None


def test_an_edit_shows_as_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    wait_until(lambda: made(run), 60)
    before = run.said()
    line, seconds = shown_after(run, PICTURE, "no picture any more")
    with capsys.disabled():
        print(f"\n  the line of an edit after {1000 * seconds:.0f} ms: {line}")
    assert line.startswith(f"{CHAIN}   ")
    assert CLEAN in line
    assert line.endswith(" ms")
    assert run.said().removeprefix(before).count(CHAIN) == 1


def test_why_in_a_second_terminal(run: Run) -> None:
    shown_after(run, "note 3.txt", "another note")
    wait_until(lambda: cached(run, "thumb:note 3.txt"), 15)
    why = keeper("why", "file:note 3.txt", "--state", run.state)
    assert (why.status, why.errors) == (0, "")
    first, *rest = why.output.splitlines()
    assert first == "file:note 3.txt   fresh"
    assert any(re.search(r"\bredis +12 bytes", line) for line in rest), why.output
    assert any("dependents" in line and "thumb:note 3.txt" in line for line in rest)
    assert "the file changed" in why.output


def test_invalidate_in_a_second_terminal(run: Run) -> None:
    wait_until(lambda: cached(run, "thumb:note 4.txt"), 15)
    done = keeper("invalidate", "file:note 4.txt", "--state", run.state)
    assert (done.status, done.errors) == (0, "")
    assert done.output.startswith("done   immediate, strict, epoch ")
    assert "file:note 4.txt -> thumb:note 4.txt" in done.output
    assert "  verified      disk, redis, memory\n" in done.output
    assert not cached(run, "file:note 4.txt")


def test_a_second_run_shows_the_first(run: Run, small: Path) -> None:
    running = read_running(run.state)
    assert running is not None
    second = demo("run", "--state", run.state, "--library", small)
    assert second.status == 3
    assert running.flower_url is not None
    assert running.flower_url in second.output
    assert f"immediate  {running.services[1].pid}" in second.output
    assert run.process.poll() is None


def test_ctrl_c_leaves_only_the_data(run: Run) -> None:
    assert run.look() >= 11  # itself, two guardians, up, the server, four workers, beat, Flower
    assert run.alive()
    begin = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(15) == 0
    run.gone(15 - (time.monotonic() - begin))
    assert run.said().endswith("stopped\n")
    assert "Traceback" not in run.said()
    kept = {path.name for path in run.state.iterdir()}
    assert {"server", "blobs", "devices", "library", "logs"} <= kept
    assert list((run.state / "server").rglob("*.aof"))
    assert (run.library / PICTURE).read_text() == "no picture any more"


def test_a_server_that_does_not_answer_is_said_at_once(small: Path, tmp_path: Path) -> None:
    given = {"CACHEKEEPER_BROKER_URL": f"redis://127.0.0.1:{unused_port()}/0"}
    begin = time.monotonic()
    refused = demo("run", "--state", tmp_path / "state", "--library", small, env=given)
    assert time.monotonic() - begin < 20
    assert refused.status == 1
    assert refused.errors.count("\n") == 1
    assert given["CACHEKEEPER_BROKER_URL"] in refused.errors
    assert "does not answer" in refused.errors


def test_killed_in_the_middle_then_played_again_then_stopped(small: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, small)
    try:
        run.wait_for("/24 changes, ")  # it plays
        held = run.state / "devices"
        wait_until(lambda: any(path.is_file() for path in held.rglob("*")))
        assert run.look() >= 9
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        run.gone(20)
    finally:
        run.close()

    again = Run(tmp_path, small)
    try:
        again.wait_for(INVITATION)
        assert "│ holds │ every change was seen fresh │ 24 changes" in again.said()
        assert "│ fails │" not in again.said()
        again.look()
        stopped = keeper("stop", "--state", again.state)
        assert (stopped.status, stopped.output) == (0, "stopped\n")
        assert again.process.wait(15) == 0
        again.gone(5)
        assert again.said().endswith("stopped\n")
        assert "Traceback" not in again.said()
    finally:
        again.close()
