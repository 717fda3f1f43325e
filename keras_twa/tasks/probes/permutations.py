"""Products of permutations: the order after each of many exchanges.

A row is elements of a group of permutations, and the answer at each step is the product
of all elements so far. In the group "s3", the permutations of three things, elements
are any of the six. In the group "s5", they are the ten exchanges of two of five things.
In test rows longer than in training, only the steps beyond the length of training rows
count.

Source: [Grazzi et al., 2024](https://arxiv.org/abs/2411.12537) and [Merrill et al.,
2024](https://arxiv.org/abs/2404.08819).
"""

import functools
import itertools

import numpy as np

from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.probe import Batch
from keras_twa.tasks.probes.probe import Inputs
from keras_twa.tasks.probes.probe import Probe
from keras_twa.tasks.probes.sequences import beyond_training
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.settings import check_choice

THINGS = {"s3": 3, "s5": 5}


@functools.cache
def group(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the elements that come in rows, and a table of products.

    Args:
        name: "s3" or "s5".

    Returns:
        The numbers of the elements `(G,)`, and the number of the product of any element
        and one of these, `(elements, G)`. Element 0 changes nothing.
    """
    check_choice("group", name, THINGS)
    elements = list(itertools.permutations(range(THINGS[name])))
    number = {element: index for index, element in enumerate(elements)}
    moved = [sum(a != b for a, b in zip(e, elements[0], strict=True)) for e in elements]
    chosen = [i for i, count in enumerate(moved) if name == "s3" or count == 2]
    products = [
        [number[tuple(before[i] for i in elements[each])] for each in chosen]
        for before in elements
    ]
    return np.array(chosen), np.array(products)


def draw(
    rng: np.random.Generator, count: int, length: int, settings: Settings
) -> Batch:
    """Returns rows; see `Probe`."""
    chosen, _ = group(settings.value("group"))
    tokens = rng.integers(len(chosen), size=(count, length), dtype="int32")
    weights = beyond_training(count, length, settings)
    inputs = {"tokens": tokens}
    return inputs, solve(inputs, settings), weights


def solve(inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns the product so far, `(N, T)`."""
    _, products = group(settings.value("group"))
    state = np.zeros(len(inputs["tokens"]), "int32")
    states = np.zeros_like(inputs["tokens"])
    for step, token in enumerate(inputs["tokens"].T):
        states[:, step] = state = products[state, token]
    return states


def guess(rng: np.random.Generator, inputs: Inputs, settings: Settings) -> np.ndarray:
    """Returns random elements, `(N, T)`."""
    size = inputs["tokens"].shape
    return rng.integers(outputs(settings), size=size)


def outputs(settings: Settings) -> int:
    """Returns the number of elements of the group."""
    return len(group(settings.value("group"))[1])


OPTIONS = {"group": "s3"}

PROBE = Probe(
    name="permutations",
    title="products of permutations",
    ability="It keeps a state that tokens change in an order that matters.",
    source="https://arxiv.org/abs/2411.12537",
    draw=draw,
    solve=solve,
    guess=guess,
    formula=lambda settings: 1 / outputs(settings),
    tokens=lambda settings: len(group(settings.value("group"))[0]),
    outputs=outputs,
    options=OPTIONS,
    test_lengths=(1, 2, 4),
    presets={
        "quick": recipes.quick(max_length=20, epochs=8, options=OPTIONS),
        "standard": recipes.standard(max_length=20, options={"group": "s5"}),
        "paper": recipes.paper(max_length=32, options={"group": "s5"}),
    },
)
TASK = PROBE.task
