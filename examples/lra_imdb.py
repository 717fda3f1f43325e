"""Compares five attention mechanisms on film reviews, read byte by byte.

KERAS_BACKEND=jax python examples/lra_imdb.py
KERAS_BACKEND=jax python examples/lra_imdb.py --data path/to/aclImdb_v1.tar.gz

The task is to decide whether a review is positive. By default, the models read the
first bytes of some of the official reviews, which are downloaded once. Without a
network, generated reviews replace them, and the heading of the report says "sample, not
IMDb". `--preset mvp` trains on all reviews. `--help` lists the other options.
"""

import sys

from keras_twa.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", "--task", "imdb", *sys.argv[1:]]))
