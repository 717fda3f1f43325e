"""Times every attention layer and its alternatives.

    KERAS_BACKEND=torch python benchmarks/attention.py
    KERAS_BACKEND=torch python benchmarks/attention.py --scaling
    KERAS_BACKEND=torch python benchmarks/attention.py --family long
    KERAS_BACKEND=torch python benchmarks/attention.py --family long --scaling
    KERAS_BACKEND=torch python benchmarks/attention.py --family further
    python benchmarks/attention.py --render docs/performance

The first command fills the table of targets of the backend: forward and backward, and
forward alone. The second command measures time and memory from 512 to 32,768 steps. The
next two do the same for the layers for long sequences, up to 65,536 steps, and time
single steps early and late in a sequence. The next one measures the targets of later
layers, and of recurrent layers in both directions. With `--output`, they record their
numbers as JSON. The last command writes the tables of `docs/performance.md` from these
files. `pip install -e ".[peers]"` adds more alternatives.

One step is self-attention forward and backward: the gradients of the sum of the
squared outputs with respect to the input and all weights. It is compiled as Keras
compiles training on that backend: `jax.jit`, `tf.function(jit_compile=True)`, and
eager PyTorch.

Each case runs in its own processes, so that no case pays for the memory or the caches
of another. A process that exceeds `--memory-limit` or `--time-limit` is stopped. Each
layer is first checked on a short sequence, cut into tiles. Its outputs and gradients
must equal those of the dense route that also returns the attention scores or, for the
layers for long sequences, those of the float64 loops of `tests/references`. A layer
that fails gets no ratio.

The time is the median over `--rounds` times `--repeats` steps, each round in a fresh
process after two warm-up steps. The range is from the fastest to the slowest step. All
cases run in the first round before any runs in the second. The memory is the rise of
the peak above what the process held after a short warm-up: resident memory on a CPU,
or the device's own count if the backend reports it. It is measured in a separate
process with `MALLOC_MMAP_THRESHOLD_=65536`. glibc then returns freed memory, instead of
keeping up to several times the memory in use. This makes steps slower, so time is
measured without it. With `--scaling`, time is measured with `MALLOC_MMAP_MAX_=0`, since
glibc otherwise allocates tensors above 32 MB in another way. Compare only numbers of
the same run: those of another machine, or of a busy one, differ.
"""

import argparse
import datetime
import json
import os
import sys
from pathlib import Path

import cases
import processes
import scaling
import tables
import targets


