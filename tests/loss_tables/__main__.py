"""Prints the loss tables as the program's behaviour has them: `python -m tests.loss_tables`."""

from .tables import rendered

print(rendered(), end="")
