"""The command `keras-twa`: parses its arguments, then calls the experiments."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  keras-twa compare --task listops
  keras-twa compare --task imdb --data aclImdb_v1.tar.gz --preset mvp --epochs 1
  keras-twa compare --task listops --attention dot_product,gravitational --seeds 0,1,2
  keras-twa report runs/listops-quick-jax
  keras-twa list

The backend is that of Keras: KERAS_BACKEND=jax, tensorflow or torch.
"""
COMPARE_NOTES = """\
Running the same command again keeps what is complete and goes on with the rest,
inside a run too. A comparison in pieces: give each call the same --output and a
--time-limit.

The preset `quick` shrinks the task to minutes on two cores. `mvp`, `skyformer` and
`lra_paper` train on Long Range Arena's own sizes; they want a GPU.
"""

# What a comparison trains unless it is told otherwise: the longest list is not always
# the question.
COMPARED = (
    "dot_product",
    "temporal_weighted",
    "gravitational",
    "multi_timescale",
    "gravitational_multi_timescale",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"keras-twa: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-twa",
        description="Compare attention mechanisms on tasks of Long Range Arena.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    compare = commands.add_parser(
        "compare",
        help="train mechanisms on a task and report",
        description="Train mechanisms on a task, one process per run, and report.",
        epilog=COMPARE_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.set_defaults(run=_compare)
    compare.add_argument("--task", required=True, help="listops or imdb")
    compare.add_argument(
        "--preset",
        default="quick",
        help="quick, small, mvp, skyformer or lra_paper (default: quick)",
    )
    compare.add_argument(
        "--attention",
        type=_names,
        metavar="A,B,C",
        help="mechanisms, as `keras-twa list` names them, or `all` (default: the "
        "conventional one and the four that weigh time, mass, or both)",
    )
    compare.add_argument(
        "--seeds",
        type=_integers,
        default=[0],
        metavar="0,1,2",
        help="one run of each mechanism per seed (default: 0)",
    )
    compare.add_argument(
        "--data",
        default="auto",
        help="imdb: auto, tfds, sample, or the path of aclImdb or its archive; "
        "listops: auto (generated), or a folder with the released files "
        "(default: auto)",
    )
    compare.add_argument(
        "--output",
        metavar="DIR",
        help="folder for results and report (default: runs/TASK-PRESET-BACKEND)",
    )
    compare.add_argument("--epochs", type=int, help="passes over the training data")
    compare.add_argument(
        "--max-length", type=int, metavar="N", help="longest sequence in tokens"
    )
    compare.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="stop cleanly after so long; a later call goes on",
    )
    report = commands.add_parser("report", help="write the report of a folder again")
    report.set_defaults(run=_report)
    report.add_argument("directory", metavar="DIR", help="--output of a comparison")
    listing = commands.add_parser("list", help="list the mechanisms")
    listing.set_defaults(run=_list)
    return parser


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _integers(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected integers such as 0,1,2. Received: {text!r}"
        ) from None


def _compare(options: argparse.Namespace) -> int:
    from keras_twa.experiments.comparison import Comparison
    from keras_twa.experiments.config import Experiment
    from keras_twa.experiments.config import preset_settings
    from keras_twa.experiments.data import load_task
    from keras_twa.experiments.report import write_report
    from keras_twa.experiments.settings import check_choice
    from keras_twa.experiments.terminal import ProgressView
    from keras_twa.experiments.terminal import results_table

    changes = {"epochs": options.epochs, "max_length": options.max_length}
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.time_limit is not None and not options.time_limit > 0:
        raise ValueError(
            "`--time-limit` must be positive. Received: "
            f"time_limit={options.time_limit}"
        )
    settings = preset_settings(options.task, options.preset, **changes)
    backend, mechanisms = _mechanisms()
    attentions = options.attention or list(COMPARED)
    attentions = list(mechanisms) if attentions == ["all"] else attentions
    for name in attentions:
        check_choice("attention", name, mechanisms)
    output = Path(
        options.output or f"runs/{options.task}-{options.preset}-{backend}"
    ).expanduser()
    console = _console()

    def comparison_on(data: str) -> Comparison:
        experiments = [
            Experiment(options.task, name, seed, options.preset, data, settings)
            for seed in options.seeds
            for name in attentions
        ]
        return Comparison(output, experiments, backend)

    comparison_on(options.data).check_writable()
    data = load_task(options.task, options.data, settings)
    comparison = comparison_on(data.data)
    facts = comparison.prepare(data)
    _print_heading(console, comparison, facts)
    try:
        with ProgressView(console, comparison.experiments) as view:
            results = comparison.run(view, options.time_limit)
    except KeyboardInterrupt:
        write_report(output)
        console.print(
            f"Interrupted. What is done is in {output}; "
            "the same command goes on from there.",
            soft_wrap=True,
        )
        return 130
    report = write_report(output)
    console.print(results_table(results, facts["baselines"]))
    left = len(comparison.experiments) - sum(r.status != "stopped" for r in results)
    if left:
        console.print(f"{left} runs are not complete; the same command goes on.")
    console.print(f"Report: {report}", soft_wrap=True)
    return 1 if any(result.status == "failed" for result in results) else 0


def _print_heading(console: Any, comparison: Any, facts: dict[str, Any]) -> None:
    from keras_twa.experiments.text import accuracy_text

    rows = facts["rows"]
    baselines = [
        f"{name} {accuracy_text(value)}" for name, value in facts["baselines"].items()
    ]
    console.print(
        f"[bold]{facts['task']}[/] ({facts['source']}), preset {facts['preset']}, "
        f"{facts['backend']} backend, {len(comparison.experiments)} runs"
    )
    console.print(
        f"{rows['train']:,} rows to train on, {rows['validation']:,} for validation, "
        f"{rows['test']:,} for the test"
    )
    if facts["note"]:
        console.print(f"[yellow]Not the published task:[/] {facts['note']}")
    console.print(f"Without attention: {', '.join(baselines)}")
    console.print(f"Results: {comparison.output}", soft_wrap=True)


def _report(options: argparse.Namespace) -> int:
    from keras_twa.experiments.report import write_report

    _console().print(f"Report: {write_report(options.directory)}", soft_wrap=True)
    return 0


def _list(options: argparse.Namespace) -> int:
    from rich.table import Table

    _, mechanisms = _mechanisms()
    table = Table("name", "class", "what it is")
    for name, layer in mechanisms.items():
        summary = (layer.__doc__ or "").strip().splitlines()[0]
        table.add_row(name, layer.__name__, summary)
    _console().print(table)
    return 0


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        # Eighty columns are the default of files, and too few for the table.
        console.width = max(console.width, 100)
    return console


def _mechanisms() -> tuple[str, dict[str, Any]]:
    """Returns the name of the backend, and the attention layers by name."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet():
        from keras_twa.layers import ATTENTION_LAYERS
        from keras_twa.layers import name_of
        from keras_twa.ops import backend

    return backend.NAME, {name_of(c): c for c in ATTENTION_LAYERS}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what libraries write to the error stream on import from the user."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if __name__ == "__main__":
    sys.exit(main())
