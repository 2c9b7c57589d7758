"""The benchmarks: what they print is what the contract names. No figure is judged here."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import BENCHES, read
from bench.harness import MIN_ROUNDS, Spread, compare

ROOT = Path(__file__).parents[2]

#: What others rely on, by benchmark; more is welcome.
KEYS = {
    "coherence": {
        "strict_p50_ms",
        "strict_p99_ms",
        "stopped_node_max_s",
        "strict_dependents_ratio",
        "reads",
        "ablations",
        "ablations_caught",
    },
    "evict": {
        "evict_10k_s",
        "evict_vs_raw",
        "growth",
        "expire_10k_s",
        "expire_vs_raw",
    },
    "graph": {
        "dag_vs_rustworkx",
        "dag_vs_networkx",
        "power_vs_rustworkx",
        "power_vs_networkx",
        "single_ms",
        "catchup_1000_ms",
        "snapshot_mb",
        "child_extra_mb",
        "nodes",
        "edges",
    },
    "hitratio": {
        "sized_cmr_reduction",
        "unit_omr_reduction",
        "best_other_sized",
        "best_other_unit",
    },
    "invalidate": {
        "keys_per_s",
        "vs_raw_unlink",
        "vs_cashews",
        "vs_task_per_key",
        "worker_mb_small",
        "worker_mb_large",
    },
    "latency": {
        "idle_p50_ms",
        "idle_p99_ms",
        "backlog_p50_ms",
        "backlog_p99_ms",
        "p50_ratio",
        "p99_ratio",
        "backlog",
        "backlog_left",
        "keys_per_s",
    },
    "prefetch": {
        "plan_cpu_ms",
        "plan_ms",
        "model_bytes_per_file",
        "history_bytes_per_device",
    },
    "read": {
        "memory_ratio",
        "redis_ratio",
        "redis_ratio_100_sources",
        "redis_ratio_100_sources_idle",
        "redis_ratio_folded",
        "single_flight_loads",
        "overhead_bytes_per_entry",
        "overhead_bytes_8_sources",
        "overhead_bytes_100_sources",
    },
}
TINY = read.Sizes(
    rounds=MIN_ROUNDS,
    keys=20,
    memory_reads=50,
    redis_reads=5,
    marks=100,
    flights=1,
    entries=200,
    entries_with_8_sources=50,
    entries_with_100_sources=10,
    entries_folded=10,
)


#: The command line with sizes that say nothing, but all that it does.
TINY_BENCH = """
from bench import read
from bench.__main__ import main
from tests.integration.test_bench import TINY

read.QUICK = TINY
main()
"""


TINY_COHERENCE = """
from bench import coherence
from bench.__main__ import main

coherence.QUICK = coherence.Sizes(
    nodes=2, calls=5, rounds=1, dependents=20, stops=1, check=("--quick",)
)
main()
"""


TINY_LATENCY = """
from bench import latency
from bench.__main__ import main

latency.QUICK = latency.Sizes(backlog=600, trees=2, rounds=2, turns=2, calls=10, nodes=1)
main()
"""


def bench(
    *arguments: str, folder: Path, program: tuple[str, ...] = ("-m", "bench")
) -> subprocess.CompletedProcess[str]:
    """The command line, with a folder of its own for temporary files."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def living_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_figures(report: dict[str, object], keys: set[str]) -> None:
    for key in keys:
        value = report[key]
        assert isinstance(value, int | float), key
        assert math.isfinite(value), key
        assert value > 0, key


def test_every_benchmark_is_a_module_that_runs() -> None:
    assert set(BENCHES) == set(KEYS)
    for name in BENCHES:
        assert callable(importlib.import_module(f"bench.{name}").run)


def test_json_is_the_last_line_with_every_figure_and_nothing_is_left(tmp_path: Path) -> None:
    done = bench("read", "--json", "--quick", folder=tmp_path, program=("-c", TINY_BENCH))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["bench"], report["quick"]) == ("read", True)
    assert_figures(report, KEYS["read"])
    assert report["single_flight_loads"] == 1
    for key in ("memory_ratio", "redis_ratio", "redis_ratio_100_sources"):
        low, high = report["spread"][key]
        assert low <= report[key] <= high
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["server"]
    assert "Quick, smaller sizes" in done.stdout
    assert not list(tmp_path.iterdir())
    assert not living_in(tmp_path)


