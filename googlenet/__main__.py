"""`python -m googlenet` is the command `googlenet`."""

from .cli import main

main()
