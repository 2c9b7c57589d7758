"""Recorded accesses: what is read, and what is refused with the line and the field."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cachekeeper.cli.quota import Quota
from cachekeeper.cli.traces import read_trace, traces_in
from cachekeeper.core.policy.recorded import from_events
from cachekeeper.core.policy.trace import Trace, parse
from cachekeeper.errors import InvalidInput

HEAD = "ts,key,size,client\n"
GOOD = f'{HEAD}0.5,a,10,1\n1,"b, with a comma",20,1\n\n1,a,30,2\n'


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def test_a_trace_is_times_keys_and_sizes() -> None:
    trace = parse("t", lines(GOOD))
    assert (trace.times, trace.sizes) == ([0.5, 1.0, 1.0], [10, 20, 30])
    assert trace.keys == ["a", "b, with a comma", "a"]
    assert (len(trace), trace.requested) == (3, 60)
    assert (trace.footprint, trace.sized) == (30 + 20, True)  # each object at its largest


def test_columns_may_stand_in_any_order() -> None:
    trace = parse("t", lines("size,who,ts,key\n7,me,3,k\n"))
    assert (trace.times, trace.keys, trace.sizes) == ([3.0], ["k"], [7])


def test_the_first_accesses_are_a_trace_too() -> None:
    assert parse("t", lines(GOOD), 1).keys == ["a"]


def test_sizes_of_one_are_none() -> None:
    assert not parse("t", lines(f"{HEAD}0,a,1,0\n1,b,1,0\n")).sized


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t, line 1: '' .*a header with the columns ts, key, size"),
        ("time,key,size\n", "t, line 1: 'time,key,size' "),
        (HEAD, "t, line 2: '' .*an access"),
        (f"{HEAD}0,a,1,0\nsoon,b,1,0\n", "t, line 3, ts: 'soon' .*a number of seconds"),
        (f"{HEAD}nan,a,1,0\n", "t, line 2, ts: 'nan' .*a number of seconds"),
        (f"{HEAD}5,a,1,0\n4,b,1,0\n", "t, line 3, ts: '4' .*5.0 or later, in order"),
        (f"{HEAD}0,,1,0\n", "t, line 2, key: '' .*not empty"),
        (f"{HEAD}0,a,-1,0\n", "t, line 2, size: '-1' .*whole number of bytes, 0 or more"),
        (f"{HEAD}0,a,1.5,0\n", "t, line 2, size: '1.5' "),
        (f"{HEAD}0,a\n", "t, line 2: '0,a' .*3 fields at least"),
        (f'{HEAD}0,"a"b,1,0\n', "t, line 2: .*a line of CSV in UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse("t", lines(text))


def test_who_asked_is_read_where_it_is_told() -> None:
    told = parse("t", lines("ts,key,size,client\n0,a,1,7\n1,b,1,\n2,c,1\n"))
    assert told.clients == ["7", "", ""]
    assert parse("t", lines("ts,key,size\n0,a,1\n")).clients == []


def test_files_are_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(GOOD)
    with gzip.open(tmp_path / "packed.csv.gz", "wt") as file:
        file.write(GOOD)
    (tmp_path / "README.md").write_text("not a trace")
    names = [read_trace(path).name for path in traces_in(tmp_path)]
    assert names == ["packed", "plain"]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"traces: .*a folder with \*.csv or \*.csv.gz"):
        traces_in(tmp_path)
    with pytest.raises(InvalidInput, match=r"trace: .*No such file"):
        read_trace(tmp_path / "missing.csv")
    with pytest.raises(InvalidInput, match=r"trace: .*a file named \*.csv"):
        read_trace(tmp_path / "trace.parquet")
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(GOOD.encode() * 100)[:50])
    with pytest.raises(InvalidInput, match=r"trace: .*a file that can be read"):
        read_trace(tmp_path / "torn.csv.gz")
    (tmp_path / "no.csv.gz").write_text(GOOD)
    with pytest.raises(InvalidInput, match=r"trace: .*[Nn]ot a gzipped file"):
        read_trace(tmp_path / "no.csv.gz")
    (tmp_path / "latin.csv").write_bytes(f"{HEAD}0,ä,1,0\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"latin, line .*in UTF-8"):
        read_trace(tmp_path / "latin.csv")


TRACE = Trace("t", [0.0, 1.0], ["a", "b"], [1000, 3000])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10%", 400),
        ("10 %", 400),
        ("0.1%", 4),
        ("0.0001%", 1),
        ("100%", 4000),
        ("2k", 2000),
        ("2KiB", 2048),
    ],
)
def test_a_quota_is_bytes_or_a_share_of_everything(text: str, size: int) -> None:
    assert Quota.parse(text).of(TRACE) == size


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "-5%", "1e999G", "ten", "5 k%", "%"])
def test_what_is_no_quota_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"quota: .*500M or 1GiB, or a share"):
        Quota.parse(text)


def test_events_of_a_device_make_a_trace() -> None:
    events = [
        "10.5 missing a b.jpg",
        "11.5 hit a b.jpg",
        "12 evicted:500 a b.jpg",
        "13 expired c.jpg",
        "14 stale c.jpg",
        "15 missing gone.jpg",
    ]
    recorded = from_events("phone", events, {"a b.jpg": 100, "c.jpg": 300})
    assert recorded is not None
    assert recorded.trace.keys == ["a b.jpg", "a b.jpg", "c.jpg", "gone.jpg"]
    assert recorded.trace.times == [10.5, 11.5, 14.0, 15.0]
    assert recorded.trace.sizes == [100, 100, 300, 200]
    assert recorded.guessed == 1
    assert from_events("phone", ["13 expired c.jpg"], {}) is None
