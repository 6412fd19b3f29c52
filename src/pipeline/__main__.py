"""The entry point of `python -m pipeline`, which runs the CLI."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
