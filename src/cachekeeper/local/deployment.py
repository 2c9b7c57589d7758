"""A whole deployment on this machine, from taking the state folder to giving it back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import redis
from kombu.utils.url import maybe_sanitize_url

from cachekeeper.errors import Busy, CacheUnavailable
from cachekeeper.local.board import Board
from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.logs import Console
from cachekeeper.local.restore import restore_unacknowledged
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.services import Service, application_services, server_service
from cachekeeper.local.spawn import Guardian
from cachekeeper.local.state import POLL_S, Running, State, read_running, read_table
from cachekeeper.local.supervisor import STOPPING, Supervisor
from cachekeeper.local.table import render
from cachekeeper.settings import Settings

#: Exit statuses of `run` beside 0 (was told to stop) and 1 (a service refuses to start).
ALREADY_RUNNING = 3
INTERRUPTED = 130
#: Seconds that the guardian of a killed run may take to clean up, and some.
CLEANED_S = 30.0
#: Seconds in which a server that was given has to answer.
ANSWER_S = 5.0

#: Which services there are beside the embedded server.
Plan = Callable[[Path, State, Settings, Mapping[str, str]], Sequence[Service]]


def run(root: Path, settings: Settings, console: Console, plan: Plan = application_services) -> int:
    """Run the application in ``root`` until a signal says stop; return the exit status.

    Raises:
        ConfigurationError: the state folder or the embedded server can't be used.
        CacheUnavailable: a server that was given does not answer.
        Busy: what a killed run left does not go away.
    """
    state = State(settings.state)
    state.create()
    # Until the supervisor takes the signals, all of them unwind as Ctrl-C does.
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOPPING}
    try:
        lock = _take(state, console)
        if isinstance(lock, Running):
            console.say(f"Cachekeeper runs already in {state.folder}\n\n{render(lock, state)}")
            return ALREADY_RUNNING
        with lock:
            return _run_locked(root, settings, state, lock, console, plan)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take(state: State, console: Console) -> BinaryIO | Running:
    """The lock of the state folder, or what holds it."""
    begin, told = time.monotonic(), False
    while (lock := state.take()) is None:
        if running := read_running(state.folder):
            return running
        waited = time.monotonic() - begin
        if waited > CLEANED_S:
            raise Busy(f"{state.folder}: something left by a killed run does not go away")
        if waited > 1 and not told:
            console.say("the last run was killed; waiting until what it left has stopped")
            told = True
        time.sleep(POLL_S)
    return lock


def _run_locked(
    root: Path, settings: Settings, state: State, lock: BinaryIO, console: Console, plan: Plan
) -> int:
    _stop_leftovers(state)
    board = Board(state, console)
    with ExitStack() as stack:
        stack.callback(state.table.unlink, missing_ok=True)
        # The guardian holds the lock too: the state is taken until it has cleaned up.
        guardian = Guardian(log=state.logs / "guardian.log", keep=[lock.fileno()])
        stack.enter_context(guardian)
        server = _embedded(settings, state, guardian)
        if server:
            stack.enter_context(server)
        board.broker_url = settings.broker_url or (server.url if server else "")
        board.cache_url = settings.cache_url or (server.url if server else "")
        env = {
            "CACHEKEEPER_STATE": str(state.folder),
            "CACHEKEEPER_BROKER_URL": board.broker_url,
            "CACHEKEEPER_CACHE_URL": board.cache_url,
        }
        services, started = list(plan(root, state, settings, env)), {}
        if server and server.process:
            services.insert(0, server_service(server))
            started["server"] = server.process
            if not settings.broker_url and (cut := restore_unacknowledged(server.url)):
                console.say(f"tasks cut off by the end of the last run, which run again: {cut}")
        supervisor = Supervisor(
            services, state, guardian, console, started=started, publish=board.publish
        )
        return supervisor.run()


def _stop_leftovers(state: State) -> None:
    """Stop what a run left that was killed together with its guardian."""
    if table := read_table(state):
        stop(Group(row.pid, row.began) for row in table.services if row.pid is not None)


def _embedded(settings: Settings, state: State, guardian: Guardian) -> EmbeddedServer | None:
    """The embedded server for the roles that no server was given for; None if both were."""
    given = [url for url in (settings.broker_url, settings.cache_url) if url]
    for url in given:
        _require_answer(url)
    if len(given) == 2:
        return None
    return EmbeddedServer(
        state.server,
        port=settings.server_port,
        guardian=guardian,
        log=state.logs / "server.log",
    )


def _require_answer(url: str) -> None:
    """Refuse at once what workers would try to reach for ever."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return  # another broker, in kombu's notation: the workers say what they think of it
    with redis.Redis.from_url(url, socket_timeout=ANSWER_S) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            shown = maybe_sanitize_url(url)
            raise CacheUnavailable(f"the server given, {shown}, does not answer: {error}") from None
