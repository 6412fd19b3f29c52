"""`pipeline` and `python -m pipeline`: loads the command line, or reports that there is too little memory for it."""

from pipeline import system_errors


def main() -> None:
    """Run the command line."""
    if system_errors.is_limit_too_low():
        system_errors.give_up(system_errors.out_of_memory())
    try:
        from pipeline.cli import main as run
    except Exception as problem:
        if system_errors.is_out_of_memory(problem):
            system_errors.give_up(system_errors.out_of_memory())
        raise
    run()


if __name__ == "__main__":
    main()
