"""The pipeline under crashes: what was accepted is done, once, and nothing is stuck.

Producers ask for invalidations of every kind, through the client and as bare tasks, some of them
twice. Meanwhile children of the workers, the workers, beat (there are two) and the server are
killed with ``kill -9``; a supervisor starts them again. At the end each request that was accepted
must have a receipt that has ended and its marks in the log::

    python -m tests.chaos.pipeline --requests 20000 --aof everysec
"""
