"""Invariants taken out of the product one by one, to see that a test fails for each.

``python -m tests.mutations`` copies the tree, changes a few characters there, and runs the tests
that are named for it. docs/mutations.md says which invariant each breaks.
"""
