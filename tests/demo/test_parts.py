"""The parts of the demo, one by one: above all, that each check fails when its figure is short."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import psutil
import pytest
from PIL import Image

from cachekeeper.core.keys import check_key, check_path
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.device_files import DeviceFiles
from demo import gauges
from demo.editor import Editor
from demo.edits import Kind, Proof
from demo.gauges import MemoryGauge, QuotaGauge
from demo.habits import habit_of
from demo.model import PAGE, page_of
from demo.pace import Pace
from demo.pictures import MOST_PIXELS, THUMBNAIL, painted, repainted, thumbnail
from demo.score import BEAT, TIERS, Tally, checks
from demo.stage import DEVICES
from tests.demo.play import BROKEN, SHORT
from tests.support import wait_until

MIB = 1024 * 1024
WORKERS = {101, 102}
PACE = Pace()

# -- the verdict ---------------------------------------------------------------------------------


def receipt(strategy: Strategy, pid: int) -> Receipt:
    made = Receipt("1", Status.DONE, strategy, Consistency.STRICT, "", [], 0.0)
    made.worker_pid = pid
    return made


def proof(strategy: Strategy, kind: Kind = Kind.EDIT) -> Proof:
    made = Proof("a.jpg", kind, strategy, receipt(strategy, min(WORKERS)))
    made.tiers = set(TIERS) if kind is Kind.EDIT else set()
    return made


def files_of(folder: Path) -> DeviceFiles:
    return DeviceFiles(folder / "devices", Blobs(folder / "blobs"))


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    """One that is just good enough: every figure is the least that will do."""
    quota = QuotaGauge(files_of(tmp_path), ["phone", "tv"], quota=1000)
    quota.most, quota.samples = {"phone": 1000, "tv": 10}, PACE.quota_looks
    memory = MemoryGauge(tmp_path, dict)
    memory.workers, memory.peaks = set(WORKERS), {("reader", 7): PACE.most_memory - 1}
    some = list(Strategy) * (PACE.edits_a_tier // len(Strategy))
    assert len(some) == PACE.edits_a_tier
    return Tally(
        proofs=[*map(proof, some), proof(Strategy.LAZY, Kind.DELETE)],
        quota=quota,
        memory=memory,
        counters={"evictions": PACE.evictions, "prefetched": 9, "prefetch_used": 1},
        totals={f"{task} runs": 1.0 for task in BEAT} | {"expiry.sweep_expired entries": 1.0},
        failures=[],
    )


def test_what_is_just_enough_holds(tally: Tally) -> None:
    assert [check.name for check in checks(tally, PACE) if not check.holds] == []


def fault(tally: Tally) -> None:
    tally.proofs[-1].faults.append("a.jpg: redis is not fresh")


def failure(tally: Tally) -> None:
    tally.failures.append("phone a.jpg: it broke")


def one_edit_less(tier: str) -> Callable[[Tally], None]:
    return lambda tally: tally.proofs[0].tiers.remove(tier)


def in_no_worker(strategy: Strategy) -> Callable[[Tally], None]:
    """The receipts name a process that is none of the workers'."""

    def change(tally: Tally) -> None:
        for made in tally.proofs:
            if made.strategy is strategy and made.receipt:
                made.receipt.worker_pid = 7

    return change


def over_the_quota(tally: Tally) -> None:
    tally.quota.most["tv"] = 1001


def too_few_looks(tally: Tally) -> None:
    tally.quota.samples -= 1


def too_few_evictions(tally: Tally) -> None:
    tally.counters["evictions"] -= 1


def no_prefetch_used(tally: Tally) -> None:
    del tally.counters["prefetch_used"]


def silent(task: str) -> Callable[[Tally], None]:
    def change(tally: Tally) -> None:
        del tally.totals[f"{task} runs"]
        if task == "expiry.sweep_expired":
            tally.totals["expiry.sweep_expired_too entries"] = 1.0

    return change


def nothing_expired(tally: Tally) -> None:
    tally.totals["expiry.sweep_expired entries"] = 0.0


def a_large_process(tally: Tally) -> None:
    tally.memory.peaks["general", 8] = PACE.most_memory


SHORT_OF = [
    (fault, "every change was seen fresh"),
    (failure, "every change was seen fresh"),
    *((one_edit_less(tier), f"{tier}: old bytes gave way") for tier in TIERS),
    *((in_no_worker(strategy), f"{strategy} did its work") for strategy in Strategy),
    (over_the_quota, "no device above its quota"),
    (too_few_looks, "no device above its quota"),
    (too_few_evictions, "files were evicted"),
    (no_prefetch_used, "prefetches were used"),
    *((silent(task), "beat rang its tasks") for task in BEAT if task != "expiry.sweep_expired"),
    (nothing_expired, "expired entries were swept"),
    (a_large_process, "memory of every process"),
]


