"""The wiring: configuration, the pipeline, its runners and the command line."""
