"""Traces the graphs in colorize_lib/engines again: python tools/make_graphs.py, after a change of colour or network."""

from colorize_lib.checkpoints import load_generator
from colorize_lib.engines.export import write_graphs

if __name__ == "__main__":
    write_graphs(load_generator("best"))