def main():
    options = parse_arguments()
    if options.case is not None:
        # Only a child imports a framework.
        from measure import measure

        print(json.dumps(measure(options.case, options.measure, options)))
        return 0
    if options.render is not None:
        import document

        document.write(Path(options.render))
        return 0
    return run(options)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, what in (
        ("length", 4096, "steps of the sequence"),
        ("batch", 2, "sequences; always 1 with --scaling"),
        ("heads", 4, "attention heads"),
        ("dim", 32, "width of each head"),
        ("repeats", 5, "steps that are timed in each round"),
        ("rounds", 2, "rounds through all cases"),
        ("time-limit", 900, "seconds until a process is stopped"),
        ("memory-limit", 12, "GB of resident memory at which a process is stopped"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    parser.add_argument(
        "--family",
        choices=cases.FAMILIES,
        default="foundation",
        help="which layers: the first five, those for long sequences, or later ones",
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--attention",
        type=names,
        metavar="A,B",
        help="names of layers, as `keras-twa list` shows them (default: all)",
    )
    parser.add_argument(
        "--cases",
        type=lambda text: names(text, ";"),
        metavar="A;B",
        help="names of cases, as the table shows them (default: all)",
    )
    parser.add_argument(
        "--scaling", action="store_true", help="measure one length after the other"
    )
    parser.add_argument(
        "--lengths",
        type=lambda text: [positive(length) for length in names(text)],
        metavar="A,B",
        help="lengths for --scaling (default: 512, 1024, ... 32768; for long "
        "sequences 4096, ... 65536)",
    )
    parser.add_argument("--json", metavar="PATH", help="write the numbers to this file")
    parser.add_argument(
        "--output", metavar="DIR", help="record numbers and plots in this folder"
    )
    parser.add_argument(
        "--render", metavar="DIR", help="write docs/performance.md from this folder"
    )
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--measure", default="time", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.scaling and options.family not in scaling.LENGTHS:
        parser.error(f"--family {options.family} has no --scaling")
    return options


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(
            f"expected a positive integer. Received: {text!r}"
        )
    return int(text)


def names(text, between=","):
    return [name.strip() for name in text.split(between) if name.strip()]


def run(options):
    """Measures, shows and records; returns the exit code."""
    from rich.console import Console

    # Wide enough for the widest table, also if the output is a file.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    facts = processes.run_child(cases.FACTS, "time", options)
    if "problem" in facts:
        sys.exit(facts["problem"])
    unknown = set(options.attention or ()) - set(facts["mechanisms"])
    if unknown:
        sys.exit(
            f"The layers are {', '.join(facts['mechanisms'])}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    chosen = options.attention or facts["mechanisms"]
    facts["mechanisms"] = cases.of_family(chosen, options.family)
    options.lengths = options.lengths or scaling.LENGTHS.get(options.family)
    for key, value in facts["environment"].items():
        console.print(f"{key}: {value}")
    with console.status("") as status:
        make = scaling_report if options.scaling else layers_report
        report = make(options, facts, status.update)
    for table in tables.all_tables(report):
        console.print(table.rich())
    console.print(*tables.notes(report), sep="\n")
    record(report, options)
    results = report.get("cases", report.get("series"))
    return int(any(failed(result) for result in results))


def failed(result):
    """Whether a case failed, other than by a limit or a missing package."""
    problem = str(result.get("problem") or result.get("stopped") or "")
    wrong = result.get("agrees") is False or problem == "WRONG"
    return wrong or problem.startswith("failed")


def layers_report(options, facts, show):
    backend = facts["environment"]["backend"]
    gpu = facts["environment"]["device"] != "CPU"
    if options.family == "long":
        chosen = cases.long_cases(facts["mechanisms"], backend, gpu)
        aims = [target for target in targets.LONG_TARGETS if backend in target.most]
    elif options.family == "further":
        of = facts["mechanisms"], facts["directed"]
        chosen = cases.further_cases(*of, backend, gpu)
        aims = targets.further_targets(facts["directed"], backend)
    else:
        chosen = cases.all_cases(facts["mechanisms"], backend, gpu)
        aims = targets.targets_for(facts["mechanisms"], backend, gpu)
    if options.cases:
        chosen = some_of(chosen, options.cases)
    start = heading("layers", options, facts, (*processes.SIZES, "rounds"))

    def report_on(results):
        judged = [
            *targets.judge(aims, results, backend),
            *targets.judge_steps(results),
        ]
        return {**start, "cases": results, "targets": judged}

    results = processes.measure_cases(
        chosen, facts, options, show, lambda found: record(report_on(found), options)
    )
    return report_on(results)


def some_of(chosen, wanted):
    """The cases of these names, and Keras's own layer, which ratios refer to."""
    unknown = set(wanted) - {case.name for case in chosen}
    if unknown:
        known = "; ".join(case.name for case in chosen)
        sys.exit(f"The cases are {known}. Received: {'; '.join(sorted(unknown))}")
    wanted = {*wanted, cases.KERAS}
    if any(case.forward for case in chosen if case.name in wanted):
        wanted.add(cases.forward_name(cases.KERAS))
    return [case for case in chosen if case.name in wanted]


def scaling_report(options, facts, show):
    backend = facts["environment"]["backend"]
    gpu = facts["environment"]["device"] != "CPU"
    if options.family == "long":
        chosen = cases.linear_cases(facts["mechanisms"], facts["linear"], backend)
    else:
        chosen = cases.plain_cases(facts["mechanisms"], backend, gpu)
    if options.cases:
        chosen = some_of(chosen, options.cases)
    kept = ("heads", "dim", "repeats", "dtype", "lengths")
    start = heading("scaling", options, facts, kept)

    def keep(series):
        record({**start, "series": series, "targets": []}, options)

    series = scaling.measure_scaling(chosen, facts, options, show, keep)
    judged = scaling.judge_scaling(series, facts, options, show)
    return {**start, "series": series, "targets": judged}


def heading(kind, options, facts, kept):
    """The first entries of every record."""
    return {
        "kind": kind,
        "family": options.family,
        "date": datetime.date.today().isoformat(),
        "environment": facts["environment"],
        # How busy the machine was, near the start.
        "load": os.getloadavg()[0],
        "operations_per_second": facts["operations_per_second"],
        "settings": {
            name: getattr(options, name)
            for name in (*kept, "time_limit", "memory_limit")
        },
    }


def record(report, options):
    """Writes the requested JSON and plot."""
    text = json.dumps(report, indent=2) + "\n"
    if options.json:
        Path(options.json).write_text(text)
    if not options.output:
        return
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record_name(report)}.json"
    path.write_text(text)
    if report["kind"] == "scaling":
        from plot import draw_scaling

        draw_scaling(report, path.with_suffix(".png"))


def record_name(report):
    """The name that distinguishes this run from others in the same folder."""
    environment, settings = report["environment"], report["settings"]
    parts = [report["kind"], environment["backend"]]
    if report.get("family", "foundation") != "foundation":
        parts.insert(0, report["family"])
    if environment["device"] != "CPU":
        parts.append("gpu")
    if settings["dtype"] != "float32":
        parts.append(settings["dtype"])
    if "length" in settings:
        parts.append(str(settings["length"]))
    return "-".join(parts)


if __name__ == "__main__":
    sys.exit(main())
