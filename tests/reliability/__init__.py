"""Every fault against every type of task: ``python -m tests.reliability``."""
