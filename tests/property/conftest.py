"""What every property here is tried with."""

from __future__ import annotations

from hypothesis import settings

from tests.property.profile import PROFILE

settings.register_profile("cachekeeper", PROFILE)
settings.load_profile("cachekeeper")
