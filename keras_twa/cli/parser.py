"""Reads what was typed, runs the command, and turns what went wrong into a line."""

import argparse
import sys
from collections.abc import Sequence

from keras_twa.cli import benchmark
from keras_twa.cli import compare
from keras_twa.cli import generate_listops
from keras_twa.cli import listing
from keras_twa.cli import report
from keras_twa.cli import train
from keras_twa.cli import tune
from keras_twa.version import __version__

EXAMPLES = """\
examples:
  keras-twa list
  keras-twa compare --task listops
  keras-twa compare --task imdb --data aclImdb_v1.tar.gz --preset mvp --epochs 1
  keras-twa compare --task listops --attention dot_product,gravitational --seeds 0,1,2
  keras-twa report runs/listops-quick-jax
  keras-twa train --task listops --attention gravitational
  keras-twa tune --task listops --attention dot_product,temporal_weighted
  keras-twa benchmark --attention linear,retention --length 4096
  keras-twa generate-listops --output listops

The backend is that of Keras: KERAS_BACKEND=jax, tensorflow or torch.
Exit codes: 0 done, 1 a run failed, 2 wrong input, 130 interrupted.
"""
COMMANDS = (listing, compare, report, train, tune, benchmark, generate_listops)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"keras-twa: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands. It imports nothing that takes long."""
    parser = argparse.ArgumentParser(
        prog="keras-twa",
        description="Attention mechanisms for Keras: compare, train and time them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"keras-twa {__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    return parser
