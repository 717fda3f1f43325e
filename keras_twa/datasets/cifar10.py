"""CIFAR-10: small photographs of ten classes."""

import pickle
import zipfile
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_twa.datasets.image_sample import sample_images
from keras_twa.home import expanded

SIZE = 32
NUM_CLASSES = 10
NUM_SAMPLE_TRAIN = 5_000
NUM_SAMPLE_TEST = 1_000
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
NPZ_NAMES = ("x_train", "y_train", "x_test", "y_test")
# The only globals in the pickles of the Python version.
PICKLED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
# Errors from reading other kinds of files.
BROKEN = (
    OSError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    zipfile.BadZipFile,
)


class Images(NamedTuple):
    """The splits of the images, and their source.

    Attributes:
        train: Tuple `(x, y)` of images and labels.
        test: Tuple `(x, y)`.
        source: `"sample"`, `"npz"` or `"folder"`. Results on `"sample"` are not results
            on CIFAR-10.
    """

    train: Any
    test: Any
    source: str


def load_data(source="sample", seed=0):
    """Loads the images, or generated images instead.

    Args:
        source: Where the images are:
            - `"sample"`: generated images of striped shapes. They are not CIFAR-10;
              use them to try things out.
            - the path of a folder with the official batches: `data_batch_1` ... of the
              Python version, or `data_batch_1.bin` ... of the binary version.
            - the path of an `.npz` file with `x_train`, `y_train`, `x_test`, `y_test`.
        seed: Non-negative integer seed of the sample. Defaults to `0`.

    Returns:
        `Images`, a named tuple `(train, test, source)`. The splits are tuples `(x, y)`
        of `uint8` images `(images, 32, 32, 3)` and `int32` labels `(images,)`.

    Raises:
        ValueError: If the path or a file is missing, or a file does not contain such
            images.

    Example:

    >>> images = load_data("sample")
    >>> images.train[0].shape, images.test[1].shape
    ((5000, 32, 32, 3), (1000,))

    Reference:
        [Krizhevsky, 2009](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf)
    """
    if source == "sample":
        return Images(
            sample_images(NUM_SAMPLE_TRAIN, (seed, 0)),
            sample_images(NUM_SAMPLE_TEST, (seed, 1)),
            "sample",
        )
    path = expanded(source)
    if path.is_dir():
        kind, read = "folder", _read_folder
    elif path.is_file():
        kind, read = "npz", _read_npz
    else:
        raise ValueError(
            "`source` must be 'sample', a folder of CIFAR-10's batches, or an .npz "
            f"file. Received: {source=}"
        )
    train, test = read(path)
    return Images(_checked(*train, path), _checked(*test, path), kind)


def _read_folder(path):
    read, ending = _read_pickle, ""
    if any(path.glob("*.bin")):
        read, ending = _read_binary, ".bin"
    files = [path / f"{name}{ending}" for name in (*TRAIN_BATCHES, TEST_BATCH)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"The folder lacks {missing}. Received: source={str(path)!r}")
    *train, test = [read(file) for file in files]
    return [np.concatenate(part) for part in zip(*train, strict=True)], test


def _read_binary(path):
    """Reads rows of a label and the red, green and blue values of an image."""
    numbers = np.fromfile(path, "uint8")
    width = 1 + 3 * SIZE**2
    if len(numbers) == 0 or len(numbers) % width:
        raise _foreign(path)
    rows = numbers.reshape(-1, width)
    return _channels_last(rows[:, 1:]), rows[:, 0]


def _read_pickle(path):
    try:
        with open(path, "rb") as file:
            batch = _Unpickler(file, encoding="bytes").load()
        return _channels_last(batch[b"data"]), np.asarray(batch[b"labels"])
    except (pickle.UnpicklingError, *BROKEN) as error:
        raise _foreign(path) from error


class _Unpickler(pickle.Unpickler):
    """Reads arrays and plain objects only: other pickles could run any code."""

    def find_class(self, module, name):
        if (module, name) not in PICKLED:
            raise pickle.UnpicklingError(f"Not in a batch of CIFAR-10: {module}.{name}")
        return super().find_class(module, name)


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in NPZ_NAMES]
    except BROKEN as error:
        raise _foreign(path) from error
    return arrays[:2], arrays[2:]


def _channels_last(rows):
    return rows.reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)


def _checked(images, labels, path):
    labels = labels.reshape(-1).astype("int32")
    fits = images.shape == (len(labels), SIZE, SIZE, 3) and images.dtype == np.uint8
    classes = (labels >= 0) & (labels < NUM_CLASSES)
    if not fits or len(labels) == 0 or not classes.all():
        raise _foreign(path)
    return np.ascontiguousarray(images), labels


def _foreign(path):
    return ValueError(f"These are not images of CIFAR-10. Received: {str(path)!r}")
