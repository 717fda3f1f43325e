"""Searches for a better model of ListOps than the default; nothing is downloaded.

KERAS_BACKEND=jax python examples/tune_listops.py

The default is conventional attention with the settings of the preset `quick`. The
search chooses among five mechanisms, their own arguments, depth, dropout, learning
rate and batch size; every model has about as many parameters as the default. What is
better is decided on the validation rows. At the end, the default and the best are
measured once on the test rows, beside two answers that need no attention.

It takes ten minutes on two processor cores, or what `--time-limit` says. The same
command goes on where it ended, with a larger `--max-trials` too; another
`--directory` begins anew. `--help` lists the other options.
"""

import argparse

from rich.console import Console

from keras_twa.experiments.text import accuracy_text
from keras_twa.experiments.text import seconds_text
from keras_twa.tuner import search
from keras_twa.tuner import tuning_table

ALGORITHMS = ("random", "bayesian", "hyperband")


def main(arguments=None):
    """Searches, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", default="random", choices=ALGORITHMS)
    parser.add_argument("--attention", help="mechanisms to choose from, as A,B,C")
    parser.add_argument("--max-trials", type=int, default=20)
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds")
    parser.add_argument("--epochs", type=int, help="passes over the training data")
    parser.add_argument("--directory", help="where to keep all, and to go on from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # Eighty columns are the default of files, and too few for the table.
        console.width = max(console.width, 120)

    def show(event):
        if event["event"] == "end":
            found = event["result"]
            console.print(
                f"{found['id']:>7}  {found['hyperparameters']['attention']:30}"
                f"validation {accuracy_text(found['score']):>7}"
                f"  {seconds_text(found['seconds'])}",
                soft_wrap=True,
            )

    try:
        result = search(
            "listops",
            attentions=options.attention and options.attention.split(","),
            algorithm=options.algorithm,
            max_trials=options.max_trials,
            epochs=options.epochs,
            directory=options.directory,
            seed=options.seed,
            time_limit=options.time_limit,
            view=show,
        )
    except (OSError, ValueError) as error:
        parser.error(error)
    console.print(tuning_table(result, console.width))
    # A default that failed was not tested.
    if result.best is not None and "test_accuracy" in result.default:
        gain = result.best["test_accuracy"] - result.default["test_accuracy"]
        console.print(f"The best found against the default: {100 * gain:+.1f} points.")
    if not result.complete:
        console.print("Time was up; the same command goes on.")
    console.print(f"All of it: {result.directory}", soft_wrap=True)
    return result


if __name__ == "__main__":
    main()
