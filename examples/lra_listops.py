"""Compares five attention mechanisms on ListOps; nothing is downloaded.

KERAS_BACKEND=jax python examples/lra_listops.py

The task of ListOps is to compute the value of a nested expression such as

    [MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]

By default, the expressions are short, and all five mechanisms train in about four
minutes on two processor cores. `--preset mvp` has the 500 to 2,000 tokens of Long Range
Arena, and needs a GPU. `--help` lists the other options.
"""

import sys

from keras_twa.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", "--task", "listops", *sys.argv[1:]]))
