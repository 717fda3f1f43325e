"""Shared by the commands: consoles, options, and the list of mechanisms."""

import argparse
import ast
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_twa import tasks
from keras_twa.cli import subject
from keras_twa.experiments.config import COMPARED
from keras_twa.home import expanded
from keras_twa.mechanism import listed
from keras_twa.mechanism import parse
from keras_twa.mechanism import text as text_of
from keras_twa.tasks.settings import check_choice

COMPARED_TEXT = "the conventional one and the four that use time, mass, or both"


def add_command(
    commands: Any, name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    """Returns the parser of a new command.

    Args:
        commands: The result of `add_subparsers`.
        name: Name of the command.
        summary: A phrase that describes it.
        examples: The text below its options.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object and nothing else; progress goes to stderr",
    )
    return parser


def add_task(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the task, its data and its training."""
    parser.add_argument(
        "--task",
        help=f"{', '.join(tasks.names())}, or FILE.py:NAME of a task of yours "
        "(default: what fits the file --data)",
    )
    parser.add_argument(
        "--preset",
        default="quick",
        help="sizes and training recipe; those of Long Range Arena have quick, small, "
        "mvp, skyformer and lra_paper, most others quick and full (default: quick)",
    )
    parser.add_argument(
        "--data",
        default="auto",
        help="a table of yours (.csv or .tsv, or these with .gz) or arrays (.npz); or "
        "for imdb: auto, tfds, sample, or the path of aclImdb or its archive; "
        "byte_language_model: the same, but auto is sample; "
        "listops: auto (generated), or a folder with the published files; "
        "dates: auto (generated), or a file of lines `source TAB target`; "
        "vit_cifar10: auto (sample), the folder of the official batches, or an .npz "
        "file; time_series: the name of a data set such as GunPoint; uneven_series: "
        "swing, recall, decay or order (default: auto)",
    )
    subject.add_options(parser)
    parser.add_argument("--epochs", type=int, help="passes over the training data")
    add_time_limit(parser)


def add_time_limit(parser: argparse.ArgumentParser) -> None:
    """Adds the option of how long a call may take."""
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="stop cleanly after this time; a later call continues",
    )


def add_mechanisms(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the option that chooses several mechanisms."""
    parser.add_argument(
        "--attention",
        type=names,
        metavar="A,B,C",
        help="mechanisms, as `keras-twa list` names them, with options such as "
        "`local(window=32)`, or in brackets one per block, or `all` that fit "
        f"(default: {default})",
    )
    add_import(parser)


def add_import(parser: argparse.ArgumentParser) -> None:
    """Adds the option that makes mechanisms of other packages known."""
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module that registers mechanisms of its own; repeatable",
    )


def names(text: str) -> list[str]:
    """Returns the texts between the commas, each once.

    Commas inside of brackets belong to a text: `local(window=3, dropout=0.1)`.
    """
    try:
        nodes = ast.parse(f"[{text}]", mode="eval").body
        found = [ast.get_source_segment(f"[{text}]", node) for node in nodes.elts]
    except (SyntaxError, ValueError):
        found = text.split(",")
    stripped = (name.strip() for name in found if name)
    return list(dict.fromkeys(name for name in stripped if name))


def check_time_limit(seconds: float | None) -> None:
    """Raises `ValueError` for a time limit that is not positive."""
    if seconds is not None and not seconds > 0:
        raise ValueError(
            f"`--time-limit` must be positive. Received: time_limit={seconds}"
        )


def chosen(
    wanted: list[str] | None,
    mechanisms: dict[str, Any],
    models: Iterable[str] = (),
    check: Callable[[str], None] = lambda attention: None,
) -> list[str]:
    """Returns the texts of the selected mechanisms.

    Args:
        wanted: Texts, or `None` for those that are compared by default.
        mechanisms: The classes of all mechanisms by name.
        models: Names that the task knows besides.
        check: Raises `ValueError` for a mechanism that does not fit the task. `all`
            leaves it out.

    Raises:
        ValueError: If a name or an option is unknown, or a mechanism does not fit.
    """
    found = list(COMPARED) if wanted is None else wanted
    if not found:
        raise ValueError("`--attention` must name a mechanism. Received: no name")
    texts = []
    for each in found:
        if each == "all":
            texts += [name for name in mechanisms if _passes(check, name)]
        else:
            texts.append(checked(each, mechanisms, models))
            check(texts[-1])
    return list(dict.fromkeys(texts))


def _passes(check: Callable[[str], None], name: str) -> bool:
    try:
        check(name)
    except ValueError:
        return False
    return True


def checked(
    attention: str, mechanisms: dict[str, Any], models: Iterable[str] = ()
) -> str:
    """Returns the one text of a mechanism, or of a list of them.

    Raises:
        ValueError: If a name or an option is unknown.
    """
    from keras_twa.layers.options import check_options

    if attention in models:
        return attention
    if not set("([") & set(attention):
        check_choice("attention", attention, [*mechanisms, *models])
    found = parse(attention)
    for each in listed(found):
        check_choice("attention", each.name, mechanisms)
        check_options(each, mechanisms[each.name])
    return text_of(found)


def folder(text: str) -> Path:
    """Returns a path with `~` as the home folder."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def console(options: argparse.Namespace) -> Any:
    """Returns the rich console for output to people."""
    from keras_twa.cli.console import LiteralConsole

    return LiteralConsole(stderr=options.json)


def print_error(message: str) -> None:
    """Prints an error in one line on the error stream."""
    print(f"keras-twa: error: {message}", file=sys.stderr)


def print_how_to_go_on(console: Any, output: Path) -> None:
    """Prints after an interrupt where the results are, and how to continue."""
    console.print(
        f"The results so far are in {output}; the same command continues from there.",
        soft_wrap=True,
    )


def print_json(values: dict[str, Any]) -> None:
    """Prints JSON for other programs."""
    from keras_twa.experiments.results import finite

    print(json.dumps(finite(values), indent=1))


def load_mechanisms(modules: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Returns the name of the backend, and the attention layers by name.

    Args:
        modules: Names of modules to import, which register mechanisms.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet():
        from keras_twa import layers
        from keras_twa.ops import backend

    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f"The module cannot be imported: {error}. Received: --import {module}"
            ) from error
    return backend.NAME, layers.mechanisms()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the output of libraries on the error stream during their import."""
    if sys.stderr is None:
        # The caller of the command closed it.
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