@pytest.mark.parametrize(("change", "check"), SHORT_OF)
def test_each_check_fails_when_its_figure_is_short(
    tally: Tally, change: Callable[[Tally], None], check: str
) -> None:
    change(tally)
    assert [found.name for found in checks(tally, PACE) if not found.holds] == [check]


def test_there_is_a_shortage_for_every_check(tally: Tally) -> None:
    assert {name for _, name in SHORT_OF} == {check.name for check in checks(tally, PACE)}


def test_an_edit_with_a_fault_counts_for_no_tier(tally: Tally) -> None:
    tally.proofs[0].faults.append("a.jpg: the album page shows the old one")
    assert [tally.tier_edits(tier) for tier in TIERS] == [PACE.edits_a_tier - 1] * 3


def test_the_figures_that_are_asked_for() -> None:
    """A test's short morning is a choice of the test; the demo's own figures are these."""
    assert (PACE.edits_a_tier, PACE.evictions) == (20, 50)
    assert PACE.most_memory == 300 * MIB
    assert 1 / gauges.QUOTA_PERIOD_S == 10
    assert PACE.most_s + 2 * PACE.clean_s < 120
    for other in (SHORT, *BROKEN.values()):
        assert other.edits_a_tier / other.edits >= PACE.edits_a_tier / PACE.edits
        assert other.most_memory == PACE.most_memory


# -- the gauges ----------------------------------------------------------------------------------


def test_the_quota_is_checked_against_the_disk_not_the_ledger(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    assert files.link("phone", uuid.uuid4().hex, Blobs(tmp_path / "blobs").put(b"x" * 600))
    with QuotaGauge(files, ["phone", "tv"], quota=1000) as gauge:
        wait_until(lambda: gauge.now["phone"] == 600)
        assert gauge.exceeded == []
        behind_its_back = files.folder_of("phone") / "stray"
        behind_its_back.write_bytes(b"y" * 401)
        wait_until(lambda: gauge.now["phone"] == 1001, 2)
        behind_its_back.unlink()
        wait_until(lambda: gauge.now["phone"] == 600, 2)
    assert gauge.exceeded == ["phone"]  # for good, though it lasted a moment only
    assert gauge.most == {"phone": 1001, "tv": 0}


def test_the_quota_is_looked_at_ten_times_a_second(tmp_path: Path) -> None:
    begin = time.monotonic()
    with QuotaGauge(files_of(tmp_path), ["phone"], quota=1000) as gauge:
        wait_until(lambda: gauge.samples >= 11)
        took = time.monotonic() - begin
    assert took > 0.9  # never faster; how much slower is the machine's affair, and is checked


@pytest.fixture
def hungry() -> Iterator[subprocess.Popen[str]]:
    """A process with a child that took 120 MiB once and gave them back."""
    child = f"x = b'x' * {120 * MIB}; del x; print('done', flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            yield process
        finally:
            process.communicate("\n")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is Linux's")
def test_the_memory_gauge_sees_the_peak_of_a_child(
    hungry: subprocess.Popen[str], tmp_path: Path
) -> None:
    (child,) = psutil.Process(hungry.pid).children()
    assert child.memory_info().rss < 100 * MIB  # it has none of it any more
    with MemoryGauge(tmp_path, lambda: {hungry.pid: "general"}) as gauge:
        wait_until(lambda: ("general", child.pid) in gauge.peaks)
    assert gauge.largest[0] == "general"
    assert gauge.largest[1] > 120 * MIB
    assert gauge.peaks["general", hungry.pid] < 100 * MIB
    assert gauge.workers == {hungry.pid, child.pid}


def test_the_memory_gauge_passes_over_what_has_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        pass
    gauge = MemoryGauge(tmp_path, lambda: {process.pid: "reader"})
    gauge.measure()
    assert gauge.peaks == {}
    assert gauge.workers == set()


# -- who reads what ------------------------------------------------------------------------------

PATHS = [f"{album}/IMG_{n}.jpg" for album in ("b", "a") for n in (10, 9, 2, 1, 30)] + ["top.txt"]


@pytest.mark.parametrize("device", [*chain.from_iterable(DEVICES)])
def test_every_device_has_a_habit(device: str) -> None:
    habit = habit_of(device, PATHS)
    assert habit.pause_s > 0
    sittings = list(islice(habit.sittings(), 200))
    assert sittings == list(islice(habit.sittings(), 200))  # the same morning every time
    assert all(sittings)
    assert {path for sitting in sittings for path in sitting} == set(PATHS)
    for sitting in sittings:
        assert len({path.rpartition("/")[0] for path in sitting}) == 1
        assert len(sitting) <= (habit.pages or 5)


def test_albums_are_paged_through_as_people_count() -> None:
    shows = list(islice(habit_of("tv", PATHS).sittings(), 3))
    assert sorted(shows) == [
        [f"{album}/IMG_{n}.jpg" for n in (1, 2, 9, 10, 30)] for album in ("a", "b")
    ] + [["top.txt"]]


def test_one_file_is_enough_for_a_habit() -> None:
    assert list(islice(habit_of("phone", ["a.txt"]).sittings(), 3)) == [["a.txt"]] * 3


def test_the_page_of_a_file() -> None:
    names = [str(n) for n in range(2 * PAGE + 1)]
    assert [page_of(str(n), names) for n in (0, PAGE - 1, PAGE, 2 * PAGE)] == [0, 0, 1, 2]


# -- pictures ------------------------------------------------------------------------------------


def encoded(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def test_a_picture_gets_a_small_one_and_every_repaint_differs() -> None:
    body = painted(640, 480, seed=1)
    assert body == painted(640, 480, seed=1)
    small = thumbnail(body)
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (THUMBNAIL[0], 96)
    repaints = [repainted(body, seed) for seed in range(20)]
    assert None not in repaints
    assert len({body, *repaints}) == 21


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (300, 200)])
def test_any_picture_can_be_shown_and_repainted(kind: str, size: tuple[int, int]) -> None:
    body = encoded(Image.new("RGB", size, "red"), kind)
    assert thumbnail(body) is not None
    assert repainted(body, 1) is not None


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_whatever_its_colours(mode: str) -> None:
    body = encoded(Image.new(mode, (200, 100)), "PNG")
    assert thumbnail(body) is not None
    assert repainted(body, 1) is not None


