"""Progress of a long job, told to a function or shown in the terminal."""

from contextlib import contextmanager


@contextmanager
def shown(progress, description):
    """Yields a function of `(done, total)` that tells how far a job has come.

    Args:
        progress: The function to call, or `None` for a progress bar if the
            standard error stream is a terminal.
        description: What the bar is called.
    """
    if progress is not None:
        yield progress
        return
    # Only a run that shows something needs it.
    import rich.console
    import rich.progress

    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(
        console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
