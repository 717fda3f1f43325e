"""What a run runs on, and how much memory it takes."""

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
    """Forgets the peak so far, where the system allows it."""
    # Linux: see clear_refs in proc(5).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Returns the largest resident set of this process so far, in bytes."""
    # `getrusage` would count what the parent held when it started this process.
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    info = psutil.Process().memory_info()
    return getattr(info, "peak_wset", None)


def memory(before: int | None = None) -> dict[str, int | None]:
    """Returns the peaks of the process and, where it is told, of the device.

    Args:
        before: What `peak_memory` told earlier. The system counts each thread's pages
            late, and may tell a little less afterwards; a peak only rises.
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

    Where the checkout has changes that are in no commit, `-dirty` follows.
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
