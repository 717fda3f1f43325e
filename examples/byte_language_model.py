"""Trains a language model of bytes on film reviews, and lets it write some.

KERAS_BACKEND=jax python examples/byte_language_model.py
KERAS_BACKEND=jax python examples/byte_language_model.py --data aclImdb_v1.tar.gz

Each byte is a token. `--data` is the archive of the Large Movie Review Dataset, or its
folder. Without it, the model trains on generated reviews. Nothing is downloaded.
`--preset full` trains on all reviews and needs a GPU. `--max-length` is the number of
bytes in a row. The task is `keras_twa.tasks.byte_language_model`. `--help` lists the
other options.

The table compares bits per byte with models that only count how often each byte occurs,
alone or after the last four. On the generated reviews, after some minutes on two
processor cores with JAX: 0.40 bits against 4.49 and 0.45.
"""

import sys

from keras_twa.cli import common
from keras_twa.cli import compare
from keras_twa.cli import main
from keras_twa.cli.parser import make_parser
from keras_twa.experiments.trained import trained_models
from keras_twa.tasks.byte_language_model import describe

COMMAND = ["compare", "--task", "byte_language_model", "--attention", "dot_product"]


def run(arguments):
    """Compares, and prints what each model writes."""
    code = main([*COMMAND, *arguments])
    if code == 0:
        options = make_parser().parse_args([*COMMAND, *arguments])
        console = common.console(options)
        for result, rows, model in trained_models(compare.output_of(options)):
            console.print(f"\nWritten by {result.experiment.name}:")
            for text in describe(model, rows):
                console.print(text, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
