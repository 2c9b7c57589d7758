"""Our application, but its configuration has a setting that Celery does not know.

``celery -A tests.rig.misspelt worker``
"""

from __future__ import annotations

import sys

from workers import lifecycle
from workers.app import app as app

worker_prefetch_multiplyer = 1

lifecycle.connect(sys.modules[__name__])
