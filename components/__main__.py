"""`python -m restem` is the command line."""

from restem.pipeline.cli import main

main()
