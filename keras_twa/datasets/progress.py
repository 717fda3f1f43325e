"""Progress of a long job, for a function or in the terminal."""

from contextlib import contextmanager


@contextmanager
def shown(progress, description):
    """Yields a function of `(done, total)` that reports the progress of a job.

    Args:
        progress: The function to call, or `None` for a progress bar if the
            standard error stream is a terminal.
        description: The label of the progress bar.
    """
    if progress is not None:
        yield progress
        return
    # Imported only when a progress bar is shown.
    import rich.console
    import rich.progress

    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(
        console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
