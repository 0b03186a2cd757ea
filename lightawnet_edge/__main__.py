"""`python -m lightawnet_edge`: the command line without its script."""

from lightawnet_edge.cli import main

main()
