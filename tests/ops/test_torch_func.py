"""PyTorch's other ways to differentiate: `torch.func`, forward mode, many at once."""

import keras
import pytest
from keras import ops

from keras_twa.ops import WeightDropout
from keras_twa.ops import dot_product_attention
from keras_twa.testing import harness
from keras_twa.testing import scenarios
from keras_twa.testing.harness import assert_close
from keras_twa.testing.harness import to_numpy
from keras_twa.testing.scenarios import normal
from tests.contract.cases import EACH

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="these are PyTorch's"
)

on_each = pytest.mark.parametrize("case", EACH, ids=lambda case: case.id)
by_route = pytest.mark.parametrize("route", scenarios.ROUTES)


class Subject:
    """A loss of a layer in self-attention, and its derivatives by `torch.autograd`."""

    def __init__(self, case):
        import torch

        call = scenarios.itself(use_causal_mask=True)
        self.layer = harness.built(case, call)
        self.x = torch.tensor(call["query"])
        self.along = torch.tensor(normal(*self.x.shape, seed=5))
        x = self.x.clone().requires_grad_()
        self.value = self.loss(x)
        (gradient,) = torch.autograd.grad(self.value, x, create_graph=True)
        (self.bend,) = torch.autograd.grad((gradient * self.along).sum(), x)
        self.gradient = gradient.detach()

    def loss(self, x):
        return ops.sum(ops.sin(self.layer(x, x, use_causal_mask=True)))

    def loss_of_one(self, x):
        return self.loss(x[None])


def near(got, expected):
    """Assert that two tensors agree, measured by the largest number."""
    size = expected.detach().abs().max()
    assert_close(to_numpy(got.detach() / size), to_numpy(expected.detach() / size), "")


@on_each
@by_route
def test_torch_func(case, route):
    import torch
    from torch import func

    with scenarios.route(route):
        it = Subject(case)
        slope = (it.gradient * it.along).sum()
        near(func.grad(it.loss)(it.x), it.gradient)
        near(func.jvp(it.loss, (it.x,), (it.along,))[1], slope)
        near(func.vmap(it.loss_of_one)(it.x).sum(), it.value)
        near(func.vmap(func.grad(it.loss_of_one))(it.x), it.gradient)
        near(func.jvp(func.grad(it.loss), (it.x,), (it.along,))[1], it.bend)
        hessian = func.hessian(it.loss_of_one)(it.x[0])
        near(torch.einsum("abcd,cd->ab", hessian, it.along[0]), it.bend[0])


@on_each
@by_route
def test_forward_mode(case, route):
    from torch.autograd import forward_ad

    with scenarios.route(route):
        it = Subject(case)
        with forward_ad.dual_level():
            value = it.loss(forward_ad.make_dual(it.x, it.along))
            slope = forward_ad.unpack_dual(value).tangent
        near(slope, (it.gradient * it.along).sum())


@on_each
@by_route
def test_many_gradients_at_once(case, route):
    import torch

    with scenarios.route(route):
        it = Subject(case)
        x = it.x.clone().requires_grad_()
        output = it.layer(x, x, use_causal_mask=True)
        cotangents = torch.tensor(normal(3, *output.shape, seed=6))
        options = {"retain_graph": True}
        (together,) = torch.autograd.grad(
            output, x, cotangents, is_grads_batched=True, **options
        )
        each = [torch.autograd.grad(output, x, c, **options)[0] for c in cotangents]
    near(together, torch.stack(each))


def test_gradients_of_weights_by_stateless_calls():
    from torch import func

    for case in EACH:
        it = Subject(case)
        weights = [v.value.detach() for v in it.layer.trainable_variables]
        states = [v.value for v in it.layer.non_trainable_variables]

        def loss(weights, it=it, states=states):
            output, _ = it.layer.stateless_call(weights, states, it.x, it.x)
            return ops.sum(ops.sin(output))

        it.layer.zero_grad()
        ops.sum(ops.sin(it.layer(it.x, it.x))).backward()
        found = func.grad(loss)(weights)
        for got, variable in zip(found, it.layer.trainable_variables, strict=True):
            expected = variable.value.grad
            if expected is not None:
                assert_close(to_numpy(got), to_numpy(expected), variable.path, 2e-4)


@by_route
def test_second_derivatives_with_dropout(route):
    import torch

    x, along = (torch.tensor(normal(2, 7, 3, 4, seed=seed)) for seed in (1, 2))
    dropout = WeightDropout(0.4, ops.convert_to_tensor([5, 9], dtype="int32"))

    def bend(**options):
        leaf = x.clone().requires_grad_()
        output = dot_product_attention(leaf, leaf, leaf, dropout=dropout, **options)
        output = output[0] if options else output
        (slope,) = torch.autograd.grad(output.sin().sum(), leaf, create_graph=True)
        return torch.autograd.grad((slope * along).sum(), leaf)[0]

    with scenarios.route(route):
        near(bend(), bend(return_weights=True))
