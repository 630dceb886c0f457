"""Compiles a configuration to the file for Kubeflow Pipelines."""
