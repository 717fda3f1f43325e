"""A search that takes seconds.

As a script it is one process of a shared search, where TensorFlow cannot be imported
unless it is the backend: `python -m tests.tuner.tiny FOLDER ME OTHERS`. It waits for
the other processes to be up, so that each gets something to do.
"""

import os
import sys
import time
from pathlib import Path

ATTENTIONS = ("dot_product", "local")
SECONDS_TO_COME = 200


def tiny_search(folder, max_trials=2, **options):
    from keras_twa.tuner import search
    from tests.experiments.tiny import tiny_experiment

    sizes = {"num_train": 64, "num_validation": 32, "num_test": 32, "max_buckets": 1}
    experiment = tiny_experiment(epochs=options.pop("epochs", 1), **sizes)
    options = {"attentions": ATTENTIONS, **options}
    return search(experiment, directory=folder, max_trials=max_trials, **options)


def share(folder, me, others):
    """Takes part in a search; prints how many trials ran here."""
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        sys.modules["tensorflow"] = None
    from keras_tuner.src.distribute import oracle_chief

    # A chief looks only every 20 seconds whether its last worker has left.
    oracle_chief.time = type("Time", (), {"sleep": lambda seconds: time.sleep(0.1)})
    Path(folder, me).touch()
    deadline = time.monotonic() + SECONDS_TO_COME
    while not all(Path(folder, name).exists() for name in others):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nobody came. Received: others={others}")
        time.sleep(0.1)
    started = []

    def view(event):
        if event["event"] == "start":
            started.append(event["trial"])

    tiny_search(Path(folder, "search"), view=view)
    Path(folder, f"{me}.ran").write_text(" ".join(started))


if __name__ == "__main__":
    share(sys.argv[1], sys.argv[2], sys.argv[3:])
