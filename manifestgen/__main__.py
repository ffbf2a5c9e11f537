"""The start and the end of the process: `manifestgen`, and `python -m manifestgen`, which is the same."""

import gc


def main() -> None:
    """Entry point of `manifestgen`."""
    # Imports make many objects and no garbage: looking for some costs a tenth of a short command's time. So this comes
    # before the imports.
    gc.set_threshold(100_000, 20, 20)
    from manifestgen.cli import main as run

    try:
        run()
    finally:
        # At its end Python looks at every object once more, and a short command has nothing left to free.
        gc.freeze()


if __name__ == "__main__":
    main()
