"""The cases of the benchmark: layers, variants of them, and alternatives.

Nothing here imports a framework, which the waiting process does not need.
"""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from keras_twa.experiments.config import COMPARED

FACTS = "facts"
KERAS = "keras MultiHeadAttention"
FUSED = "fused attention alone"
DENSE = "dense gravitational formula"
CAUSAL = "dot_product, causal"
ADDITIVE = "multi_timescale, additive and causal"
DROPOUT = "dot_product, dropout 0.1"
IN_TILES = "multi_timescale, in tiles"
BACKENDS = ("torch", "jax", "tensorflow")
# Layers come in three tables: these five, those for long sequences, and later layers
# and options.
FAMILIES = ("foundation", "long", "further")
FOUNDATION = COMPARED
FURTHER = ("differential", "latent", "gated_linear", "mamba2")
# The options with which a layer runs in both directions, if not only the default ones.
# Each direction of Mamba-2 needs groups of its own.
DIRECTED_OPTIONS = {"mamba2": [{"num_groups": 2}], "rwkv": [{}, {"version": 7}]}
PERFORMER, CAUSAL_PERFORMER = "performer_pytorch", "performer_pytorch, causal"
LOCAL = "local_attention, window 128"
LONGFORMER = "HF Longformer, window 256"
REFORMER = "reformer_pytorch, bucket 64, 4 hashes"
RWKV_4 = "HF RWKV-4"
RETNET = "torchscale retention, chunkwise"
GATED_LINEAR = "gated linear attention, naive chunks"
MAMBA_2 = "HF Mamba-2"
GLOBAL = "local, window 256 and a global token"
LSH = "lsh, bucket 64, 4 hashes"
CAUSAL_LINEAR, CAUSAL_FEATURES = "linear, causal", "performer, causal"


@dataclass(frozen=True)
class Peer:
    """An alternative to a layer of this package."""

    name: str
    backends: tuple[str, ...] = BACKENDS
    gpu_backends: tuple[str, ...] = BACKENDS
    # A package that may not be installed.
    package: str | None = None
    # With feed-forward layers and normalisation: more work than attention alone.
    whole_block: bool = False
    # The backends on which it has no kernel for float32.
    half_only: tuple[str, ...] = ()

    def runs_on(self, backend, gpu):
        return backend in (self.gpu_backends if gpu else self.backends)


TORCH = ("torch",)
PEERS = (
    Peer("torch MultiheadAttention", TORCH, TORCH),
    Peer("x_transformers Attention, flash", TORCH, TORCH, "x-transformers"),
    Peer("x_transformers Encoder, flash", TORCH, TORCH, "x-transformers", True),
    Peer("keras_hub TransformerEncoder", package="keras-hub", whole_block=True),
    # On a CPU, jax has no fused attention.
    Peer(FUSED, TORCH, ("torch", "jax"), half_only=("jax",)),
)
LONG_PEERS = (
    Peer(PERFORMER, TORCH, TORCH, "performer-pytorch"),
    Peer(CAUSAL_PERFORMER, TORCH, TORCH, "performer-pytorch"),
    Peer(LOCAL, TORCH, TORCH, "local-attention"),
    Peer(LONGFORMER, TORCH, TORCH, "transformers"),
    Peer(REFORMER, TORCH, TORCH, "reformer-pytorch"),
    Peer(RWKV_4, TORCH, TORCH, "transformers"),
    Peer(RETNET, TORCH, TORCH, "torchscale"),
    Peer(GATED_LINEAR, TORCH, TORCH),
    Peer(MAMBA_2, TORCH, TORCH, "transformers"),
)
PACKAGES = tuple(
    dict.fromkeys(peer.package for peer in (*PEERS, *LONG_PEERS) if peer.package)
)


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Args:
        name: Its name in tables.
        subject: Name of a mechanism or of a peer.
        arguments: Further arguments of the layer's constructor, as pairs.
        causal: Whether to call it with `use_causal_mask=True`.
        training: Whether to call it with `training=True`.
        positions: Whether to pass the times of the steps, which are 0, 1, 2, ... The
            layer then does not know that they are evenly spaced.
        forward: Whether to measure inference: no gradients.
        compiled: Whether TensorFlow compiles it with XLA, as by `jit_compile=True`.
        package: The package that it requires.
        whole_block: Whether it does more than attention.
        half_only: Backends on which it needs half precision.
    """

    name: str
    subject: str
    arguments: tuple[tuple[str, Any], ...] = ()
    causal: bool = False
    training: bool = False
    positions: bool = False
    forward: bool = False
    compiled: bool = True
    package: str | None = None
    whole_block: bool = False
    half_only: tuple[str, ...] = ()


def forward_name(name):
    return f"{name}, forward"


def of_family(mechanisms, family):
    """The mechanisms of one of the `FAMILIES`."""
    if family == "further":
        return list(mechanisms)
    first = family == "foundation"
    return [name for name in mechanisms if (name in FOUNDATION) == first]


def plain_cases(mechanisms, backend, gpu=False):
    """Keras's own layer, the mechanisms and the peers, forward and backward."""
    return [
        Case(KERAS, KERAS),
        *(Case(name, name) for name in mechanisms),
        *cases_of(PEERS, backend, gpu),
    ]


