"""colorize serve: the page on this computer."""

import argparse

from .options import add_device, add_weights


def serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize serve",
        description="A page in your browser, which colours photos on this computer. Nothing leaves it.",
    )
    parser.add_argument("--open", action="store_true", help="open the browser, too")
    parser.add_argument(
        "--port",
        type=_port,
        default=8765,
        metavar="N",
        help="1 to 65535, or 0 for any that is free (default: 8765)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on: other than "
        "the default, other computers can send photos, too (default: 127.0.0.1)",
    )
    add_weights(parser)
    add_device(parser, "cpu for the bundled network, without PyTorch; else the fastest that is there")
    return parser


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 1 << 16:
        return int(text)
    raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")


def serve(options: argparse.Namespace) -> int:
    from ..colorizer import Colorizer
    from .server import listen, serve

    with listen(options.host, options.port) as listener:  # first: a taken port is known at once
        colorizer = Colorizer.from_pretrained(options.weights, device=options.device)
        serve(colorizer, listener, options.open)
    return 0
