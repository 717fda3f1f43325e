"""`keras-twa generate-listops`: writes ListOps as the published files."""

import argparse
from pathlib import Path
from typing import Any

from keras_twa.cli import common

EXAMPLES = """\
examples:
  keras-twa generate-listops --output listops
  keras-twa generate-listops --output short --preset quick --seed 1
  keras-twa generate-listops --output tiny --num-train 1000 --max-length 200 --force
  keras-twa compare --task listops --preset quick --data short

These are the rows that the same preset uses without --data, in the format of Long Range
Arena: basic_train.tsv, basic_val.tsv and basic_test.tsv. No expression occurs twice in
all three files together.
"""
# From the options to the names of the settings.
SETTINGS = {
    "num_train": "training rows",
    "num_validation": "validation rows",
    "num_test": "test rows",
    "min_length": "expressions have more tokens than this",
    "max_length": "expressions have fewer tokens than this",
    "max_depth": "depth of the deepest digits",
    "max_args": "largest number of arguments of an operator",
}


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(
        commands, "generate-listops", "write ListOps as the published files", EXAMPLES
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--output",
        type=common.folder,
        required=True,
        metavar="DIR",
        help="folder for the files",
    )
    parser.add_argument(
        "--preset",
        default="mvp",
        help="sizes: quick, or mvp for those of Long Range Arena (default: mvp)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the rows (default: 0)"
    )
    for name, what in SETTINGS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            metavar="N",
            help=f"{what} (default: the preset's)",
        )
    parser.add_argument("--force", action="store_true", help="replace existing files")


def run(options: argparse.Namespace) -> int:
    """Generates the rows and writes them."""
    from keras_twa.datasets.progress import shown
    from keras_twa.experiments.comparison import check_folder
    from keras_twa.experiments.config import preset_settings
    from keras_twa.tasks import listops

    asked = {name: getattr(options, name) for name in SETTINGS}
    changes = {name: value for name, value in asked.items() if value is not None}
    settings = preset_settings(
        "listops", options.preset, data_seed=options.seed, **changes
    )
    # Before generating the rows, which may take minutes.
    check_folder(options.output)
    _check_free(options.output, options.force)
    rows = listops.load("generated", settings)
    with shown(None, "Writing ListOps") as progress:
        paths = listops.write(rows, options.output, progress)
    console = common.console(options)
    for path, count in zip(paths, rows.counts.values(), strict=True):
        console.print(f"{path}: {count:,} rows", soft_wrap=True)
    if options.json:
        common.print_json(
            {
                "files": [str(path) for path in paths],
                "rows": rows.counts,
                "seed": settings.data_seed,
                **{name: settings.value(name) for name in SETTINGS},
            }
        )
    return 0


def _check_free(output: Path, force: bool) -> None:
    """Raises `ValueError` for a folder with such files, unless they may be replaced."""
    from keras_twa.tasks.listops import FILES

    found = [name for name in FILES if (output / name).exists()]
    if found and not force:
        raise ValueError(
            f"{', '.join(found)} already exist; --force replaces them. "
            f"Received: {output}"
        )
