"""The application as the checker runs it: ``celery -A tests.chaos.coherence.worker worker``."""

from __future__ import annotations

from tests.chaos.coherence import removed

removed.apply()

from workers.app import app  # noqa: E402  # what is to be removed goes first

__all__ = ["app"]
