"""The command line: ``cachekeeper COMMAND``."""
