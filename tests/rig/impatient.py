"""Our application, but a message counts as lost after seconds: for tests that kill workers.

``celery -A tests.rig.impatient worker``
"""

from __future__ import annotations

from workers.app import app

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 2,
    "unacked_restore_interval": 1,
}
