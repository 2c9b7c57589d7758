"""The coherence checker: no read goes back in time, whatever is killed, cut off or rolled back.

Members (processes with a cache) read hot keys and all that is derived from them; writers write a
new version of a source to a register outside the cache and then invalidate it; faults are thrown
at everything. What was read, written and done is kept as a history, and the history is judged::

    python -m tests.chaos.coherence --reads 1000000
"""
