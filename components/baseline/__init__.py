"""The Baseline: the model that the candidate has to beat."""
