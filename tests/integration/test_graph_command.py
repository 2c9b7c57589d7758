"""``cachekeeper graph``: the real command, on a real server, over what loaders have read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import pytest
from click.testing import CliRunner

from cachekeeper import Cache
from cachekeeper.cli.main import main
from cachekeeper.client.graph import open_graph
from cachekeeper.services.refresh_graph import GraphRefresh
from cachekeeper.settings import PREFIX, Settings
from tests.support import but

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]
HOSTILE = 'note:"><script>alert(1)</script> 写真'

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cache(here: Settings) -> Iterator[Cache]:
    """Notes, pages made of them, and a book of the pages: all read once."""
    with Cache(but(here, memory_bytes=0)) as opened:
        notes, pages = opened.namespace("note"), opened.namespace("page")
        books = opened.namespace("book")
        notes.loader(lambda name: name.encode())
        pages.loader(lambda name: notes.get(name) + notes.get(HOSTILE.partition(":")[2]))
        books.loader(lambda _: b"".join(pages.get(name) for name in ("milk", "bread")))
        books.get("all")
        yield opened


@pytest.fixture
def env(cache: Cache) -> dict[str, str]:
    """The environment of a command that is to find this cache."""
    given = {
        "CACHE_URL": cache.settings.cache_url,
        "BROKER_URL": cache.settings.broker_url,
        "DEPLOYMENT": cache.settings.deployment,
        "STATE": cache.settings.state,
    }
    return {f"{PREFIX}{name}": str(value) for name, value in given.items()}


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """The command ``cachekeeper graph`` with these arguments, in a process of its own."""

    def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "graph", *map(str, arguments)],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return command


def test_dependents(run: Run) -> None:
    done = run("dependents", HOSTILE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        HOSTILE,
        "├── page:bread",
        "│   └── book:all",
        "└── page:milk",
        "    └── book:all  (see above)",
    ]


def test_limits_are_said_beside_the_output(run: Run) -> None:
    done = run("dependents", "note:milk", "--depth", "1")
    assert done.stdout == "note:milk\n└── page:milk\n    └── … 1 more\n"
    assert done.stderr == "limit: what is more than 1 edge away is left out\n"
    done = run("dependents", HOSTILE, "--limit", "2", "--format", "json")
    part = nx.node_link_graph(json.loads(done.stdout), edges="edges")
    assert len(part) == 2
    assert part.nodes[HOSTILE]["more_dependents"] == 1
    assert done.stderr == "limit: the limit of 2 keys was met: others are left out\n"


def test_why_connected(run: Run) -> None:
    done = run("why-connected", "note:milk", "book:all")
    assert (done.returncode, done.stdout) == (0, "note:milk -> page:milk -> book:all\n")
    done = run("why-connected", HOSTILE, "book:all", "--json")
    assert json.loads(done.stdout)["number"] == 2


def test_why_not_connected(run: Run) -> None:
    done = run("why-connected", "book:all", "note:milk")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "no way from book:all to note:milk; it is the other way round:",
        "note:milk -> page:milk -> book:all",
    ]
    done = run("why-connected", "note:milk", "note:bread")
    assert done.returncode == 1
    assert done.stdout == "neither of note:milk and note:bread was derived from the other\n"


def test_export(run: Run, tmp_path: Path) -> None:
    edges = {
        *((HOSTILE, page) for page in ("page:milk", "page:bread")),
        *((f"note:{name}", f"page:{name}") for name in ("milk", "bread")),
        *((f"page:{name}", "book:all") for name in ("milk", "bread")),
    }
    done = run("export", "--format", "graphml", "--output", tmp_path / "all.graphml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(nx.read_graphml(tmp_path / "all.graphml").edges) == edges
    found = nx.node_link_graph(json.loads(run("export", "--format", "json").stdout), edges="edges")
    assert set(found.edges) == edges
    assert run("export").stdout.count(" -> ") == len(edges)
    done = run("export", "--key", "note:milk", "--depth", "1", "--format", "json")
    assert set(nx.node_link_graph(json.loads(done.stdout), edges="edges")) == {
        "note:milk",
        "page:milk",
    }
    assert "1 edge away" in done.stderr


def test_picture(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "picture.svg"
    done = run("picture", HOSTILE, "--output", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    titles = {title.text for title in ElementTree.parse(target).iter() if "title" in title.tag}
    assert {HOSTILE, "page:milk", "page:bread", "book:all"} <= titles


def test_stats(run: Run, cache: Cache) -> None:
    done = run("stats")
    assert done.stdout.splitlines()[0] == "dependency graph   not refreshed yet: counted just now"
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["nodes", "6"],
        ["edges", "6"],
    ]
    GraphRefresh(cache.stores.graph, open_graph(cache), lambda: 1e9).run()
    told = json.loads(run("stats", "--json").stdout)
    assert told["age_s"] > 0
    assert (told["nodes"], told["edges"], told["largest_fan_out"]) == (6, 6, 2)
    assert "as of" in run("stats").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dependents", "note:nobody"], "key: 'note:nobody' is not allowed; allowed: a key of the"),
        (["dependents", "nokey"], "key: 'nokey' is not allowed; allowed: namespace:rest"),
        (["dependents", "note:milk", "--depth", "0"], "depth: 0 is not allowed; allowed: 1 to 100"),
        (["dependents", "note:milk", "--limit", "-1"], "limit: -1 is not allowed"),
        (
            ["picture", "note:milk", "--limit", "301"],
            "limit: 301 is not allowed; allowed: 1 to 300",
        ),
        (["picture", "note:nobody"], "key: 'note:nobody' is not allowed"),
        (["export", "--key", "note:nobody"], "key: 'note:nobody' is not allowed"),
        (["why-connected", "note:milk", "note:nobody"], "b: 'note:nobody' is not allowed"),
        (["export", "--output", "/nowhere/at/all"], "output: '/nowhere/at/all' is not allowed"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    env: dict[str, str], arguments: list[str], said: str
) -> None:
    done = CliRunner(env=env).invoke(main, ["graph", *arguments])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [("--help", 0), ("graph --help", 0), ("graph stats", 1)]
)
def test_without_networkx_it_says_what_to_install(arguments: str, code: int) -> None:
    without = "import sys; sys.modules['networkx'] = None; from cachekeeper.cli.main import main"
    done = subprocess.run(
        [sys.executable, "-c", f"{without}; main()", *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    if code:
        assert "networkx: not installed; pip install 'cachekeeper[app]'" in done.stderr
