"""How the runner tells the workers under test what is to happen inside of a task."""

from __future__ import annotations

from typing import Final

APPLICATION: Final = "tests.reliability.application"
#: Variable: the folder of what follows.
FOLDER: Final = "RELIABILITY_FOLDER"
#: File: what befalls which tasks, and how often (``World.inside``).
PLAN: Final = "inside.json"
#: File: while it is there, the origin is slow.
SLOW_ORIGIN: Final = "slow-origin"
