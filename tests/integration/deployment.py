"""Runs a deployment as ``cachekeeper up`` does, with services that a test needs.

``python -m tests.integration.deployment PLAN``, settings by the environment. PLAN is one of
the functions below: the application with one task more, or plain processes that start in no
time and misbehave in a known way.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cachekeeper import settings
from cachekeeper.local.deployment import run
from cachekeeper.local.logs import Console
from cachekeeper.local.services import Service, application_services
from cachekeeper.local.state import State
from cachekeeper.settings import Settings

ROOT = Path(__file__).parents[2]

STEADY = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STEADY}"
REFUSING = "import sys; sys.exit('queue invalidation.imediate: did you mean immediate?')"


def application(
    root: Path, state: State, given: Settings, env: Mapping[str, str]
) -> Sequence[Service]:
    """All of the real application; its general worker also runs `tests.slow`."""
    return [
        dataclasses.replace(service, argv=[*service.argv, "-I", "tests.integration.slow_task"])
        if service.name == "general"
        else service
        for service in application_services(root, state, given, env)
    ]


def steady(root: Path, *_: object) -> Sequence[Service]:
    """One process that does what it should."""
    return [_script("steady", STEADY, root)]


def stubborn(root: Path, *_: object) -> Sequence[Service]:
    """One process that has to be killed, two seconds after it was asked to stop."""
    return [dataclasses.replace(_script("stubborn", STUBBORN, root), grace=2.0)]


def refusing(root: Path, *_: object) -> Sequence[Service]:
    """One process that is well, and one that says why it won't start."""
    return [_script("steady", STEADY, root), _script("refusing", REFUSING, root)]


def _script(name: str, code: str, root: Path) -> Service:
    argv = [sys.executable, "-S", "-c", code]
    return Service(name, argv, what="a process of a test", ready=re.compile("^ready$"), cwd=root)


PLANS = {plan.__name__: plan for plan in (application, steady, stubborn, refusing)}

if __name__ == "__main__":
    sys.exit(run(ROOT, settings.load(), Console(sys.stdout), PLANS[sys.argv[1]]))
