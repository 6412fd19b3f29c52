"""The entry point of `pipeline` and `python -m pipeline`, which runs the CLI."""

import sys

from pipeline.errors import INTERRUPTED


def main() -> None:
    """Run the CLI. Exit with 130 after Ctrl-C, also while the modules are loaded, which takes a second."""
    try:
        from pipeline.cli import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
