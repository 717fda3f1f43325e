"""Compares mechanisms on series of the UCR and UEA archives; nothing is downloaded.

pip install -e ".[torch,timeseries]"
KERAS_BACKEND=torch python examples/time_series.py --data GunPoint
KERAS_BACKEND=torch python examples/time_series.py --data OSULeaf --attention all

The series come with the package aeon. Models train on four fifths of the archive's
training series, and choose the best epoch on the rest. The report has two baselines of
the same data, the nearest neighbour and MiniRocket, and published accuracies.

By default, it compares five mechanisms and a GRU, with one seed. The data sets are
GunPoint, ItalyPowerDemand, ArrowHead, OSULeaf, ACSF1, PickupGestureWiimoteZ,
BasicMotions and JapaneseVowels. `benchmarks/time_series.py` compares all mechanisms on
all of them. `--help` lists the other options.
"""

import sys

from keras_twa.cli import main
from keras_twa.experiments.config import COMPARED

OPTIONS = ["--task", "time_series", "--attention", ",".join([*COMPARED, "gru"])]

if __name__ == "__main__":
    sys.exit(main(["compare", *OPTIONS, *sys.argv[1:]]))
