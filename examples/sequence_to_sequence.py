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

from keras_twa.cli.described import compare_and_describe
from keras_twa.tasks.dates import describe

COMMAND = ["--task", "dates", "--attention", "dot_product"]


def run(arguments):
    """Compares, and prints what each model translates."""
    return compare_and_describe([*COMMAND, *arguments], "Translated by", describe)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
