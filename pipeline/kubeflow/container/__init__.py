"""The code that runs in a step's container on Kubeflow."""
