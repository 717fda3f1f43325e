"""The functions that each backend module provides, since Keras does not have them."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import numpy as np

# Tensors have a type of their own on each backend.
Tensor = Any
# A tensor, or a dictionary, list or tuple of nests; see `ops/nests.py`.
Nest = Any
Shape = Sequence[int]


class Passes(Protocol):
    """A forward pass and its backward pass.

    Passes are hashable, and equal passes compute the same, so that a compiler compiles
    them only once.
    """

    def forward(self, tensors: Mapping[str, Nest]) -> dict[str, Nest]:
        """Computes outputs by name from tensors by name."""

    def backward(
        self,
        tensors: Mapping[str, Nest],
        outputs: Mapping[str, Nest],
        gradients: Mapping[str, Nest],
        needed: Mapping[str, Nest],
    ) -> dict[str, Nest]:
        """Computes the gradients of the tensors.

        Args:
            tensors: The argument of `forward`.
            outputs: The outputs of `forward`.
            gradients: The gradients of the outputs.
            needed: For each tensor, whether its gradient is needed.

        Returns:
            The gradients by name, without those names of `tensors` that have none.
        """


class Backend(Protocol):
    """The functions of a backend module.

    Keyword arguments have the names that the methods have here. A nest is a tensor, or
    a dictionary, list or tuple of nests.
    """

    @property
    def KEY_SPAN(self) -> int | None:
        """The least number of keys in each span that a tile of one row is divided into.

        `None` if tiles are not divided.
        """

    @property
    def FUSED_MASKS(self) -> bool:
        """Whether `fused_attention` takes a mask of keys `(B, 1, 1, S)` directly."""

    def prepare_process(self) -> None:
        """Configures the backend once per process, if it needs that.

        `keras_twa.ops.backend` calls it once, as soon as the backend is known.
        """

    def scan(
        self,
        body: Callable[[Nest, Nest, Any], tuple[Nest, Nest]],
        carry: Nest,
        slices: Nest,
        results: Nest,
        reverse: bool = False,
    ) -> tuple[Nest, Nest]:
        """Loops over the first axis of tensors. The loop cannot be differentiated.

        Args:
            body: Function of the carry, one part of `slices`, and its index, which is
                an integer or an integer tensor. It returns the next carry and results.
            carry: Nest of float32 tensors.
            slices: Nest of tensors of the same length.
            results: A nest with the structure of the results, with anything in place
                of tensors. The results are float32.
            reverse: Whether to begin with the last part.

        Returns:
            The last carry, and the results of all parts, stacked in the order of the
            parts.
        """

    def columns(self, x: Tensor, first: Any, count: int) -> Tensor:
        """Some columns of a tensor.

        Args:
            x: `(..., n)`.
            first: Index of the first column, an integer or an integer tensor.
            count: How many columns.
        """

    def add_columns(self, total: Tensor, part: Tensor, first: Any) -> Tensor:
        """Adds `part` to the columns of `total` from `first` on.

        May reuse the memory of `total`.
        """

    def add_entries(self, total: Tensor, part: Tensor, places: Tensor) -> Tensor:
        """Adds to some entries of the second axis. May reuse the memory of `total`.

        Args:
            total: `(rows, n, ...)`.
            part: `(rows, m, ...)`.
            places: Integers `(m,)`, which may repeat.
        """

    def differentiable(self, passes: Passes, tensors: dict[str, Nest]) -> Any:
        """Runs a forward pass whose gradients come from its backward pass.

        Higher derivatives are those of the operations in the forward pass.

        Args:
            passes: The two passes.
            tensors: The tensors that both take.

        Returns:
            The dictionary of outputs.
        """

    def pullback(
        self, function: Callable[[Nest], Nest], tensors: Nest, needed: Nest
    ) -> tuple[Nest, Callable[[Nest], Nest]]:
        """Runs a function, and prepares its gradient.

        Args:
            function: Function of a nest of tensors, to a nest of tensors.
            tensors: The nest.
            needed: For each tensor, whether its gradient is needed. Gradients that are
                not needed may be zero.

        Returns:
            The output, and a function from its gradient to that of the tensors.
        """

    def for_queries(self, x: Tensor, count: int) -> Tensor:
        """A tensor of keys `(g, ...)`, once for each query of a tile.

        Args:
            x: The tensor.
            count: How many queries there are.

        Returns:
            `(g, count, ...)`, or `(g, 1, ...)`, which broadcasts to it.
        """

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiplies stacks of matrices.

        Args:
            x: `(g or 1, t, n)`.
            y: `(g or 1, n, s)`.
        """

    def softmax(self, logits: Tensor, axes: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The terms of a softmax before division, finite even if all logits are `-inf`.

        Args:
            logits: Float32 tensor.
            axes: An axis or a tuple of axes.

        Returns:
            The exponentials of the logits, divided by the largest along `axes`; their
            sums; and the logarithms of the sums of `exp(logits)`.
        """

    def exp_difference(self, x: Tensor, y: Tensor) -> Tensor:
        """`exp(x - y)`."""

    def softmax_gradient(
        self, weights: Tensor, gradient: Tensor, mean: Tensor
    ) -> Tensor:
        """`weights * (gradient - mean)`. May reuse the memory of `gradient`."""

    def future_bias(self, last_visible: Tensor, keys: Tensor) -> Tensor:
        """`-inf` where a key is after the last one that a query sees, else 0.

        Args:
            last_visible: Integers `(t,)`, the last key that each query sees.
            keys: Integers `(g, s)`, the indices of the keys.

        Returns:
            Float32 `(g, t, s)`.
        """

    def kept(self, left: Tensor, right: Tensor, threshold: int) -> Tensor:
        """Decides for each pair whether dropout keeps its weight.

        Args:
            left: Well-mixed int32 `(g, t)`.
            right: Well-mixed int32 `(g or 1, s)`.
            threshold: A pair is kept if 31 random bits, made from both, are below it.

        Returns:
            `(g, t, s)`, in the form that `keep` takes.
        """

    def keep(self, weights: Tensor, kept: Tensor) -> Tensor:
        """Float32 weights where they are kept, else zero."""

    def keep_only(self, weights: Tensor, kept: Tensor) -> Tensor:
        """Like `keep`, but may overwrite `weights`, and need not have a gradient."""

    def floored_inverse(self, x: Tensor, floor: Tensor) -> Tensor:
        """`1 / max(x, floor)`, with a positive `floor` that gets no gradient."""

    def layer_normalization(
        self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
    ) -> Tensor:
        """`keras.ops.layer_normalization` along the last axis, differentiable twice."""

    def turned(self, pairs: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Rotates pairs of numbers by an angle.

        Args:
            pairs: Float32 `(..., n, 2)`.
            cosine: The cosines of the angles, `(..., n)`.
            sine: Their sines.
        """

    def on_gpu(self, x: Tensor) -> bool:
        """Whether `x` is on a GPU for which the backend has its own kernels."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles a function of nests of tensors, once for each set of shapes.

        If compiling would not make it faster, it is not compiled. The function must not
        assign variables, and has no gradients.
        """

    def known(self, x: Any) -> int | None:
        """The value of an integer tensor.

        `None` while tracing, and where reading it would have to wait for a GPU.
        """

    def array(self, x: Any) -> np.ndarray | None:
        """A tensor as a NumPy array, or `None` in the same cases as `known`."""

    def apply_if(
        self, condition: Tensor, function: Callable[[Tensor], Tensor], x: Tensor
    ) -> Tensor:
        """`function(x)` if a condition is true, else `x`.

        Where reading the condition would stall a GPU or a compiler, the result is
        `function(x)`. So where the condition is false, `function` must change nothing.

        Args:
            condition: Boolean scalar.
            function: Keeps the shape and dtype of `x`.
            x: A tensor.
        """

    def switch(self, index: Tensor, branches: list[Callable[[], Nest]]) -> Nest:
        """Runs one of several functions, chosen at run time.

        Args:
            index: Integer scalar.
            branches: Functions without arguments. Their results have the same shapes.
        """

    def inverse(self, places: Tensor) -> Tensor:
        """The inverses of permutations, int32 `(B, L)`."""

    def needs_gradient(self, x: Tensor) -> bool:
        """Whether a gradient of `x` may be needed; true where this is not known."""

    def fuses(self, gpu: bool, dtype: str, width: int, pairs: bool) -> bool:
        """Whether `fused_attention` supports a call, and is as fast as tiles.

        Args:
            gpu: The result of `on_gpu`.
            dtype: Dtype of the values.
            width: Width of a head.
            pairs: Whether there is a mask of pairs.
        """

    def fused_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        causal: bool,
        scale: float,
    ) -> Tensor:
        """The backend's own kernel for scaled dot-product attention; see `fuses`.

        Args:
            query: `(B, T, H, D)`.
            key: `(B, S, H, D)`.
            value: `(B, S, H, D)`: the kernel requires the width of the keys.
            mask: Boolean, broadcastable to `(B, H, T, S)`, or `None`.
            causal: Whether to hide later keys; requires T = S and no mask.
            scale: Factor on the logits.

        Returns:
            `(B, T, H, D)`.
        """

    def flexes(self, gpu: bool, dtype: str, width: int, value_width: int) -> bool:
        """Whether `flex_attention` supports a call.

        Args:
            gpu: The result of `on_gpu`.
            dtype: Dtype of the values.
            width: Width of queries and keys.
            value_width: Width of values.
        """

    def flex_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        constants: dict[str, Tensor],
        mask: Any,
        exponent: float,
        log: bool,
        adds: bool,
    ) -> Tensor:
        """Softmax attention with forces in one kernel, in memory linear in length.

        Let `x` be the inner product of query `i` and key `j`, but at least `floor[i]`.
        The score is `x^(-exponent / 2)` or its logarithm, times or plus a fade.

        Args:
            query: Float32 `(B, T, H, D)`.
            key: Float32 `(B, S, H, D)`.
            value: `(B, S, H, E)`.
            constants: Float32 tensors without gradients: "floor" `(B, H, T)`; either
                "fade" `(H, T + S - 1)`, for each `i - j` from -(S - 1) on, or
                "log_discount" and "query_time" `(B, H, T)` with "key_time" `(B, H, S)`,
                or nothing.
            mask: An `AttentionMask`, whose mask of queries is ignored.
            exponent: Power of the distance.
            log: Whether the score is the logarithm.
            adds: Whether the fade is added instead of multiplied.

        Returns:
            `(B, T, H, E)` in the dtype of `value`; 0 where a query sees no key.
        """

    def device_name(self) -> str:
        """The name of the accelerator, or "CPU"."""

    def device_peak_memory(self) -> int | None:
        """The peak memory of an accelerator in this process, in bytes.

        `None` on a CPU.
        """

    def random_states(self) -> list[np.ndarray]:
        """The states of the backend's global random generators that Keras reads.

        Only PyTorch has any: dropout without a seed reads them there.
        """

    def set_random_states(self, states: list[np.ndarray]) -> None:
        """Sets those generators to states that `random_states` returned."""
