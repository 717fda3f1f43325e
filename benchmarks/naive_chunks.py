"""Gated linear attention on PyTorch, in the chunks that its paper lists.

Chunks pass on a state. Within a chunk, a subchunk attends to earlier ones by matrix
products, relative to its own beginning, and to itself pair by pair. All heads and
sequences are computed together, and the gradient is that of PyTorch.
"""

import torch
from torch import nn


class GatedLinearAttention(nn.Module):
    """Takes `(B, T, F)`, where T is a multiple of `chunk`.

    Args:
        heads: Number of heads.
        dim: Width of each head. F is the product of both.
        rank: Width inside the low-rank projection of the decays.
    """

    chunk, subchunk = 64, 16

    def __init__(self, heads, dim, rank=16):
        super().__init__()
        width = heads * dim
        self.heads, self.dim = heads, dim
        self.inputs = nn.Linear(width, 4 * width)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)
        self.norm = nn.RMSNorm(dim)
        self.output = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        *heads, gate = self.inputs(x).split(width, dim=-1)
        log_decay = nn.functional.logsigmoid(self.up(self.down(x))) / 16.0
        query, key, value, log_decay = (
            x.unflatten(-1, (self.heads, self.dim)).transpose(1, 2)
            for x in (*heads, log_decay)
        )
        output = self.mixed(query * self.dim**-0.5, key, value, log_decay)
        output = self.norm(output.transpose(1, 2)).reshape(batch, length, width)
        return self.output(output * nn.functional.silu(gate))

    def mixed(self, query, key, value, log_decay):
        """All of them are `(B, H, T, D)`, and so is the result."""
        state, outputs = query.new_zeros(()), []
        parts = (x.split(self.chunk, 2) for x in (query, key, value, log_decay))
        for query, key, value, log_decay in zip(*parts, strict=True):
            level = log_decay.cumsum(2)
            output = self.within(query, key, value, level)
            if outputs:
                output = output + (query * level.exp()) @ state
            end = level[:, :, -1:]
            state = state * end.exp().transpose(2, 3)
            state = state + (key * (end - level).exp()).transpose(2, 3) @ value
            outputs.append(output)
        return torch.cat(outputs, dim=2)

    def within(self, query, key, value, level):
        """The outputs of a chunk without the state before it."""
        outputs = []
        for first in range(0, self.chunk, self.subchunk):
            own = slice(first, first + self.subchunk)
            start, found = level[:, :, first : first + 1], []
            read = query[:, :, own] * (level[:, :, own] - start).exp()
            for other in range(0, first, self.subchunk):
                past = slice(other, other + self.subchunk)
                write = key[:, :, past] * (start - level[:, :, past]).exp()
                found.append(read @ write.transpose(2, 3) @ value[:, :, past])
            decay = level[:, :, own, None] - level[:, :, None, own]
            # A later key would overflow, and is hidden below.
            pairs = query[:, :, own, None] * key[:, :, None, own]
            scores = (pairs * decay.clamp(max=0.0).exp()).sum(-1).tril()
            outputs.append(sum(found, scores @ value[:, :, own]))
        return torch.cat(outputs, dim=2)
