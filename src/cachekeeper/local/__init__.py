"""One machine, one command: the embedded server and the supervisor behind ``cachekeeper up``."""
