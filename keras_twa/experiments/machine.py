"""The hardware and software of a run, and its memory."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import keras
import psutil

from keras_twa.ops import backend
from keras_twa.version import __version__

STATUS = Path("/proc/self/status")


def environment() -> dict[str, Any]:
    """Returns versions, backend and hardware."""
    name = backend.NAME
    packages = ("keras", "numpy", name)
    return {
        "keras_twa": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{package: _version(package) for package in packages},
        "backend": name,
        "device": backend.device_name(),
        "dtype": keras.config.dtype_policy().name,
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
    }


def reset_peak_memory() -> None:
    """Resets the peak, if the system allows it."""
    # Linux: see clear_refs in proc(5).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Returns the largest resident set of this process so far, in bytes."""
    # `getrusage` would include memory of the parent process at the start.
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    info = psutil.Process().memory_info()
    return getattr(info, "peak_wset", None)


def memory(before: int | None = None) -> dict[str, int | None]:
    """Returns the peaks of the process and, if known, of the device.

    Args:
        before: An earlier result of `peak_memory`. The system counts the pages of
            threads late and may report less afterwards. A peak never falls.
    """
    peak = peak_memory()
    if peak is not None and before is not None:
        peak = max(peak, before)
    return {"peak": peak, "device_peak": backend.device_peak_memory()}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Returns the commit of a checkout, `None` for an installed package.

    `-dirty` follows if the checkout has uncommitted changes.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        # Git's own variables may name another repository.
        own = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            command, cwd=folder, env=own, capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip() or None
    return None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
