"""IMDb by TensorFlow Datasets, read where there is no TensorFlow."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.once

# Prepares a real array_record folder from the small archive. The two methods of
# TensorFlow Datasets that are replaced fetch the archive and list its members,
# the latter with TensorFlow.
PREPARE = """
import importlib.resources, sys, tarfile
sys.modules.setdefault("importlib_resources", importlib.resources)
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import DownloadManager

def members(self, path):
    with tarfile.open(path) as archive:
        for member in archive:
            # It takes any file for a review.
            if member.name.rpartition("/")[2][0].isdigit():
                yield member.name, archive.extractfile(member)

DownloadManager.download = lambda self, url: sys.argv[1]
DownloadManager.iter_archive = members
builder = tfds.builder("imdb_reviews", file_format="array_record")
builder.download_and_prepare()
"""

# Reads it by name, in an interpreter that has no TensorFlow.
READ = """
import sys
from keras_twa.datasets import imdb
for source in ("tfds", "auto"):
    reviews = imdb.load_sequences(source, cache_dir=sys.argv[2])
    assert (reviews.source, reviews.warning) == ("tfds", None), reviews.warning
archive = imdb.load_sequences(sys.argv[1], cache_dir=sys.argv[2])
for (x, y), (other_x, other_y) in zip(reviews[:3], archive[:3]):
    assert x.tokens.tolist() == other_x.tokens.tolist()
    assert y.tolist() == other_y.tolist()
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""

HIDE_TENSORFLOW = """
import importlib.machinery, sys
finder = importlib.machinery.PathFinder
class WithoutTensorFlow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] != "tensorflow":
            return finder.find_spec(name, path, target)
sys.meta_path = [WithoutTensorFlow if f is finder else f for f in sys.meta_path]
"""


def run(code, *arguments, data_dir):
    return subprocess.run(
        [sys.executable, "-c", HIDE_TENSORFLOW + code, *map(str, arguments)],
        env=os.environ
        | {"TFDS_DATA_DIR": str(data_dir), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(
    not (find_spec("tensorflow_datasets") and find_spec("array_record")),
    reason="needs tensorflow-datasets and array-record",
)
def test_tfds_without_tensorflow(archive, tmp_path):
    data_dir = tmp_path / "tfds"
    unprepared = run(READ, archive, tmp_path / "cache", data_dir=data_dir)
    assert "needs TensorFlow to prepare `imdb_reviews`" in unprepared.stderr
    prepared = run(PREPARE, archive, data_dir=data_dir)
    assert prepared.returncode == 0, prepared.stderr
    read = run(READ, archive, tmp_path / "cache", data_dir=data_dir)
    assert read.returncode == 0, read.stderr
