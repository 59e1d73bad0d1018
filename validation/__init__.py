"""Measurements whose results are committed: accuracy, benchmarks, real networks. Run from the repository's root."""
