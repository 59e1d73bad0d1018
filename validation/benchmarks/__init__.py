"""Benchmarks: ratios measured in one run, peers beside us, never a timed test."""
