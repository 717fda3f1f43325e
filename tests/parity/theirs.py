"""Weights and numbers from PyTorch modules that nobody here wrote."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from keras_twa.testing import harness


def sequences(*shape, seed=0):
    """Return float32 noise as a PyTorch tensor."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return torch.tensor(noise, dtype=torch.float32)


def shake(module, seed=1, scale=0.3):
    """Give every parameter of a module noise, so that each one matters."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = rng.normal(size=tuple(parameter.shape), scale=scale)
            parameter.copy_(torch.tensor(noise, dtype=torch.float32))
    return module.eval()


def give(layer, name, weight, bias=None):
    """Give a layer's projection the weight `(out, in)` of a `torch.nn.Linear`."""
    own = harness.weight_names(layer)
    kernel = own[f"{name}/kernel"]
    kernel.assign(weight.detach().T.reshape(tuple(kernel.shape)))
    if bias is not None:
        own[f"{name}/bias"].assign(
            bias.detach().reshape(tuple(own[f"{name}/bias"].shape))
        )


def assert_same(ours, theirs, tolerance=2e-5):
    """Assert that our tensor has the numbers of theirs."""
    harness.assert_close(
        harness.to_numpy(ours), theirs.detach().numpy(), "our tensor", tolerance
    )


def naive(path):
    """Load a file of `fla`, which cannot be imported whole without a GPU."""
    [root] = importlib.util.find_spec("fla").submodule_search_locations
    file = Path(root) / "ops" / path
    spec = importlib.util.spec_from_file_location(f"fla_{file.parent.name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
