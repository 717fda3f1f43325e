"""Which runs a matrix needs, and what is refused before anything is written."""

import json

import pytest

from keras_twa import layers
from keras_twa.experiments.config import COMPARED
from keras_twa.probing.plan import Plan
from keras_twa.tasks import probes
from keras_twa.tasks.probes import recipes
from tests.probing.canned import canned_matrix

pytestmark = pytest.mark.once


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_by_default_it_has_all_probes_and_the_usual_mechanisms():
    plan = Plan.of()
    assert plan.probes == probes.names()
    assert plan.attentions == COMPARED
    assert (plan.seeds, plan.learning_rates) == ((0,), recipes.rates("quick"))
    assert plan.output.parent.name == "runs"
    assert plan.output.name.startswith("probes-quick-")


def test_all_stands_for_all_and_each_is_there_once():
    plan = Plan.of(["linear", "all"], ["parity", "all", "parity"])
    assert plan.attentions[0] == "linear"
    assert sorted(plan.attentions) == sorted(layers.mechanisms())
    assert sorted(plan.probes) == sorted(probes.names())


def test_any_layer_and_a_stack_of_two_have_a_place():
    layer = layers.LocalAttention(2, 16, window=3)
    plan = Plan.of([layer, ["local", layers.RetentionAttention], "linear"], "parity")
    assert plan.attentions[1:] == ("[local, retention]", "linear")
    assert "window=3" in plan.attentions[0]
    (comparison,) = plan.comparisons().values()
    assert [each.attention for each in comparison.experiments] == [*plan.attentions]


class ForwardAttention(layers.LinearAttention):
    """A mechanism of one's own."""


@pytest.mark.usefixtures("own_registry")
def test_a_registered_class_has_a_place_too():
    layers.register("forward", ForwardAttention)
    plan = Plan.of([ForwardAttention, "[forward, local]"], "parity")
    assert plan.attentions == ("forward", "[forward, local]")
    (comparison,) = plan.comparisons().values()
    for experiment in comparison.experiments:
        assert experiment.defined_in == {
            "forward": f"{__name__}:{ForwardAttention.__name__}"
        }


def test_what_cannot_take_a_probe_is_skipped_with_the_reason():
    plan = Plan.of(["lsh", "dot_product", "[lsh, local]"], ["parity"])
    assert [*plan.skipped["parity"]] == ["lsh", "[lsh, local]"]
    assert "attention='lsh'" in plan.skipped["parity"]["lsh"]
    (comparison,) = plan.comparisons().values()
    assert [each.attention for each in comparison.experiments] == ["dot_product"]
    # A probe that no mechanism can take has no comparison.
    assert Plan.of("lsh", "parity").comparisons() == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"probes": ["parit"]}, "Did you mean 'parity'"),
        ({"probes": []}, "probes=\\[\\]"),
        ({"attention": "dot_produkt"}, "Did you mean 'dot_product'"),
        ({"attention": []}, "attention=\\[\\]"),
        ({"attention": "local(windw=3)"}, "window"),
        ({"attention": "[local, local, local]"}, "3 entries for 2 blocks"),
        ({"preset": "quik"}, "Did you mean 'quick'"),
        ({"positions": "rotery"}, "Did you mean 'rotary'"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": [-1]}, "seed=-1"),
        ({"learning_rates": [0.0]}, "learning_rates=\\[0.0\\]"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Plan.of(**wrong, output=tmp_path / "out").prepare()
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_contents_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="has no matrix of probes"):
        Plan.of("linear", "parity", output=tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OSError, match="Not a folder"):
        Plan.of("linear", "parity", output=tmp_path / "thesis.tex" / "out").prepare()


def test_another_matrix_is_refused_and_stays_as_it_is(tmp_path):
    canned_matrix(tmp_path)
    before = contents(tmp_path)
    for change in (
        {"preset": "standard"},
        {"positions": "learned"},
        {"learning_rates": [0.1]},
        {"epochs": 1},
    ):
        given = {"preset": "quick", "learning_rates": [1e-3, 3e-3], **change}
        plan = Plan.of("linear", "parity", output=tmp_path, **given)
        with pytest.raises(ValueError, match="another matrix of probes"):
            plan.prepare()
    assert contents(tmp_path) == before


def test_a_probe_with_a_foreign_folder_is_refused_before_anything_is_written(tmp_path):
    canned_matrix(tmp_path, names=["parity"])
    (tmp_path / "copying").mkdir()
    (tmp_path / "copying" / "notes.txt").write_text("")
    before = contents(tmp_path)
    plan = Plan.of(
        "linear",
        ["memorization", "copying"],
        learning_rates=[1e-3, 3e-3],
        output=tmp_path,
    )
    with pytest.raises(ValueError, match="is not a comparison"):
        plan.prepare()
    assert contents(tmp_path) == before


def test_a_file_of_another_version_is_refused(tmp_path):
    (tmp_path / "probes.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="Not a matrix of probes of this version"):
        Plan.of("linear", "parity", output=tmp_path).prepare()


def test_more_can_be_added(tmp_path):
    canned_matrix(tmp_path, attentions=["dot_product"], names=["parity"])
    plan = Plan.of(
        ["linear", "lsh"], "copying", [5], "quick", [1e-3, 3e-3], output=tmp_path
    )
    assert [*plan.prepare()] == ["copying"]
    facts = json.loads((tmp_path / "probes.json").read_text())
    assert facts["probes"] == ["parity", "copying"]
    assert facts["attentions"] == ["dot_product", "linear", "lsh"]
    assert facts["seeds"] == [0, 1, 5]
    assert [*facts["skipped"]["copying"]] == ["lsh"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / "probes.json.123.part"
    left.write_text("{")
    Plan.of("linear", "parity", output=tmp_path).prepare()
    assert not left.exists() and (tmp_path / "probes.json").exists()
