"""How hypothesis runs here: the same examples each time, as many as fit into a run of all tests.

``FUZZ_EXAMPLES`` asks for others and for more of them, as ``make fuzz`` does.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

_EXAMPLES: Final = os.environ.get("FUZZ_EXAMPLES")

# No deadline: on a busy machine a slow example says nothing of the code. Too slow to generate
# is no finding either. A fixture that lives longer than an example is on purpose here.
PROFILE: Final = settings(
    deadline=None,
    derandomize=not _EXAMPLES,
    max_examples=int(_EXAMPLES or 150),
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
