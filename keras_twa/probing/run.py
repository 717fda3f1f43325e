"""Measures what attention mechanisms can do, on small generated tasks."""

import os
from collections.abc import Sequence
from typing import Any

from keras_twa.experiments.arguments import check_time_limit
from keras_twa.experiments.arguments import check_workers
from keras_twa.experiments.together import run_together
from keras_twa.probing.matrix import CapabilityMatrix
from keras_twa.probing.plan import Plan


def probe(
    attention: Any = None,
    probes: str | Sequence[str] | None = None,
    *,
    seeds: int | Sequence[int] = 1,
    preset: str = "quick",
    learning_rates: Sequence[float] | None = None,
    positions: str | None = None,
    epochs: int | None = None,
    time_limit: float | None = None,
    workers: int | None = None,
    output: str | os.PathLike[str] | None = None,
    verbose: int | bool = 1,
) -> CapabilityMatrix:
    """Trains small models of mechanisms on probes, and returns their scores.

    A probe is a small generated task that needs one ability, such as to find the value
    that came with a key. Its rows are fresh at every step. All models of a probe have
    two blocks and about the same number of parameters. The guide "Probes" describes
    each probe.

    A matrix continues where it was interrupted, when this is called again with the same
    arguments and `output`. More probes, mechanisms and seeds can be added.

    Args:
        attention: The mechanisms: a list whose entries are each a name, a text such as
            `"local(window=32)"`, a `layers.Mechanism`, an attention layer or its class,
            or a list of these with one for each of the two blocks. `"all"` stands for
            all mechanisms. Defaults to conventional attention and the four that use
            time, mass, or both. A mechanism that cannot take a probe is skipped there,
            and the matrix says why.
        probes: Names of probes, as `keras_twa.tasks.probes.names()` lists them.
            Defaults to all.
        seeds: The number of runs of each mechanism, or a list of their seeds.
        preset: `"quick"`, `"standard"`, or `"paper"`, which needs a GPU.
        learning_rates: The learning rates to try with the first seed of each mechanism.
            The other seeds have the one with the best validation score. Defaults to
            those of the preset. An empty list: only the rate of the preset.
        positions: `"rotary"`, `"learned"`, `"sinusoidal"` or `"none"`, for mechanisms
            with scores of pairs. Defaults to those of the preset, which are rotary.
        epochs: Number of validations in a run. Defaults to that of the preset.
        time_limit: Seconds after which it stops; a later call continues.
        workers: How many runs at once, each with a GPU or an equal share of the
            processor's cores of its own. Defaults to one per GPU, or else per core.
        output: The folder of the results. Defaults to a folder in `runs`, named after
            the preset and the backend.
        verbose: 0 for no output; otherwise a line for each run.

    Returns:
        A `CapabilityMatrix`. In a notebook it shows itself as a table with a heat map.

    Raises:
        ValueError: If an argument is wrong, or the folder has something else. Then
            nothing has been written.
        KeyboardInterrupt: After the runs have saved their state.

    Example:

    ```python
    matrix = keras_twa.probe(
        ["dot_product", "gated_delta", ["local", "retention"]],
        probes=["associative_recall", "parity"],
    )
    matrix.table
    ```
    """
    check_time_limit(time_limit)
    check_workers(workers)
    plan = Plan.of(
        attention,
        probes,
        seeds,
        preset,
        learning_rates,
        positions,
        epochs,
        output,
    )
    comparisons = plan.prepare()
    if not verbose:
        run_together([*comparisons.values()], lambda *_: None, time_limit, workers)
        return CapabilityMatrix(plan.output)
    from rich.console import Console

    from keras_twa.probing.view import ProbesView

    runs = sum(len(each.planned) for each in comparisons.values())
    with ProbesView(Console(highlight=False), runs) as view:
        run_together([*comparisons.values()], view, time_limit, workers)
    return CapabilityMatrix(plan.output)
