"""Searches for a better model of ListOps than the default; nothing is downloaded.

KERAS_BACKEND=jax python examples/tune_listops.py

The default is conventional attention with the settings of the preset `quick`. The
search varies the mechanism (one of five), its arguments, depth, dropout, learning rate
and batch size. All models have about as many parameters as the default. Models are
compared on the validation rows. At the end, the default and the best model are measured
once on the test rows, with two baselines that need no attention.

The search stops after ten minutes, or after `--time-limit` seconds. The same command
continues it, also with a larger `--max-trials`. Another `--directory` starts a new
search. `--help` lists the other options.
"""

import argparse

from rich.console import Console

from keras_twa.experiments.text import seconds_text
from keras_twa.tasks import get
from keras_twa.tuner import search
from keras_twa.tuner import tuning_table

ALGORITHMS = ("random", "bayesian", "hyperband")


def main(arguments=None):
    """Searches, and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", default="random", choices=ALGORITHMS)
    parser.add_argument("--attention", help="mechanisms to choose from, as A,B,C")
    parser.add_argument("--max-trials", type=int, default=20)
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds")
    parser.add_argument("--epochs", type=int, help="passes over the training data")
    parser.add_argument("--directory", help="folder of the search, to continue from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # If the output is a file, the default of 80 columns is too few for the table.
        console.width = max(console.width, 120)

    def show(event):
        if event["event"] == "end":
            found = event["result"]
            console.print(
                f"{found['id']:>7}  {found['hyperparameters']['attention']:30}"
                f"validation {get('listops').metric.text(found['score']):>7}"
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
    # A default model that failed has no test accuracy.
    if result.best is not None and "test_accuracy" in result.default:
        gain = result.best["test_accuracy"] - result.default["test_accuracy"]
        console.print(f"Best model against the default: {100 * gain:+.1f} points.")
    if not result.complete:
        console.print("The time limit was reached. Run the same command to continue.")
    console.print(f"All results: {result.directory}", soft_wrap=True)
    return result


if __name__ == "__main__":
    main()
