"""The Evaluator: compares candidate and baseline on the same raw examples and explains the verdict."""
