"""The whole deployment under mixed load, with faults, for minutes: what grows, and what gets slow.

``python -m tests.soak --minutes 20`` starts ``cachekeeper up`` as its user does, on a state folder
and ports of its own, beside two client processes that read, edit, invalidate, and play devices.
"""
