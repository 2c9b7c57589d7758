"""The Celery application: the only place that joins rules, stores and tasks."""
