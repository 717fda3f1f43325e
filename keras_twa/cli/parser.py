"""Parses the arguments, runs the command, and reports errors in one line."""

import argparse
import sys
from collections.abc import Sequence

from keras_twa.cli import benchmark
from keras_twa.cli import common
from keras_twa.cli import compare
from keras_twa.cli import generate_listops
from keras_twa.cli import listing
from keras_twa.cli import probe
from keras_twa.cli import report
from keras_twa.cli import streams
from keras_twa.cli import train
from keras_twa.cli import tune
from keras_twa.cli.termination import Terminated
from keras_twa.cli.termination import terminable
from keras_twa.experiments.text import one_line
from keras_twa.version import __version__

EXAMPLES = """\
examples:
  keras-twa list
  keras-twa compare --task listops
  keras-twa compare --task imdb --data aclImdb_v1.tar.gz --preset mvp --epochs 1
  keras-twa compare --task listops --attention dot_product,gravitational --seeds 0,1,2
  keras-twa compare --data readings.csv --series id --time timestamp --target label
  keras-twa probe --attention dot_product,retention --probes parity,copying
  keras-twa report runs/listops-quick-jax
  keras-twa train --task listops --attention gravitational
  keras-twa tune --task listops --attention dot_product,temporal_weighted
  keras-twa benchmark --attention linear,retention --length 4096
  keras-twa generate-listops --output listops

The backend is that of Keras: KERAS_BACKEND=jax, tensorflow or torch.
Exit codes: 0 done, 1 a run or its report failed, 2 wrong input, 130 interrupted,
141 closed output pipe, 143 terminated.
"""
COMMANDS = (
    listing,
    compare,
    probe,
    report,
    train,
    tune,
    benchmark,
    generate_listops,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    streams.spell_out()
    code = 0
    try:
        try:
            code = _run(arguments)
        finally:
            streams.flush()
    except BrokenPipeError:
        # The exit code of a command that a closed pipe ends.
        return 141
    except OSError as error:
        if code == 0:
            common.print_error(one_line(error))
        return code or 2
    return code


def _run(arguments: Sequence[str] | None) -> int:
    options = make_parser().parse_args(arguments)
    try:
        with terminable():
            return int(options.run(options))
    except BrokenPipeError:
        raise
    except (ValueError, OSError, ImportError) as error:
        common.print_error(one_line(error))
        return 2
    except Terminated:
        print("\nTerminated.", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands, without slow imports."""
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
