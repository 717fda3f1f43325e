"""Makes the site's pages of mechanisms and of the reference in each build.

Everything in them comes from the code: formulas and costs from the docstrings, facts
from the classes, and pictures from the layers themselves.
"""

import inspect
import io

import generate
import keras
import matplotlib
import numpy as np
import probe_tables
from mkdocs.structure.files import File

from keras_twa import datasets
from keras_twa import layers
from keras_twa import models
from keras_twa import ops
from keras_twa import probing
from keras_twa import swapping
from keras_twa import testing
from keras_twa import training
from keras_twa import tuner
from keras_twa import visualization
from keras_twa.layers.docstrings import paragraphs
from keras_twa.style import STYLE
from keras_twa.visualization import attention_heatmaps
from keras_twa.visualization import position_weights

STEPS, WIDTH = 48, 16
PACKAGES = {
    "layers": layers,
    "models": models,
    "probing": probing,
    "swapping": swapping,
    "testing": testing,
    "training": training,
    "tuner": tuner,
    "visualization": visualization,
    "datasets": datasets,
    "ops": ops,
}
# Methods that all attention layers have.
SHARED = ("initial_state", "step", "project")
PAGE = """\
# {title}

{description}

{pictures}

- **Name:** `"{name}"`
{facts}

{probes}::: keras_twa.layers.{title}
    options:
      heading: Arguments
      show_docstring_description: false
"""
PROBES = """\
## Probes

Scores from 0 (no better than the best guess) to 1 (perfect). The
[guide](../guides/probes.md) says what each probe asks, and what scores do not say.

{table}

"""
BY_POSITION = "Weights as a function of position alone."
WEIGHTS = "Attention weights in a random walk of 48 steps, before training."
CHANGES = (
    "The change in the output of one step after a small change in another step of a "
    "random walk, before training."
)
LEARNED = (
    "Weights as a function of position alone, with model weights as training might set "
    "them."
)


def on_config(config):
    """Puts the pages that are made here into the navigation."""
    names = [layers.name_of(layer) for layer in layers.ATTENTION_LAYERS]
    pages = {
        "Mechanisms": [f"mechanisms/{name}.md" for name in ["index", *names]],
        "Reference": [f"reference/{name}.md" for name in PACKAGES],
    }
    for entry in config.nav:
        entry.update({name: pages[name] for name in pages.keys() & entry.keys()})
    return config


def on_files(files, config):
    """Adds the pages and their pictures."""
    for uri, content in generated():
        files.append(File.generated(config, uri, content=content))
    return files


def generated():
    """The path and the content of each page and picture."""
    yield "mechanisms/index.md", overview()
    for layer in layers.ATTENTION_LAYERS:
        name = layers.name_of(layer)
        figures = dict(pictures(layer))
        for number, figure in enumerate(figures.values()):
            yield f"mechanisms/{name}-{number}.svg", figure
        yield f"mechanisms/{name}.md", mechanism_page(layer, name, list(figures))
    for name, package in PACKAGES.items():
        yield f"reference/{name}.md", reference_page(name, package)


def overview():
    """All mechanisms in a table; their formulas and arguments are on their pages."""
    rows = [("Name", "What it is", "Cost", "Masks and positions")]
    rows.append(["---"] * len(rows[0]))
    for layer in layers.ATTENTION_LAYERS:
        name = layers.name_of(layer)
        summary, *_ = paragraphs(layer)
        # The rest is where one mechanism has several costs.
        cost = generate.cost(layer).partition(". ")[0].removesuffix(".")
        facts = ", ".join(generate.facts(layer))
        cells = (f"[`{name}`]({name}.md)", summary, f"{cost}.", facts)
        rows.append([cell(text) for text in cells])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return (
        "# Mechanisms\n\n`B` sequences of `T` queries and `S` keys, `H` heads of width "
        f"`D`. Costs are those of one layer in training.\n\n{table}\n"
    )


def cell(text):
    """Text for a cell of the site: a bar outside of code would end the cell."""
    parts = text.split("`")
    parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
    return "`".join(parts)


def mechanism_page(layer, name, captions):
    """The page of one mechanism."""
    table = probe_tables.mechanism_table(name)
    images = [
        f"![{caption}]({name}-{number}.svg)\n\n*{caption}*"
        for number, caption in enumerate(captions)
    ]
    return PAGE.format(
        title=layer.__name__,
        name=name,
        description=generate.description(layer),
        pictures="\n\n".join(images),
        facts=generate.facts_list(layer),
        probes=PROBES.format(table=table) if table else "",
    )


def built(layer):
    """A small layer as it is before training."""
    keras.utils.set_random_seed(0)
    made = layer(num_heads=2, key_dim=8, **layer.small_options)
    made.build((None, STEPS, WIDTH))
    return made


def pictures(layer):
    """Captions and SVG plots of the weights of a mechanism."""
    walk = np.random.default_rng(0).normal(size=(1, STEPS, WIDTH)).cumsum(axis=1)
    walk /= np.sqrt(np.arange(1, STEPS + 1))[:, None]
    made = built(layer)
    if made.position_profile is not None:
        trained = made.example_weights()
        for weight, value in trained:
            weight.assign(value)
        caption = LEARNED if trained else BY_POSITION
        yield caption, svg(position_weights(made, length=STEPS))
    made = built(layer)
    if made.pairwise_mask:
        yield WEIGHTS, svg(attention_heatmaps(made, walk.astype("float32")))
    else:
        yield CHANGES, svg(position_weights(made, inputs=walk))


def svg(figure):
    """A figure as SVG, the same in each build."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", metadata={"Date": None}
        )
    return buffer.getvalue()


def reference_page(name, package):
    """The page of what a package exports, without the attention layers."""
    text = [f"# `keras_twa.{name}`", inspect.getdoc(package)]
    if package is layers:
        text.append(
            "Attention layers have [pages of their own](../mechanisms/index.md). All "
            "of them have these methods:"
        )
        text += blocks("keras_twa.layers.attention.base.Attention", SHARED)
    for exported in package.__all__:
        thing = getattr(package, exported)
        path = f"keras_twa.{name}.{exported}"
        if inspect.ismodule(thing):
            text += [f"## `{exported}`", *blocks(path, functions(thing))]
        elif callable(thing) and thing not in layers.ATTENTION_LAYERS:
            text += [f"::: {path}", *blocks(path, methods(thing))]
    return "\n\n".join(text) + "\n"


def blocks(path, names):
    """The directives that document members of a module or class."""
    options = "    options:\n      heading_level: 3"
    return [f"::: {path}.{name}\n{options}" for name in names]


def functions(module):
    """Names of the public functions of a module with documented arguments."""
    return [
        name
        for name, thing in vars(module).items()
        if inspect.isfunction(thing)
        and thing.__module__ == module.__name__
        and _explained(name, thing)
    ]


def methods(public):
    """Names of the methods of a class with documented arguments."""
    if not inspect.isclass(public):
        return []
    return [
        name
        for name, thing in inspect.getmembers(public, inspect.isfunction)
        if thing.__module__.startswith("keras_twa") and _explained(name, thing)
    ]


def _explained(name, thing):
    """Whether something is public and its docstring has sections."""
    sections = ("\nArgs:", "\nReturns:")
    documented = inspect.cleandoc(thing.__doc__ or "")
    return not name.startswith("_") and any(x in documented for x in sections)
