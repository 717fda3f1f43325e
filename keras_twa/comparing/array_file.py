"""An array on disk that grows row by row."""

from pathlib import Path
from typing import Any

import numpy as np


class ArrayFile:
    """Writes a `.npy` file in pieces, so that the whole need not fit into memory.

    Args:
        path: The file, which is created or replaced.
        row: An array with the type of the rows, and the shape of one.
    """

    def __init__(self, path: Path, row: np.ndarray) -> None:
        self.path = path
        self.dtype, self.shape = row.dtype, row.shape
        self.rows = 0
        self._texts: list[np.ndarray] = []
        self._file = path.open("wb")
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        """Adds rows.

        Args:
            rows: Array of shape `(rows, ...)`.
        """
        self.rows += len(rows)
        if self.dtype.kind in "US":
            # How wide the texts are is known at the end.
            self._texts.append(rows)
        else:
            self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())

    def close(self) -> None:
        """Completes the file."""
        if self._texts:
            self._file.seek(0)
            np.save(self._file, np.concatenate(self._texts), allow_pickle=False)
        else:
            # NumPy's headers leave space for a larger number of rows.
            self._file.seek(0)
            self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        header: dict[str, Any] = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)
