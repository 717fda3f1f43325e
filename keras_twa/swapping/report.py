"""What an exchange of attention kept, converted, and started anew."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SwappedLayer:
    """One exchanged layer.

    Args:
        path: Path of the layer.
        old: Class of the layer that was there.
        new: Name of the mechanism that took its place; the class name, for a layer of
            Keras.
        kept: Names of the weights that were copied, such as "query/kernel".
        converted: Names of the weights that were copied to another layout.
        started: Names of the weights that start at their initial values.
        notes: Sentences about what is different.
    """

    path: str
    old: str
    new: str
    kept: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SwapReport:
    """What `swap_attention` did: an entry per exchanged layer; `str` makes a table.

    Args:
        layers: The entries, each a `SwappedLayer`.
        notes: Sentences about the whole model.
    """

    layers: tuple[SwappedLayer, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)

    def __getitem__(self, index):
        return self.layers[index]

    def __str__(self):
        head = ("layer", "was", "is", "kept", "converted", "new")
        rows = [head, *(_cells(entry) for entry in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True))
            for row in rows
        ]
        lines.insert(1, "  ".join("-" * n for n in widths))
        lines = [line.rstrip() for line in lines]
        # The same sentence about several layers is there once.
        notes = {}
        for entry in self.layers:
            for note in entry.notes:
                notes.setdefault(note, []).append(entry.path)
        for note, paths in notes.items():
            where = "all layers" if len(paths) == len(self) > 1 else ", ".join(paths)
            lines.append(f"{where}: {note}")
        return "\n".join([*lines, *self.notes])


def _cells(entry):
    weights = (entry.kept, entry.converted, entry.started)
    return (entry.path, entry.old, entry.new, *(_listed(names) for names in weights))


def _listed(names):
    """Names of weights, those of one sublayer together: "query, output"."""
    return ", ".join(dict.fromkeys(_shortened(name) for name in names)) or "-"


def _shortened(name):
    return name.removesuffix("/kernel").removesuffix("/bias")
