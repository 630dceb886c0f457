"""The pipeline on Kubeflow Pipelines v2: the compiler, the entrypoint of the containers, the client for the server."""
