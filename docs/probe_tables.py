"""The tables about probes in the documents, from the recorded scores."""

import json
from pathlib import Path

import published
from markdown_tables import markdown

from keras_twa.probing import recorded
from keras_twa.tasks import probes

RESULTS = Path(__file__).resolve().parent / "results" / "probes"
NOT_RECORDED = "not recorded"
MISSING = "–"


def recorded_text():
    """The contents of the file of recorded scores, from the documents' results."""
    paths = sorted(RESULTS.glob("*/matrix.json"))
    matrices = [(p.parent.name, json.loads(p.read_text("utf-8"))) for p in paths]
    return recorded.as_text(matrices)


def probe_table():
    """What each probe asks, and the score of a guess in the preset `quick`."""
    rows = [("Probe", "What scores well", "Chance", "Measured by", "Source")]
    for name in probes.names():
        probe = probes.get(name)
        settings = probe.presets["quick"]
        source = f"[paper]({probe.source})" if probe.source else "this package"
        chance = probe.metric.text(probe.chance(settings))
        rows.append((f"`{name}`", probe.ability, chance, probe.metric.title, source))
    return markdown(rows)


def matrix_table(path=recorded.FILE):
    """The recorded scores of all mechanisms in the preset `quick`."""
    scores = recorded.recorded(path=path)
    if not scores:
        return "No scores are recorded in this version."
    names = [x for x in probes.names() if any(x in row for row in scores.values())]
    titles = [probes.get(name).title for name in names]
    rows = [("Mechanism", *titles)]
    for text, row in scores.items():
        cells = [row[name].text if name in row else MISSING for name in names]
        rows.append((f"`{text}`", *cells))
    return markdown(rows)


def mechanism_table(name, path=recorded.FILE):
    """The recorded scores of one mechanism in `quick`, "" if there are none."""
    scores = recorded.variants(recorded.recorded(path=path), name)
    names = [x for x in probes.names() if any(x in row for row in scores.values())]
    if not names:
        return ""
    rows = [("Probe", *(f"`{text}`" for text in scores))]
    for probe in names:
        cells = [
            row[probe].text if probe in row else MISSING for row in scores.values()
        ]
        rows.append((probes.get(probe).title, *cells))
    return markdown(rows)


def mechanism_line(name, path=recorded.FILE):
    """The recorded scores of one mechanism in a sentence, "" if there are none."""
    scores = recorded.recorded(path=path)
    found = []
    for probe in probes.names():
        best = recorded.score_on(scores, name, probe)
        if best is not None:
            text, score = best
            options = "" if text == name else f" (`{text}`)"
            found.append(f"{probes.get(probe).title} {score.mean:.2f}{options}")
    return ", ".join(found)


def published_table(path=recorded.FILE):
    """The published outcomes, and what is recorded here beside them."""
    rows = [("Probe", "Published", "Source", "Ours", "Agrees")]
    for outcome in published.OUTCOMES:
        ours, agrees = comparison(outcome, path)
        if outcome.remark:
            ours = f"{ours}. {outcome.remark}"
        probe = f"`{outcome.probe}`"
        rows.append((probe, outcome.claim, outcome.source, ours, agrees))
    return markdown(rows)


def comparison(outcome, path=recorded.FILE):
    """Our scores for an outcome, and how many of its statements hold, as texts.

    They are of its preset, or of `quick` if only that is recorded.
    """
    for preset in dict.fromkeys([outcome.preset, "quick"]):
        scores = recorded.recorded(preset, path=path)
        found = {}
        for text in outcome.mechanisms:
            score = recorded.score_of(scores, text, outcome.probe)
            at = None if score is None else _at(score, outcome.times)
            if at is not None:
                found[text] = at
        held, count = outcome.agreement(found)
        if count:
            values = ", ".join(f"`{text}` {x:.2f}" for text, x in found.items())
            length = f", ×{outcome.times}" if outcome.times > 1 else ""
            all_known = len(found) == len(outcome.mechanisms)
            missing = "" if all_known else "; others not recorded"
            text = f"{values} ({preset}{length}{missing})"
            return text, f"{held} of {count}"
    return NOT_RECORDED, MISSING


def _at(score, times):
    """The score at a length, `None` if it was not measured."""
    return score.mean if times == 1 else score.at_lengths.get(str(times))