def cases_of(peers, backend, gpu):
    """One case for each peer that runs on a backend."""
    return [
        Case(
            peer.name,
            peer.name,
            package=peer.package,
            whole_block=peer.whole_block,
            half_only=peer.half_only,
        )
        for peer in peers
        if peer.runs_on(backend, gpu)
    ]


def long_cases(mechanisms, backend, gpu=False):
    """Cases for the layers for long sequences, with those that their targets need."""
    own = of_family(mechanisms, "long")
    window = (("window", 129), ("num_global_tokens", 1))
    variants = [
        Case(CAUSAL_LINEAR, "linear", causal=True),
        Case(CAUSAL_FEATURES, "performer", causal=True),
        Case("local, causal", "local", causal=True),
        Case(GLOBAL, "local", window),
        Case(LSH, "lsh", (("bucket_size", 64), ("num_hashes", 4))),
        Case("rwkv, version 7", "rwkv", (("version", 7),)),
    ]
    return [
        Case(KERAS, KERAS),
        Case("dot_product", "dot_product"),
        *(Case(name, name) for name in own),
        *(case for case in variants if case.subject in own),
        *cases_of(LONG_PEERS, backend, gpu),
    ]


def linear_cases(mechanisms, linear, backend):
    """The cases whose time should be linear in the length.

    Args:
        mechanisms: Names of the mechanisms to measure.
        linear: Names of mechanisms that state that their time is linear.
        backend: Name of the backend.
    """
    chosen = {*mechanisms} & {*linear}
    return [case for case in long_cases(mechanisms, backend) if case.subject in chosen]


def further_cases(mechanisms, directed, backend, gpu=False):
    """Cases of later layers and options, with those that their targets need.

    Args:
        mechanisms: Names of the mechanisms to measure.
        directed: Names of mechanisms that run in both directions.
        backend: Name of the backend.
        gpu: Whether it runs on a GPU.
    """
    peers = [peer for peer in LONG_PEERS if peer.name in (GATED_LINEAR, MAMBA_2)]
    found = [
        Case(KERAS, KERAS),
        *(Case(name, name) for name in ("dot_product", *FURTHER) if name in mechanisms),
        *cases_of(peers, backend, gpu),
    ]
    for name, subject, options in in_directions(set(directed) & set(mechanisms)):
        both = (*options, ("direction", "both"))
        found += [
            Case(f"{name}, causal", subject, options, causal=True),
            Case(f"{name}, both directions", subject, both),
        ]
    return found


def in_directions(directed):
    """The name, mechanism and options of each layer to measure in both directions."""
    for subject in sorted(directed):
        for options in DIRECTED_OPTIONS.get(subject, [{}]):
            text = ", ".join(f"{key}={value}" for key, value in options.items())
            name = f"{subject}({text})" if options else subject
            yield name, subject, tuple(options.items())


def variants(mechanisms, backend):
    """The further cases that the targets compare."""
    found = [
        Case(CAUSAL, "dot_product", causal=True),
        Case(DROPOUT, "dot_product", (("dropout", 0.1),), training=True),
        Case(ADDITIVE, "multi_timescale", (("discount", "additive"),), causal=True),
        Case(IN_TILES, "multi_timescale", positions=True),
    ]
    found = [case for case in found if case.subject in mechanisms]
    if "gravitational" in mechanisms:
        found.append(Case(DENSE, DENSE))
    if backend == "tensorflow":
        found += [
            Case(f"{name}, no XLA", name, compiled=False)
            for name in (KERAS, *mechanisms)
        ]
        found += [
            replace(case, name=f"{case.name}, no XLA", compiled=False)
            for case in found
            if case.name == DROPOUT
        ]
    return found


def all_cases(mechanisms, backend, gpu=False):
    """All cases in the table of one run."""
    inference = [
        replace(case, name=forward_name(case.name), forward=True)
        for case in plain_cases(mechanisms, backend, gpu)
        if case.subject in (KERAS, *mechanisms)
    ]
    plain = plain_cases(mechanisms, backend, gpu)
    return [*plain, *variants(mechanisms, backend), *inference]


def named(name, mechanisms, backend, gpu=False):
    """The case with this name."""
    known = [
        *all_cases(mechanisms, backend, gpu),
        *long_cases(mechanisms, backend, gpu),
        *further_cases(mechanisms, mechanisms, backend, gpu),
    ]
    for case in known:
        if case.name == name:
            return case
    raise ValueError(f"There is no such case on {backend}. Received: {name!r}")
