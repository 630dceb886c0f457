"""What talks to a Kubeflow Pipelines server, against a local one that behaves as the real one does."""
