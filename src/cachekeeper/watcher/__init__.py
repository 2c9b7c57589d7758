"""The process that follows the origin (``cachekeeper up`` runs it as ``watch``)."""
