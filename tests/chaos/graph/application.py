"""The application as this test runs it: ``celery -A tests.chaos.graph.application worker``."""

from __future__ import annotations

from tests.chaos.graph import removed

removed.apply()

from workers.app import app  # noqa: E402  # what is to be removed goes first

__all__ = ["app"]
