"""Options that several commands share, and rules for combining the options of a command."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import typer

from pipeline.errors import UsageError

ORDERS = "orders"
"""The dataset whose files can be generated; the default of `pipeline run`."""

TARGETS = ("aws", "local")

Command = TypeVar("Command", bound=Callable[..., None])


def _check_target(name: str) -> str:
    if name and name not in TARGETS:
        raise UsageError(f"TARGET must be one of {', '.join(TARGETS)}, not {name}.")
    return name


TargetName = Annotated[
    str,
    typer.Option("--target", metavar="aws|local", help="AWS, or the local emulator.", callback=_check_target),
]
DeployedRules = Annotated[
    str,
    typer.Option("--target", metavar="aws|local", help="Use the rules of this deployment.", callback=_check_target),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts. See docs/reference/json-output.md.")]
What = Annotated[
    str,
    typer.Argument(
        metavar="KEY|BATCH|EXECUTION",
        help="A key of the ingest bucket, a batch, an execution (name or ARN), or the s3:// address of a file.",
    ),
]
"""The argument that identifies a batch."""


@dataclass(frozen=True)
class Combinations:
    """The rules for combining the parameters of a command, by Python name. Decorates the command's function."""

    at_least_one: tuple[str, ...] = ()
    exclusive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each parameter, the parameters that can't be combined with it."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """For each parameter, another parameter that it requires."""

    def __call__(self, command: Command) -> Command:
        command.combinations = self  # type: ignore[attr-defined]
        return command

    def check(self, context: typer.Context) -> None:
        """Raise UsageError if the parameters on the command line break a rule."""
        given = {name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"}  # type: ignore[union-attr]
        labels = {param.name: _label(param) for param in context.command.params}
        examples = f"pipeline {context.info_name} --help shows examples."
        for name, others in self.exclusive.items():
            for other in others:
                if {name, other} <= given:
                    raise UsageError(f"{labels[other]} can't be combined with {labels[name]}.", examples)
        for name, needed in self.needs.items():
            if name in given and needed not in given:
                raise UsageError(f"{labels[name]} requires {labels[needed]}.", examples)
        if self.at_least_one and not given & set(self.at_least_one):
            *first, last = (labels[name] for name in self.at_least_one)
            raise UsageError(f"Nothing is selected. Give {', '.join(first)} or {last}.", examples)


def check_combinations(context: typer.Context) -> None:
    """Raise UsageError if the command's options break a rule of its `Combinations`, if it has any."""
    if combinations := getattr(context.command.callback, "combinations", None):
        combinations.check(context)


def _label(param: Any) -> str:
    """Return the name of an option, or the metavar of an argument."""
    return str(param.opts[0] if param.param_type_name == "option" else param.metavar.strip("[]."))
