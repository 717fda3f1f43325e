"""Arrays kept on disk between runs, written whole or not at all."""

import logging
import zipfile

import numpy as np

from keras_twa import files
from keras_twa.home import expanded
from keras_twa.home import keras_home

logger = logging.getLogger(__name__)


def cache_directory(cache_dir=None):
    """Returns `cache_dir`, or the folder `keras_twa` in the Keras home folder."""
    if cache_dir is not None:
        return expanded(cache_dir)
    return keras_home() / "keras_twa"


def load_arrays(path, names):
    """Returns the named arrays of an `.npz` file, or `None` if it is not usable.

    A missing, truncated or foreign file is not usable. Every array is checked
    against its checksum in the file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except FileNotFoundError:
        return None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        logger.warning("Ignoring the broken cache %s: %s", path, error)
        return None


def save_arrays(path, arrays):
    """Writes arrays to an `.npz` file, which appears only when complete.

    A cache only saves time, so a folder that is not writable is not an error.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_arrays(path, arrays)
    except OSError as error:
        logger.warning("Not caching %s: %s", path, error)
