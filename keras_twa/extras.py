"""What to say when a package that an extra brings cannot be imported."""


def explain(error: ImportError, purpose: str, package: str, extra: str) -> str:
    """Returns what to install, which depends on what is missing.

    Args:
        error: What the import of the package raised.
        purpose: What needs the package, as the subject of a sentence.
        package: The package, by the name that is imported.
        extra: The extra of keras_twa that brings it.
    """
    missing = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing == package:
        return (
            f"{purpose} needs {package}, which is not installed: "
            f'`pip install "keras-twa[{extra}]"`. Received: {error}'
        )
    # The package is there, and to install it again would change nothing.
    return (
        f"{purpose} needs {package}, which is installed but cannot be imported. "
        f"Install or repair what it asks for. Received: {error}"
    )
