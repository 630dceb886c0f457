"""The steps of the pipeline, one folder a component, each importable without the others."""
