"""Translates dates in words to digits, byte by byte, or the sentences of a file.

KERAS_BACKEND=jax python examples/sequence_to_sequence.py
KERAS_BACKEND=jax python examples/sequence_to_sequence.py --data fra.txt --preset full

By default, "thursday, the fourth of march nineteen eighty-two" should become
"1982-03-04". The dates are from 1900 to 2099, in eight spoken or written forms. They
are generated, and no test date is in the training data. See `keras_twa.datasets.dates`.

With `--data`, the pairs come from a file of lines `source TAB target`, such as those of
https://www.manythings.org/anki/. `--preset full` has a model for all of them, which
needs a GPU.

The model is an encoder and a decoder. In training, it predicts each byte of the target
from the source and the correct earlier bytes (teacher forcing). It then translates on
its own, by greedy search and by beam search, and the results are compared with the
references. The baseline copies the target of the most similar training source. After
some minutes on two processor cores with JAX, 94.9 % of 1,000 dates are right, and none
of the copies. Other seeds give up to 98.9 %.

The task is `keras_twa.tasks.dates`. `--help` lists the other options.
"""

import sys

from keras_twa.cli import common
from keras_twa.cli import compare
from keras_twa.cli import main
from keras_twa.cli.parser import make_parser
from keras_twa.experiments.trained import trained_models
from keras_twa.tasks.dates import describe

COMMAND = ["compare", "--task", "dates", "--attention", "dot_product"]


def run(arguments):
    """Compares, and prints how each model translates by itself."""
    code = main([*COMMAND, *arguments])
    if code == 0:
        options = make_parser().parse_args([*COMMAND, *arguments])
        console = common.console(options)
        for result, rows, model in trained_models(compare.output_of(options)):
            console.print(f"\nTranslated by {result.experiment.name}:")
            for line in describe(model, rows):
                console.print(line, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
