"""Tests of the image: its locked packages, how it is built, and (`make test-image`) its content and how steps run."""
