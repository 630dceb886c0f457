"""The pipeline on Kubeflow Pipelines v2: compiling it, what each step's container runs, and talking to the server."""
