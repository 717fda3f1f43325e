"""Compares conventional and temporal weighted attention on reversing sequences.

KERAS_BACKEND=jax python examples/sequence_reversal.py

The task is to return each sequence of random symbols in reverse order. The symbol at
each place depends on the position alone: the first output is the last input, the second
output is the one before it. So a model must use positions. With conventional attention,
it gets them only from the embeddings added to its input.

Temporal weighted attention scales each score by a gate, a function of the key's
position for each head. The gates start almost open, where the mechanism nearly equals
the conventional one, and are then learned. After less than a minute on two processor
cores with JAX, both mechanisms return all symbols of all test sequences.

The task is `keras_twa.tasks.sequence_reversal`. `--help` lists the options.
"""

import sys

from keras_twa.cli import main

COMMAND = ["compare", "--task", "sequence_reversal"]
COMMAND += ["--attention", "dot_product,temporal_weighted"]

if __name__ == "__main__":
    sys.exit(main([*COMMAND, *sys.argv[1:]]))
