"""Adapters of ``core.ports``: Redis, the memory of a process, the disk of a host."""
