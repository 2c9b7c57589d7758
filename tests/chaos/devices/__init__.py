"""Readers of one device that are killed at random, and what must hold of its bytes meanwhile."""
