"""The dependency graph in arrays, and what an invalidation reaches in it. Needs numpy and scipy."""
