"""Use cases over ``core.ports``: they know rules and order, not Redis and not Celery."""
