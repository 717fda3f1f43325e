"""PyTorch's FlexAttention for forces, in a module that is imported only when used."""

import functools

import torch
from torch._dynamo import config
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.attention.flex_attention import flex_attention

from keras_twa.ops.backend.torch import softmax
from keras_twa.ops.backend.torch_gradients import kernel_output
from keras_twa.ops.backend.torch_gradients import transformed

BLOCK = 128
# Tensor cores require at least this many channels, and a power of two.
LEAST_WIDTH = 16
# Each combination of score, masks and dtype is compiled, and once more if lengths vary.
# Beyond its limit, 8 by default, PyTorch would continue without compiling, and hold the
# scores of all pairs.
MOST_KERNELS = 256


def attend(query, key, value, constants, mask, exponent, log, adds):
    """FlexAttention for forces; see `Backend.flex_attention`."""
    value_dim, dtype = value.shape[-1], torch.float32
    if value.dtype == torch.bfloat16:
        dtype = torch.bfloat16
        query, key = _in_parts(query, key)
    query, key, values = (_ready(x, dtype) for x in (query, key, value))
    score_mod = _score_mod(constants, mask, key.shape[2], exponent, log, adds)
    block_mask = None
    if mask.causal:
        block_mask = causal_blocks(query.shape[2], key.shape[2], query.device)
    in_steps = functools.partial(_in_steps, score_mod, mask.causal)
    if transformed():
        (output,) = in_steps(query, key, values)
    else:
        attention = _compiled() if query.is_cuda else flex_attention
        with config.patch(recompile_limit=MOST_KERNELS):
            output = attention(
                query,
                key,
                values,
                score_mod=score_mod,
                block_mask=block_mask,
                scale=1.0,
            )
        output = kernel_output(output, in_steps, [query, key, values])
    return output[..., :value_dim].transpose(1, 2).to(value.dtype)


@functools.cache
def _compiled():
    return torch.compile(flex_attention)


def _in_steps(score_mod, causal, query, key, values):
    """The same by products and a softmax, differentiable any number of times."""
    sizes = (*query.shape[:3], key.shape[2])
    indices = torch.meshgrid(
        *(torch.arange(size, device=query.device) for size in sizes), indexing="ij"
    )
    logits = score_mod(query.float() @ key.float().transpose(2, 3), *indices)
    if causal:
        _, _, queries, keys = indices
        hidden = keys > queries + sizes[3] - sizes[2]
        logits = logits.masked_fill(hidden, -float("inf"))
    weights, total, _ = softmax(logits, -1)
    return ((weights @ values.float() / total).to(values.dtype),)


def _in_parts(query, key):
    """Converts vectors to bfloat16, with inner products accurate to about 16 bits.

    The dtype has 8 bits, too few for a distance, which is a difference of squares. So
    each vector is split into its rounded value and the remainder, which needs no
    gradient.
    """
    (query, query_rest), (key, key_rest) = map(_rounded, (query, key))
    queries = torch.cat([query, query, query_rest], dim=-1)
    return queries, torch.cat([key, key_rest, key], dim=-1)


def _rounded(x):
    rounded = x.to(torch.bfloat16)
    return rounded, (x - rounded).detach().to(torch.bfloat16)


def _ready(x, dtype):
    """`(B, T, H, D)` to `(B, H, T, D')` with a width that the kernel supports."""
    width = max(LEAST_WIDTH, 2 ** (x.shape[-1] - 1).bit_length())
    x = torch.nn.functional.pad(x.to(dtype), (0, width - x.shape[-1]))
    # The kernel would lose the gradient of an expanded tensor.
    return x.contiguous().transpose(1, 2)


def _score_mod(constants, mask, num_keys, exponent, log, adds):
    """Returns the function from the inner product of a query and a key to their score.

    Numbers are tensors, so that other values do not need another kernel.
    """
    floor = constants["floor"]
    power = torch.full((1,), -0.5 * exponent, device=floor.device)
    last = torch.full((1,), num_keys - 1, dtype=torch.int32, device=floor.device)
    by_lag, log_discount = constants.get("fade"), constants.get("log_discount")
    query_time, key_time = constants.get("query_time"), constants.get("key_time")
    batch, heads, num_queries = floor.shape
    keys = None if mask.keys is None else mask.keys.expand(batch, -1)
    pairs = mask.pairs
    if pairs is not None:
        # Heads that share one head of the mask are that many heads apart.
        mask_head = torch.arange(heads, device=floor.device) % pairs.shape[1]
        pairs = pairs.expand(batch, -1, num_queries, -1)
    inverse = exponent == 2 and not log

    def score_mod(product, b, h, i, j):
        product = torch.maximum(product.float(), floor[b, h, i])
        score = product.reciprocal() if inverse else product.log() * power[0]
        if not inverse and not log:
            score = score.exp()
        fade = None
        if by_lag is not None:
            fade = by_lag[h, i - j + last[0]]
        elif log_discount is not None:
            distance = (query_time[b, h, i] - key_time[b, h, j]).abs()
            fade = distance * log_discount[b, h, i]
            fade = fade if adds else fade.exp()
        if fade is not None:
            score = score + fade if adds else score * fade
        if keys is not None:
            score = torch.where(keys[b, j], score, -float("inf"))
        if pairs is not None:
            score = torch.where(pairs[b, mask_head[h], i, j], score, -float("inf"))
        return score

    return score_mod


def causal_blocks(num_queries, num_keys, device):
    """The `BlockMask` of the rule `j <= i + S - T`, made without a mask of pairs."""
    ahead = num_keys - num_queries
    offset = torch.full((1,), ahead, dtype=torch.int32, device=device)

    def sees(b, h, i, j):
        return j <= i + offset[0]

    rows, columns = -(-num_queries // BLOCK), -(-num_keys // BLOCK)
    first = torch.arange(rows, dtype=torch.int32, device=device) * BLOCK
    # The last keys that the first and the last query of a block see.
    least = first + ahead
    most = torch.clamp(least + BLOCK, max=num_keys) - 1
    whole = torch.clamp((least + 1) // BLOCK, min=0)
    whole = torch.where(first + BLOCK <= num_queries, whole, 0)
    part = torch.clamp(most // BLOCK + 1, min=0) - whole
    block = torch.arange(columns, dtype=torch.int32, device=device)
    # Blocks that are visible in part follow those that are visible as a whole.
    parts = (block + whole[:, None]) % columns
    return BlockMask.from_kv_blocks(
        part[None, None],
        parts[None, None],
        whole[None, None],
        block.expand(1, 1, rows, columns).contiguous(),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees,
        seq_lengths=(num_queries, num_keys),
    )
