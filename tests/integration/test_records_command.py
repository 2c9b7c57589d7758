"""``cachekeeper records``, ``invalidate --dry-run`` and ``why``: the real commands."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cachekeeper import Cache
from cachekeeper.cli.main import main
from cachekeeper.core.receipt import Receipt, pending_receipt
from cachekeeper.core.request import Request, make_request
from cachekeeper.settings import PREFIX, Settings
from tests.support import but
from workers.wiring import Wiring

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]
HOSTILE = 'in \x9b31mred\x1b[0m,\n"two" lines'

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def settings(here: Settings) -> Settings:
    return but(here, memory_bytes=0)


@pytest.fixture
def wiring(settings: Settings) -> Iterator[Wiring]:
    """A worker's services, and a note with its page."""
    opened = Wiring(settings)
    notes, pages = opened.cache.namespace("note"), opened.cache.namespace("page")
    notes.loader(lambda name: name.encode())
    pages.loader(lambda name: notes.get(name))
    pages.get("milk")
    yield opened
    opened.cache.close()


@pytest.fixture
def cache(wiring: Wiring) -> Cache:
    """With three records: one done, one failed, one that waits; the newest last."""
    now = time.time()
    wiring.invalidator.run([asked("one", now - 7200, keys=["note:a"], by="till", reason=HOSTILE)])
    wiring.invalidator.refuse(asked("two", now - 60, strategy="lazy"), ValueError("broken"))
    wiring.cache.stores.receipts.open(pending_receipt(asked("three", now, tags=["red"])))
    return wiring.cache


def asked(name: str, at: float, **fields: Any) -> Request:
    return make_request(id=name, at=at, **{"keys": ["note:b"]} | fields)


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    given = {
        "CACHE_URL": settings.cache_url,
        "BROKER_URL": settings.broker_url,
        "DEPLOYMENT": settings.deployment,
        "STATE": settings.state,
    }
    return {f"{PREFIX}{name}": str(value) for name, value in given.items()}


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """The command ``cachekeeper`` with these arguments, in a process of its own."""

    def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return command


@pytest.fixture
def call(env: dict[str, str]) -> Callable[..., Any]:
    """The same command, in this process."""
    return lambda *arguments: CliRunner(env=env).invoke(main, [*arguments])


@pytest.mark.usefixtures("cache")
def test_list(run: Run) -> None:
    done = run("records", "list")
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split()[:6] == ["id", "age", "status", "strategy", "level", "keys"]
    assert [line.split()[0] for line in lines] == ["three", "two", "one"]
    assert lines[1].split()[2:5] == ["failed", "lazy", "eventual"]
    assert "note:b: ValueError: broken" in lines[1]
    assert "till" in lines[2]
    assert 'note:a: in  31mred [0m, "two" lines' in lines[2]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--status", "failed"], ["two"]),
        (["--status", "failed", "--status", "done"], ["two", "one"]),
        (["--strategy", "lazy"], ["two"]),
        (["--consistency", "strict"], []),
        (["--since", "1h"], ["three", "two"]),
        (["--key", "note:a"], ["one"]),
        (["--name", "red"], ["three"]),
        (["--by", "till"], ["one"]),
        (["--by", "till", "--since", "1h"], []),
    ],
)
def test_filters_of_list_and_export(
    call: Callable[..., Any], arguments: list[str], ids: list[str]
) -> None:
    listed = json.loads(call("records", "list", "--json", *arguments).stdout)
    assert [record["id"] for record in listed["records"]] == ids
    exported = call("records", "export", *arguments).stdout.splitlines()
    assert [json.loads(line)["id"] for line in exported] == ids


@pytest.mark.usefixtures("cache")
def test_what_is_left_out_is_said(call: Callable[..., Any]) -> None:
    done = call("records", "list", "--limit", "2")
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.startswith("… more than 2: ")
    assert json.loads(call("records", "list", "--limit", "3", "--json").stdout)["more"] is False
    assert call("records", "list", "--by", "nobody").stdout == "no records\n"


