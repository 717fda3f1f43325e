"""Write every layer's output and scores on the running backend to an .npz file.

Run as `python -m tests.contract.all_outputs PATH`, with KERAS_BACKEND set.
"""

import sys

import numpy as np

from keras_twa.testing import harness
from keras_twa.testing import scenarios
from tests.conftest import use_exact_float32
from tests.contract.cases import FORKS
from tests.contract.cases import PLAIN


def all_outputs():
    """Return a dict from case and kind to array, with the same weights everywhere."""
    found = {}
    for case in [*PLAIN, *FORKS]:
        call = scenarios.everything_for(case)
        layer = harness.built(case, call)
        found[f"{case.id} lean output"] = harness.run(layer, call).output
        if case.has_pairs:
            result = harness.run(layer, {**call, "return_attention_scores": True})
            found[f"{case.id} output"] = result.output
            found[f"{case.id} scores"] = result.scores
    return found


if __name__ == "__main__":
    use_exact_float32()
    np.savez(sys.argv[1], **all_outputs())