def damaged(kind: str) -> bytes:
    body = encoded(Image.open(io.BytesIO(painted(160, 120, seed=1))), kind)
    return body[: len(body) // 2]


def png_of(width: int, height: int) -> bytes:
    return encoded(Image.new("1", (width, height)), "PNG")


NO_PICTURES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"just words\n" * 100,
    "the first bytes of a JPEG": lambda: painted(160, 120, seed=1)[:3],
    "half a JPEG": lambda: damaged("JPEG"),
    "half a PNG": lambda: damaged("PNG"),
    "half a GIF": lambda: damaged("GIF"),
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "larger than we hold": lambda: png_of(4000, MOST_PIXELS // 4000 + 1),
    "so large that Pillow warns": lambda: png_of(10_000, 10_000),
    "a bomb": lambda: png_of(20_000, 10_000),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_picture_has_no_thumbnail(what: str) -> None:
    body = NO_PICTURES[what]()
    assert thumbnail(body) is None
    assert repainted(body, 1) is None


def test_a_large_jpeg_is_reduced_while_it_is_read() -> None:
    body = encoded(Image.new("RGB", (6000, 4000), "blue"), "JPEG")
    assert MOST_PIXELS < 6000 * 4000
    assert thumbnail(body) is not None


# -- the editor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", b"words\n", b"\xff\xfe\x00", painted(80, 60, seed=3)])
def test_every_edit_differs_and_is_a_new_file(before: bytes, tmp_path: Path) -> None:
    path, editor = tmp_path / "a file.jpg", Editor(tmp_path)
    path.write_bytes(before)
    with path.open("rb") as opened:
        edits = [editor.edit("a file.jpg") for _ in range(3)]
        assert opened.read() == before  # who reads just then gets all of the old
    assert path.read_bytes() == edits[-1]
    assert len({before, *edits}) == 4
    assert [found.name for found in tmp_path.iterdir()] == ["a file.jpg"]


@pytest.mark.parametrize(
    "name", ["a.jpg", "no suffix", f"{'n' * 47}{'🙂' * 51}.txt", f"a.{'🙂' * 63}", "n" * 255]
)
def test_a_rename_gives_a_name_that_will_do(name: str, tmp_path: Path) -> None:
    path, editor = f"album/{name}", Editor(tmp_path)
    (tmp_path / "album").mkdir()
    (tmp_path / path).write_bytes(b"content")
    new = editor.rename(path)
    assert new != path
    assert (tmp_path / new).read_bytes() == b"content"
    assert check_key(f"thumb:{check_path(new)}")
    editor.delete(new)
    assert list((tmp_path / "album").iterdir()) == []
