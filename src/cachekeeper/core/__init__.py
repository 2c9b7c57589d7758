"""Pure rules: no Redis, no Celery, no clock, no environment."""
