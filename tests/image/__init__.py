"""The image: what it is pinned to, how it is built, and (`make test-image`) what is in it and how its steps run."""
