"""Compares five attention mechanisms on film reviews, read byte by byte.

KERAS_BACKEND=jax python examples/lra_imdb.py
KERAS_BACKEND=jax python examples/lra_imdb.py --data path/to/aclImdb_v1.tar.gz

The task is whether a review is positive. Without options the first bytes of some of
the official reviews are used; they are downloaded the first time. Without a network,
generated reviews take their place, and the report is headed "sample, not IMDb".
`--preset mvp` trains on all reviews. `--help` lists the other options.
"""

import sys

from keras_twa.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", "--task", "imdb", *sys.argv[1:]]))
