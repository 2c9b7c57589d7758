"""The exactness of the purge: it leaves no bytes of what was derived from what was invalidated.

Producers fill values whose inputs change at each load, several levels deep; meanwhile parents
expire and are evicted, sweeps and refreshes of the graph run, and documents are invalidated. Each
value tells from which versions of which documents it was made, so that whoever invalidates can look
for himself: at all bytes of Redis and disk, before the call and after the purge::

    python -m tests.chaos.graph --seconds 60
"""
