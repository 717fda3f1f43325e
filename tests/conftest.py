"""Test set-up: one backend per process (KERAS_BACKEND), exact float32, fixed seeds."""

import functools
import gc
import itertools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Every test compiles something new and runs it once, so fast compilation matters more
# than fast code.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
# Other processes and later runs reuse compiled code.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache/jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

try:
    import torch  # must come before tensorflow, or the process crashes
except ImportError:
    pass

import keras
import pytest

finished_tests = itertools.count(1)
TESTS_BETWEEN_COLLECTIONS = 200

# The checks are assertions: let pytest show the compared values.
pytest.register_assert_rewrite("keras_twa.testing")


def share_lowering_context():
    """Let JAX lower all programs in one MLIR context.

    An eager operation on a new shape is lowered by itself, and creating its context may
    take longer than the rest.
    """
    try:
        from jax._src.interpreters import mlir

        mlir.make_ir_context = functools.cache(mlir.make_ir_context)
    except (ImportError, AttributeError):
        pass


def use_exact_float32():
    """Keep matrix products in full float32, so that tolerances are meaningful."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        share_lowering_context()
    elif backend == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "torch":
        torch.set_float32_matmul_precision("highest")


def pytest_configure(config):
    """Turn warnings raised in keras_twa into errors, and keep float32 exact."""
    config.addinivalue_line("filterwarnings", "error:::keras_twa")
    # Raised by Keras itself when it converts torch tensors under NumPy 2.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation:DeprecationWarning"
    )
    use_exact_float32()


def pytest_report_header():
    """Say which backend this run tests."""
    return f"keras {keras.version()} on {keras.backend.backend()}"


@pytest.fixture
def own_registry():
    """Undo after a test what it registered."""
    from keras_twa.registered import CLASSES

    before = dict(CLASSES)
    CLASSES.clear()
    yield
    CLASSES.clear()
    CLASSES.update(before)


@pytest.fixture(autouse=True)
def fixed_seed_and_policy():
    """Start every test from the same seeds, and restore the dtype policy."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


def forget_programs():
    """Drop what JAX has compiled and traced, and keep the rest from collection.

    JAX keeps each program, and Keras collects garbage for each `clear_session` and each
    layer that it quantizes. The more objects there are, the longer that takes.
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def bounded_memory():
    """Bound the objects that a process holds, however many tests it runs."""
    yield
    if next(finished_tests) % TESTS_BETWEEN_COLLECTIONS == 0:
        forget_programs()
