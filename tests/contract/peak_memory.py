"""Print the growth of peak memory, in bytes, over one gradient of a long sequence.

Run as `python -m tests.contract.peak_memory CASE LENGTH`, with KERAS_BACKEND set.
"""

import sys

import numpy as np

from keras_twa.experiments import machine
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from tests.contract.cases import EACH

# The pattern has an entry for each pair of blocks: large blocks keep it small.
OPTIONS = {"sparse": {"block_size": 64}}


def growth(case, length):
    """Return the growth of peak memory from a short sequence to one of `length`."""
    # The short one is long enough to use the tiled route, and loads all libraries.
    for size in (length // 8, length):
        call = scenarios.itself(
            size,
            batch=1,
            use_causal_mask=True,
            value_mask=np.arange(size)[None] < size - 3,
        )
        layer = harness.built(case, call, **OPTIONS.get(case.id, {}))
        machine.reset_peak_memory()
        before = machine.peak_memory()
        shape = (1, size, harness.QUERY_WIDTH)
        harness.run_with_gradients(layer, call, np.ones(shape, "float32"))
    return machine.memory(before)["peak"] - before


if __name__ == "__main__":
    chosen = next(case for case in EACH if case.id == sys.argv[1])
    print(growth(chosen, int(sys.argv[2])))
