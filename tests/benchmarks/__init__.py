"""Benchmarks: the speed of our code relative to the bare work that it wraps, both measured in the same run."""
