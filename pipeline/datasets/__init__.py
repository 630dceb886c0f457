"""What `restem init` and `restem inspect` do: look at a data set before anything is trained on it."""