def test_export(run: Run, cache: Cache, tmp_path: Path) -> None:
    done = run("records", "export", "--output", tmp_path / "all.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert [Receipt.from_json(line) for line in lines] == list(cache.records())
    done = run("records", "export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["id"] for row in rows] == ["three", "two", "one"]
    assert rows[2]["reason"] == HOSTILE
    assert json.loads(rows[0]["names"]) == ["note:b", "red"]


@pytest.mark.usefixtures("cache")
def test_show_and_wait(run: Run, call: Callable[..., Any]) -> None:
    done = run("records", "show", "one")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("done   immediate, eventual, epoch 1\n")
    assert "  by            till\n" in done.stdout
    assert "\x9b" not in done.stdout
    assert json.loads(call("records", "show", "two", "--json").stdout)["error"].endswith("broken")
    waits = call("records", "show", "three").stdout
    assert "  asked for     note:b, red\n" in waits
    assert call("records", "wait", "one").exit_code == 0
    assert call("records", "wait", "two").exit_code == 1
    timed_out = call("records", "wait", "three", "--timeout", "0.05")
    assert (timed_out.exit_code, timed_out.stdout) == (1, "")
    assert timed_out.stderr.startswith("error: request three is pending after 0.05 s")


def test_another_process_waits_for_a_request(
    wiring: Wiring, cache: Cache, env: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*COMMAND, "records", "wait", "three", "--timeout", "30", "--purged", "--json"],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        receipt = cache.receipt("three").read()
        wiring.invalidator.run([asked("three", receipt.submitted, tags=["red"])])
        told, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert json.loads(told)["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["records", "show", "nobody"], "id: 'nobody' is not allowed; allowed: a request of the"),
        (["records", "wait", "nobody"], "id: 'nobody' is not allowed"),
        (["records", "list", "--since", "soon"], "since: 'soon' is not allowed"),
        (["records", "list", "--key", "nokey"], "key: 'nokey' is not allowed"),
        (["records", "export", "--output", "/nowhere/at/all"], "output: '/nowhere/at/all' is not"),
        (["invalidate", "--dry-run"], "keys: '0 names' is not allowed"),
        (["invalidate", "--dry-run", "note:a", "--limit", "0"], "shown: 0 is not allowed"),
        (["invalidate", "note:a", "--by", "x" * 201], "by: 'xxx"),
        (["why", "nokey"], "key: 'nokey' is not allowed"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    call: Callable[..., Any], arguments: list[str], said: str
) -> None:
    done = call(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_dry_run_then_the_same_in_earnest(run: Run, wiring: Wiring) -> None:
    cache, epoch = wiring.cache, wiring.cache.stores.marks.now()
    done = run("invalidate", "note:milk", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first == "nothing is changed   immediate, strict"
    assert rest[:3] == [
        "  would be stale  2 keys, 1 edges deep",
        "    note:milk",
        "    page:milk   from note:milk",
    ]
    assert rest[3].startswith("  redis           2 entries, ")
    assert rest[4:] == [
        "  disk            0 entries, 0 bytes",
        "  nodes           0 would be asked",
    ]
    assert cache.stores.marks.now() == epoch
    assert list(cache.records()) == []
    assert cache.why("page:milk").state == "fresh"

    told = json.loads(run("invalidate", "note:milk", "--dry-run", "--json").stdout)
    assert [step["key"] for step in told["steps"]] == ["note:milk", "page:milk"]
    (receipt,) = wiring.invalidator.run([asked("r", time.time(), keys=["note:milk"])])
    assert receipt.affected == [step["key"] for step in told["steps"]]


def test_why(run: Run, wiring: Wiring) -> None:
    assert run("why", "page:milk").stdout.splitlines()[0] == "page:milk   fresh"
    wiring.invalidator.run(
        [asked("sour", time.time(), keys=["note:milk"], by="till 4", reason=HOSTILE)]
    )
    done = run("why", "page:milk")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "page:milk   missing"
    assert lines[1].startswith("  invalidated ")
    assert lines[1].endswith(": it was invalidated, and not made anew since, as far as is known")
    assert any("key note:milk" in line for line in lines)
    assert any("(request sour)" in line for line in lines)
    assert lines[-1].strip() == "by till 4"
    assert "\x9b" not in done.stdout
    told = json.loads(run("why", "page:milk", "--json").stdout)
    assert told["missing"]["cause"] == "invalidated"
    assert told["last_invalidation"]["by"] == "till 4"


@pytest.mark.usefixtures("wiring")
def test_without_networkx_records_and_why_work_and_a_dry_run_says_what_to_install(
    env: dict[str, str],
) -> None:
    without = "import sys; sys.modules['networkx'] = None; from cachekeeper.cli.main import main"
    for arguments, code in (
        (["records", "list"], 0),
        (["why", "note:milk"], 0),
        (["invalidate", "note:milk", "--dry-run"], 1),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"{without}; main()", *arguments],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        if code:
            assert "networkx: not installed; pip install 'cachekeeper[app]'" in done.stderr
