"""What runs in a step's container on Kubeflow."""
