"""Hypothesis: the same examples at every run, and as many as fit into a run of all tests.

``FUZZ_EXAMPLES`` asks for others and for more of them, as ``make fuzz`` does.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")

# No deadline: on a busy machine a slow example says nothing of the code. Too slow to generate
# is no finding either. A fixture that lives longer than an example is on purpose here.
settings.register_profile(
    "cachekeeper",
    deadline=None,
    derandomize=not EXAMPLES,
    max_examples=int(EXAMPLES or 150),
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("cachekeeper")
