"""The Evaluator: candidate against baseline on the same raw examples, and the verdict in words."""
