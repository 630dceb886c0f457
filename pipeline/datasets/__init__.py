"""`restem init` and `restem inspect`: examine a dataset before training."""