@pytest.mark.slow
def test_stale_reads_are_looked_for_in_the_same_run(tmp_path: Path) -> None:
    program = ("-c", TINY_COHERENCE)
    done = bench("coherence", "--json", "--quick", folder=tmp_path, program=program)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert_figures(report, KEYS["coherence"])
    assert report["stale"] == 0
    assert report["ablations_caught"] == report["ablations"] > 1
    assert report["reads"] > 1000
    assert not list(tmp_path.iterdir())
    assert not living_in(tmp_path)


@pytest.mark.slow
def test_the_backlog_is_there_until_the_last_call(tmp_path: Path) -> None:
    program = ("-c", TINY_LATENCY)
    done = bench("latency", "--json", "--quick", folder=tmp_path, program=program)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert_figures(report, KEYS["latency"])
    assert 0 < report["backlog_left"] < report["backlog"] == 600
    assert not list(tmp_path.iterdir())
    assert not living_in(tmp_path)


def test_policies_play_a_folder_of_traces(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    for name, size in (("sized", 1000), ("unit", 1)):
        rows = [
            f"{i},k{i % 7 * (i % 3 > 0) or i},{1 + (i % 7) * (size - 1)},0\n" for i in range(900)
        ]
        (traces / f"{name}.csv").write_text("ts,key,size,client\n" + "".join(rows))
    done = bench("hitratio", "--json", "--quick", "--traces", str(traces), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    for key in KEYS["hitratio"]:
        assert -1 < report[key] < 1
    assert set(report["traces"]) == {"sized", "unit"}
    for by_policy in report["traces"].values():
        assert {"gdga", "lru", "retention"} <= set(by_policy)
        for by_share in by_policy.values():
            assert set(by_share) == {"0.001", "0.01", "0.1"}
            for ratios in by_share.values():
                assert set(ratios) == {"omr", "bmr", "cmr"}
    assert report["sizes"]["first_requests_of_each"] == 25_000


def test_predictions_are_played_over_a_folder_of_traces(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    for name, step in (("web_in_order", 1), ("git_in_any_order", 37)):
        rows = [f"{i},k{i * step % 20 * (i % step + 1)},100,{i // 20}\n" for i in range(600)]
        (traces / f"{name}.csv").write_text("ts,key,size,client\n" + "".join(rows))
    done = bench("prefetch", "--json", "--quick", "--traces", str(traces), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert_figures(report, KEYS["prefetch"])
    assert set(report["traces"]) == {"web_in_order", "git_in_any_order"}
    named = {"coverage", "precision", "extra_bytes", "calibration_error", "trigger_share"}
    for found in report["traces"].values():
        assert named | {"hit_before", "hit_after"} <= set(found)
    ordered = report["traces"]["web_in_order"]
    assert ordered["hit_after"] > 0.6 > 0.1 > ordered["hit_before"]


def test_without_traces_it_says_how_to_name_them(tmp_path: Path) -> None:
    done = bench("hitratio", folder=tmp_path)
    assert done.returncode == 2
    assert "a folder, given by --traces or CACHEKEEPER_TRACES" in done.stderr
    assert not done.stdout


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    done = bench("reed", folder=tmp_path)
    assert done.returncode == 2
    assert "'reed' is unknown; did you mean read?" in done.stderr
    assert not done.stdout


def test_a_comparison_takes_turns_and_gives_the_median_of_its_rounds() -> None:
    calls: list[str] = []
    done = compare(
        lambda _: calls.append("ours"), lambda _: calls.append("other"), [1], rounds=5, slices=1
    )
    warm = ["ours", "other"]
    assert calls == [*warm, *["ours", "other", "other", "ours"] * 5]
    assert done.ratio.low <= done.ratio.median <= done.ratio.high
    assert Spread.of([3, 1, 2]) == Spread(median=2, low=1, high=3)


def test_too_few_rounds_are_no_benchmark() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        compare(str, str, [1], rounds=MIN_ROUNDS - 1)
