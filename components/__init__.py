"""Restem: one folder a step of the pipeline, each importable without the others."""
