"""The model that a training goes on from (`model.weights: latest_approved`, or a folder)."""
