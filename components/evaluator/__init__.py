"""The Evaluator: compares candidate and baseline on the same raw examples and decides with measured error rates."""
