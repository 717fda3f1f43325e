"""Matrices with made-up results, for the tests of tables, reports and commands."""

from keras_twa.experiments.results import Result
from keras_twa.experiments.sweep import first_runs
from keras_twa.experiments.sweep import other_runs
from keras_twa.probing.plan import Plan
from keras_twa.tasks import probes
from keras_twa.tasks.probes.rows import name_of_test

RATES = (1e-3, 3e-3)
ATTENTIONS = ("dot_product", "retention", "lsh", "[local, retention]")
PROBES = ("parity", "associative_recall", "nested_decay")


def canned_result(experiment, score, epochs=6, status="completed", improving=False):
    """A result whose test score is as given, and less with lower rates."""
    probe = probes.get(experiment.task)
    metric = probe.metric
    chance = probe.chance(experiment.settings)
    found = score if experiment.learning_rate != RATES[0] else (score + chance) / 2
    result = Result(experiment, status=status, metric=metric, starts=1)
    result.parameters = 17_000 + len(experiment.attention)
    for epoch in range(1, epochs + 1):
        share = epoch / epochs if improving else 1.0
        result.curve.append(
            {
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "validation_loss": 1 - found + 0.1 / epoch,
                f"validation_{metric.name}": chance + share * (found - chance),
                "seconds": 1.0,
                "total_seconds": float(epoch),
            }
        )
    result.steps = 100 * epochs
    if status == "completed":
        result.best_epoch = epochs
        result.test = {"loss": 1 - found, metric.name: found}
        result.further_tests = {
            name_of_test(times): {"loss": 1.0, metric.name: chance}
            for times in probe.test_lengths
            if times != 1
        }
        result.wall_seconds = 9.0
    return result


def save(comparison, result):
    folder = comparison.output / result.experiment.name
    folder.mkdir(exist_ok=True)
    result.save(folder / "result.json")


def write_runs(comparison, score=0.9, **facts):
    """Writes results of all runs of a comparison, as they would come."""
    first = first_runs(comparison.experiments, comparison.learning_rates)
    results = [canned_result(each, score, **facts) for each in first]
    others = other_runs(comparison.experiments, results)
    results += [
        canned_result(each, score + 0.01 * each.seed, **facts) for each in others
    ]
    for result in results:
        save(comparison, result)
    return results


def canned_matrix(folder, score=0.9, attentions=ATTENTIONS, names=PROBES, **facts):
    """Writes a matrix in which all mechanisms have the same score."""
    plan = Plan.of([*attentions], [*names], 2, "quick", RATES, output=folder)
    for comparison in plan.prepare().values():
        write_runs(comparison, score, **facts)
    return plan
