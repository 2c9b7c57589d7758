"""Everything that takes part: a server, a broker, the workers and beat of the product, and ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.services import application_root, application_services
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, load
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.graph import RedisGraph
from cachekeeper.store.redis.records import RedisActivity
from tests.chaos.graph.removed import VARIABLE
from tests.chaos.graph.world import DOCS, LIVELY, REDIS_VALUE_BYTES
from tests.support import unused_port, wait_until

INVALIDATORS: Final = 2
STARTED_S: Final = 60.0
#: How long ours have for what they wait for; the product's work is done when they have ended.
GRACE_S: Final = 40.0
SERVICES_GRACE_S: Final = 1.0
LOG_TAIL: Final = 20_000  # characters shown of what all processes said
APPLICATION: Final = "tests.chaos.graph.application"
#: Values live for seconds, many purges meet a limit and go on in the background, beat comes often.
SETTINGS: Final = {
    "REDIS_VALUE_BYTES": REDIS_VALUE_BYTES,
    "TTL_MIN_S": 1,
    "TTL_DEFAULT_S": 20,
    "TTL_MAX_S": 20,
    "TTL_CLASSES": json.dumps({LIVELY: {"base_s": 20, "multiplier": 1.3, "max_s": 60}}),
    "EARLY_REFRESH_BETA": 1,
    "DEPTH_LIMIT": 3,
    "PURGE_BUDGET": 120,
    "SCHEDULED_FLUSH_S": 0.3,
    "BACKGROUND_FLUSH_S": 0.3,
    "GRAPH_REFRESH_S": 3,
    "EXPIRY_SWEEP_S": 1,
    "LAZY_SWEEP_S": 0.7,
    "RECORD_TRIM_S": 5,
}
#: What the product counts that is of interest here.
COUNTED: Final = (" runs", "pruned", "sweep_expired entries")
REFRESHED: Final = "graph.refresh_snapshot runs"
#: Of the product's services: those that this test needs.
SERVICES: Final = ("immediate", "general", "beat")


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    seconds: float = 60.0
    producers: int = 3
    seed: int = 1
    ablation: str = ""


class Site:
    """Starts everything, and ends it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.history = folder / "history"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.history.mkdir(parents=True)
            guardian = self._guardian = stack.enter_context(Guardian())
            self._log = stack.enter_context(self.log.open("ab"))
            urls = self._urls = {
                name: stack.enter_context(
                    EmbeddedServer(self.folder / name, port=unused_port(), guardian=guardian)
                ).url
                for name in ("cache", "broker")
            }
            self._env = self._environment(urls)
            stack.callback(lambda: self._end(list(self._processes)))
            self._start_all(urls)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def log(self) -> Path:
        """What all processes said."""
        return self.folder / "processes.log"

    def run(self) -> float:
        """Let everything run for a while, and the graph be refreshed; returns for how long (s).

        Who asks ends before who answers, so that everything that was asked for is looked at.
        """
        self._wait(self._runs)
        # Not before: who finds a full server at his first request ends.
        self._start("pressure", [*self._ours("pressure"), str(self.plan.seed)])
        begin = time.monotonic()
        time.sleep(self.plan.seconds)
        # A busy machine takes ticks so late that they have expired, in turn with so many others.
        self._wait(lambda: self.graph().get(REFRESHED, 0) > 0)
        seconds = time.monotonic() - begin
        ours = [name for name in self._processes if name not in SERVICES]
        self._end([name for name in ours if name.startswith("i")])
        self._end([name for name in ours if not name.startswith("i")])
        return seconds

    def graph(self) -> dict[str, float]:
        """What the last refresh of the graph published, and how often the product's tasks ran."""
        connection = Connection(self._urls["cache"], load().deployment)
        totals = RedisActivity(connection).totals()
        done = {name: n for name, n in totals.items() if name.endswith(COUNTED)}
        found = {**RedisGraph(connection).statistics(), **done}
        connection.close()
        return found

    def _wait(self, condition: Callable[[], bool]) -> None:
        try:
            wait_until(condition, STARTED_S)
        except AssertionError as error:
            error.add_note(self.log.read_text()[-LOG_TAIL:])
            raise

    def _runs(self) -> bool:
        wanted = {f"p{i}-0.reads" for i in range(self.plan.producers)}
        wanted |= {f"i{i}-0.changes" for i in range(INVALIDATORS)}
        return all((self.history / name).is_file() for name in wanted) and all(
            (self.history / name).stat().st_size for name in wanted
        )

    def _environment(self, urls: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        here: dict[str, object] = {"STATE": self.folder / "state"}
        here |= {f"{name.upper()}_URL": url for name, url in urls.items()}
        ours = {PREFIX + name: str(value) for name, value in {**SETTINGS, **here}.items()}
        ablation = {VARIABLE: self.plan.ablation} if self.plan.ablation else {}
        return {**kept, **ours, **ablation, "TMPDIR": str(self.folder)}

    def _start_all(self, urls: Mapping[str, str]) -> None:
        root = application_root()
        assert root is not None
        state = State(self.folder / "state")
        state.create()
        given = load(state=state.folder, cache_url=urls["cache"], broker_url=urls["broker"])
        for service in application_services(root, state, given, {}):
            if service.name in SERVICES:
                argv = [APPLICATION if word == "workers.app" else word for word in service.argv]
                self._start(service.name, argv, service.env, service.nice)
        plan = self.plan
        for i in range(plan.producers):
            self._start(f"p{i}", [*self._ours("producer"), str(i), str(plan.seed)])
        for i in range(INVALIDATORS):
            docs = ",".join(map(str, range(i, DOCS, INVALIDATORS)))
            argv = [*self._ours("invalidator"), f"i{i}", str(plan.seed), docs]
            self._start(f"i{i}", argv)

    def _ours(self, module: str) -> list[str]:
        return [sys.executable, "-m", f"tests.chaos.graph.{module}", str(self.history)]

    def _start(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, nice: int = 0
    ) -> None:
        self._processes[name] = spawn(
            argv,
            self._guardian,
            output=self._log,
            env={**self._env, **(env or {})},
            cwd=application_root(),
            grace=GRACE_S,
            nice=nice,
        )

    def _end(self, names: Sequence[str]) -> None:
        ending = [self._processes.pop(name) for name in names]
        grace = GRACE_S if SERVICES[0] not in names else SERVICES_GRACE_S
        stop([Group.of(process.pid, grace=grace) for process in ending])
        for process in ending:
            process.wait()
            self._guardian.remove(process.pid)
