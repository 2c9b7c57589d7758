"""Hypothesis: the same examples at every run, and as many as fit into a run of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: on a busy machine a slow example says nothing of the code. Too slow to generate
# is no finding either. A fixture that lives longer than an example is on purpose here.
settings.register_profile(
    "cachekeeper",
    deadline=None,
    derandomize=True,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("cachekeeper")
