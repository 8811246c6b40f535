"""colorize …: photos in colour, training, evaluation, from the command line."""

from .commands import main

__all__ = ["main"]
