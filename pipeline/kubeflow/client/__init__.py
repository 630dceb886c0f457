"""Talking to a Kubeflow Pipelines server."""
