"""`python -m manifestgen` is the same as `manifestgen`."""

from manifestgen.cli import main

if __name__ == "__main__":
    main()
