"""What ``cachekeeper up`` runs, and with which command lines."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cachekeeper
from cachekeeper.errors import ConfigurationError
from cachekeeper.local.network import HOST
from cachekeeper.local.server import GRACE_S, SERVER_STAGE, EmbeddedServer
from cachekeeper.local.state import State
from cachekeeper.names import QUEUES, Queue
from cachekeeper.settings import Settings

#: Seconds that a worker has to hand back the task it is in the middle of: the soft shutdown
#: timeout of celeryconfig.py, and something on top for leaving.
WORKER_GRACE_S = 9.0
#: The application's packages that a client does without (extra ``app``).
NEEDED = (
    "flower",
    "h11",
    "networkx",
    "numpy",
    "psutil",
    "rich",
    "scipy",
    "starlette",
    "uvicorn",
    "watchfiles",
)
#: Flower and beat hand back nothing.
OTHERS_GRACE_S = 3.0
#: How much the worker for all but the immediate work gives way to everything else: on a host that
#: has nothing to spare it has a tenth of the time of any other. More made no call quicker.
BACKGROUND_NICE = 10
#: What nobody has asked for gives way to that.
FETCH_NICE = 15

_CELERY = (sys.executable, "-m", "celery", "-A", "workers.app")


@dataclass(frozen=True)
class Service:
    """A process to keep running.

    Attributes:
        name: short and unique; tags its lines of log.
        argv: its command line. ``{port}`` becomes a free port, ``port`` or one above it.
        what: what it does, for people.
        ready: a line of its log that says it is ready; the group ``address``, if there is
            one, says how to reach it.
        env: added to the supervisor's environment.
        cwd: where it runs.
        address: how to reach it, if that is known beforehand.
        needs: services that have to be ready before it starts.
        stage: what stops first; the lowest.
        grace: seconds between SIGTERM and SIGKILL.
        nice: added to the supervisor's niceness.
        keep: file descriptors that it inherits.
    """

    name: str
    argv: Sequence[str]
    what: str
    ready: re.Pattern[str]
    cwd: Path
    address: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    needs: Sequence[str] = ()
    stage: int = 0
    grace: float = WORKER_GRACE_S
    nice: int = 0
    keep: Sequence[int] = ()


def application_root() -> Path | None:
    """The checkout that this package is part of, None if it was installed from a wheel.

    Only the folder above the package counts: a module that happens to be called
    ``workers`` may be anybody's.
    """
    root = Path(cachekeeper.__file__).resolve().parents[2]
    parts = (root / "celeryconfig.py", root / "workers" / "app.py", root / "tasks")
    return root if all(part.exists() for part in parts) else None


def require_extras() -> None:
    """Check that the packages of the application are there.

    Raises:
        ConfigurationError: names those that are not.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)}: not installed; pip install 'cachekeeper[app]' brings all "
            "that the application needs"
        )


def server_service(server: EmbeddedServer) -> Service:
    """The embedded server that has been started, as a service to be watched."""
    assert server.lock is not None
    return Service(
        name="server",
        argv=server.argv,
        what=f"{server.engine}, data in {server.data}",
        ready=re.compile("Ready to accept connections"),
        cwd=server.data,
        address=server.url,
        stage=SERVER_STAGE,
        grace=GRACE_S,
        keep=[server.lock.fileno()],
    )


def application_services(
    root: Path, state: State, settings: Settings, env: Mapping[str, str]
) -> list[Service]:
    """The workers, beat, Flower; the endpoint of devices and the watcher, unless they are off."""
    alone = (Queue.IMMEDIATE, Queue.PLAN, Queue.PREFETCH)
    rest = [queue for queue in QUEUES if queue not in alone]
    # TERM asks a worker to hand back its task within the soft shutdown timeout. Celery's own
    # TERM waits for the task's end, however far away.
    worker_env = {**env, "REMAP_SIGTERM": "SIGQUIT"}
    beat = ["-s", str(state.schedule), "--pidfile=", "-l", "INFO"]
    flower = ["--conf=deploy/flowerconfig.py", f"--address={HOST}", "--port={port}"]
    protocol = [sys.executable, "-m", "cachekeeper.protocol"]
    ready_worker = re.compile(r"(?P<address>\S+@\S+) ready\.$")
    services = [
        Service(
            name="immediate",
            argv=_worker("immediate", [Queue.IMMEDIATE], 1),
            what=f"worker of {Queue.IMMEDIATE} alone",
            ready=ready_worker,
            cwd=root,
            env=worker_env,
        ),
        Service(
            name="general",
            argv=_worker("general", rest, 2),
            what=f"worker of the {len(rest)} other queues, nice {BACKGROUND_NICE}",
            ready=ready_worker,
            cwd=root,
            env=worker_env,
            nice=BACKGROUND_NICE,
        ),
        Service(
            # What is planned late is fetched in vain: the queue that a worker of several looks at
            # first is the only one that wakes it.
            name="plan",
            argv=_worker("plan", [Queue.PLAN], 1),
            what=f"worker of {Queue.PLAN} alone, nice {BACKGROUND_NICE}",
            ready=ready_worker,
            cwd=root,
            env=worker_env,
            nice=BACKGROUND_NICE,
        ),
        Service(
            # Origins may be slow: who waits for one is not to keep anything else.
            name="fetch",
            argv=_worker("fetch", [Queue.PREFETCH], 2),
            what=f"worker of {Queue.PREFETCH} alone, nice {FETCH_NICE}",
            ready=ready_worker,
            cwd=root,
            env=worker_env,
            nice=FETCH_NICE,
        ),
        Service(
            name="beat",
            argv=[*_CELERY, "-q", "beat", *beat],
            what="rings the periodic tasks",
            ready=re.compile(r"beat: Starting\.\.\.$"),
            cwd=root,
            env=env,
            grace=OTHERS_GRACE_S,
        ),
        Service(
            name="flower",
            argv=[*_CELERY, "flower", *flower],
            what="shows tasks and workers",
            ready=re.compile(r"Visit me at (?P<address>\S+)"),
            cwd=root,
            env=env,
            port=settings.flower_port,
            # It asks workers only once what they are.
            needs=["immediate", "general", "plan", "fetch"],
            grace=OTHERS_GRACE_S,
        ),
        Service(
            name="devices",
            argv=[*protocol, f"--host={settings.device_host}", "--port={port}"],
            what="the endpoint that devices talk to",
            ready=re.compile(r"Uvicorn running on (?P<address>\S+)"),
            cwd=root,
            env=env,
            port=settings.device_port,
            grace=OTHERS_GRACE_S,
        ),
        Service(
            name="watch",
            argv=[sys.executable, "-m", "cachekeeper.watcher"],
            what="follows the origin",
            ready=re.compile(r"watch: (not )?watching"),
            cwd=root,
            env=env,
            grace=OTHERS_GRACE_S,
        ),
    ]
    unwanted = set()
    if not settings.device_port:
        unwanted.add("devices")
    if not (settings.watch and (settings.origin or settings.origins)):
        unwanted.add("watch")
    return [service for service in services if service.name not in unwanted]


def _worker(name: str, queues: Sequence[str], processes: int) -> list[str]:
    select = ["-n", f"{name}@%h", "-Q", ",".join(queues), "-c", str(processes)]
    # One host, few workers: nothing to agree on with the others at the start or later.
    alone = ["--without-mingle", "--without-gossip"]
    return [*_CELERY, "-q", "worker", *select, *alone, "-E", "-l", "INFO"]
