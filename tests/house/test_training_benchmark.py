"""The training benchmark compares models that compute the same."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

pytestmark = [pytest.mark.full, pytest.mark.once]

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "benchmarks" / "training.py"
SIZES = {"length": 12, "batch": 3, "layers": 2, "width": 8, "heads": 2, "repeats": 2}
SMALLER = SIZES | {"layers": 1}
OPTIONS = argparse.Namespace(**SIZES, bucketing=False, data=None)
PEERS = ["keras.layers.MultiHeadAttention"]
if keras.backend.backend() == "torch":
    PEERS.append("torch.nn.TransformerEncoderLayer")


@pytest.fixture(scope="module")
def benchmark():
    """Return the benchmark as a module."""
    spec = importlib.util.spec_from_file_location("training_benchmark", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def models(benchmark):
    """Return our model with random weights, and the peers with the same ones."""
    ours = benchmark.encoder_classifier(OPTIONS)
    ours.build((None, OPTIONS.length))
    # Biases and scales too, which start as zeros and ones.
    rng = np.random.default_rng(1)
    ours.set_weights([rng.normal(0, 0.5, w.shape) for w in ours.get_weights()])
    models = {name: benchmark.MODELS[name](OPTIONS) for name in PEERS}
    copy_to_keras(ours, models[PEERS[0]])
    if len(PEERS) > 1:
        copy_to_torch(ours, models[PEERS[1]].eval())
    return {"keras_twa": ours, **models}


def copy_to_keras(ours, peer):
    def peers(kind):
        return [layer for layer in peer.layers if isinstance(layer, kind)]

    blocks = ours.blocks
    norms = [n for b in blocks for n in (b.attention_norm, b.feed_forward_norm)]
    pairs = (
        (keras.layers.Embedding, [ours.embedding]),
        (keras.layers.MultiHeadAttention, [b.attention_layer for b in blocks]),
        (keras.layers.LayerNormalization, [*norms, ours.final_norm]),
        (type(blocks[0].feed_forward), [b.feed_forward for b in blocks]),
        (keras.layers.Dense, [ours.hidden, ours.head]),
    )
    for kind, sources in pairs:
        for source, target in zip(sources, peers(kind), strict=True):
            target.set_weights(source.get_weights())


def copy_to_torch(ours, peer):
    import torch

    def dense(target, kernel, bias, inputs):
        norm(target, np.reshape(kernel, (inputs, -1)).T, bias)

    def norm(target, scale, shift):
        with torch.no_grad():
            target.weight.copy_(torch.tensor(scale))
            target.bias.copy_(torch.tensor(np.ravel(shift)))

    width = OPTIONS.width
    with torch.no_grad():
        peer.embedding.weight.copy_(torch.tensor(ours.embedding.get_weights()[0]))
    for source, block in zip(ours.blocks, peer.blocks, strict=True):
        *projections, kernel, bias = source.attention_layer.get_weights()
        dense(block.self_attn.out_proj, kernel, bias, width)
        kernels = [np.reshape(kernel, (width, -1)).T for kernel in projections[::2]]
        with torch.no_grad():
            block.self_attn.in_proj_weight.copy_(torch.tensor(np.concatenate(kernels)))
            biases = np.concatenate([np.ravel(bias) for bias in projections[1::2]])
            block.self_attn.in_proj_bias.copy_(torch.tensor(biases))
        feed_forward = source.feed_forward.get_weights()
        dense(block.linear1, *feed_forward[:2], width)
        dense(block.linear2, *feed_forward[2:], 4 * width)
        norm(block.norm1, *source.attention_norm.get_weights())
        norm(block.norm2, *source.feed_forward_norm.get_weights())
    norm(peer.norm, *ours.final_norm.get_weights())
    dense(peer.hidden, *ours.hidden.get_weights(), width)
    dense(peer.head, *ours.head.get_weights(), 4 * width)


def logits(model, tokens):
    if isinstance(model, keras.Model):
        # Compiled anew for each length, as in the benchmark.
        model.predict_function = None
        return model.predict_on_batch(tokens)
    import torch

    return model(torch.from_numpy(tokens)).detach().numpy()


def test_peers_compute_the_same_from_as_many_weights(benchmark, models):
    tokens, _ = benchmark.made_up_batch(OPTIONS)
    assert (tokens == 0).any(axis=1).sum() >= 2
    expected = logits(models["keras_twa"], tokens)
    parameters = benchmark.count_parameters(models["keras_twa"])
    assert parameters > 257 * OPTIONS.width
    for name in PEERS:
        got = logits(models[name], tokens)
        np.testing.assert_allclose(got, expected, atol=2e-4, err_msg=name)
        assert benchmark.count_parameters(models[name]) == parameters


def test_padding_reaches_no_logits(benchmark, models):
    tokens, _ = benchmark.made_up_batch(OPTIONS)
    tokens[:, -2:] = 0
    other = tokens.copy()
    other[:, 0] = other[:, 0] % 256 + 1
    for name, model in models.items():
        expected = logits(model, tokens)
        shorter = logits(model, tokens[:, :-2])
        np.testing.assert_allclose(shorter, expected, atol=1e-4, err_msg=name)
        assert np.abs(logits(model, other) - expected).max() > 1e-2, name
        embedding = model.embedding if hasattr(model, "embedding") else model.layers[1]
        if isinstance(embedding, keras.layers.Layer):
            table = embedding.get_weights()[0]
            table[0] = 7.0
            embedding.set_weights([table])
        else:
            embedding.weight.data[0] = 7.0
        sevens = logits(model, tokens)
        np.testing.assert_allclose(sevens, expected, atol=1e-4, err_msg=name)


def test_an_epoch_is_the_sum_over_the_batches_of_the_data(benchmark, monkeypatch):
    def a_millisecond_for_each_column(name):
        seconds = int(name.split()[1]) / 1000
        case = {"name": name, "median": seconds, "seconds": [seconds]}
        return case, {"backend": "none"}

    options = argparse.Namespace(
        **SIZES | {"length": 1024, "batch": 32}, bucketing=True, data="sample"
    )
    monkeypatch.setattr(benchmark, "run_case", a_millisecond_for_each_column)
    report = {"settings": {}, "notes": []}
    benchmark.compare_batching(options, report)
    _, ways = benchmark.ways_to_batch(options)
    for way, batches in ways.items():
        steps = sum(tokens.shape[1] for tokens, _, _ in batches.epoch())
        assert report["epoch_seconds"][way] == pytest.approx(steps / 1000)
    assert report["ratio"] < 1
    assert report["settings"]["data"] == "sample, not IMDb"


def test_measures_a_shape_of_the_data(benchmark):
    options = SMALLER | {"length": 48}
    options = argparse.Namespace(**options, bucketing=True, data="sample")
    batches = benchmark.real_batches("padded 48", options)
    assert [tokens.shape for tokens, _, _ in batches] == [(3, 48)] * 2
    case, _ = benchmark.measure("padded 48", options)
    assert len(case["seconds"]) == 2
    assert min(case["seconds"]) <= case["median"] <= max(case["seconds"])


def test_the_command(benchmark, monkeypatch, tmp_path, capsys):
    in_a_process = benchmark.run_case

    def run_case(name):
        if name == "keras_twa":
            return in_a_process(name)
        # Here: starting a framework again would take most of the time.
        return benchmark.measure(name, argparse.Namespace(**SMALLER, bucketing=False))

    path = tmp_path / "numbers.json"
    sizes = [f"--{name}={value}" for name, value in SMALLER.items()]
    monkeypatch.setattr(benchmark, "run_case", run_case)
    monkeypatch.setattr(sys, "argv", ["training.py", *sizes, "--json", str(path)])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    benchmark.main()
    shown = capsys.readouterr().out
    report = json.loads(path.read_text())
    assert report["environment"]["backend"] == keras.backend.backend()
    assert report["settings"] == SMALLER
    ours, *peers = report["cases"]
    assert len(ours["seconds"]) == SMALLER["repeats"]
    assert [peer["name"] for peer in peers] == PEERS
    for peer in peers:
        assert peer["parameters"] == ours["parameters"]
        assert peer["ratio"] == pytest.approx(ours["median"] / peer["median"])
        assert peer["name"] in shown
    assert "met" in shown or "missed" in shown


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--length", "0"], "positive integer"),
        (["--width", "10", "--heads", "4"], "multiple of --heads"),
        (["--bucketing"], "be used together"),
        (["--bucketing", "--data", "nowhere"], "nowhere"),
        (["--json", "nowhere/numbers.json"], "folder does not exist"),
    ],
)
def test_bad_arguments_are_one_line(arguments, hint, benchmark, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["training.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert hint in error
    assert len(error.splitlines()) == 1
