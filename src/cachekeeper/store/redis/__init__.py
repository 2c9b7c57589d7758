"""Everything that knows Redis: the key layout, the scripts, one adapter a subject."""
