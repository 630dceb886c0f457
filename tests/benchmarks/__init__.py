"""Benchmarks: ratios of ours to the bare work it wraps, measured side by side in one run."""
