"""The Baseline: what the candidate has to beat."""
