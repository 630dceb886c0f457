"""From a configuration to the file that Kubeflow Pipelines takes."""
