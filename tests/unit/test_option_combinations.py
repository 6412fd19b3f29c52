"""Which options of a command can be combined."""

import sys

import pytest

from pipeline import cli

BATCH = "orders-" + "0" * 32


def run(*arguments: str) -> int:
    """The exit status of a command that fails before it deploys or reads anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
    return int(str(left.value.code))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "Nothing is selected. Give BATCH|KEY, --failed, --prefix, --republish or --rejects."),
        (["replay", "--since", "7d"], "Nothing is selected."),
        (["replay", BATCH, "--failed"], "--failed can't be combined with BATCH|KEY."),
        (["replay", BATCH, "--republish", "--prefix", "incoming/"], "--prefix can't be combined with BATCH|KEY."),
        (["replay", BATCH, "--since", "7d"], "--since can't be combined with BATCH|KEY."),
        (["replay", BATCH, "--rejects", "x"], "--rejects can't be combined with BATCH|KEY."),
        (["replay", "--failed", "--republish"], "--republish can't be combined with --failed."),
        (["replay", "--rejects", "x", "--republish"], "--republish can't be combined with --rejects."),
        (["replay", "--rejects", "x", "--since", "7d"], "--since can't be combined with --rejects."),
        (["replay", "--failed", "--release", "x"], "--release requires --republish."),
        (["reconcile", "--prune", "--prefix", "incoming/"], "--prune can't be combined with --prefix."),
        (["smoke", "--name", "smoke-1a2b3c", "--destroy", "smoke-1a2b3c"], "--name can't be combined with --destroy."),
        (["status", "--target", "mars"], "TARGET must be one of aws, local, not mars."),
        (["validate", "x", "--target", "mars"], "TARGET must be one of aws, local, not mars."),
    ],
)
def test_a_meaningless_combination_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [BATCH],
        [BATCH, "--republish", "--release", "x"],
        ["--failed", "--prefix", "incoming/", "--since", "7d"],
        ["--prefix", "incoming/"],
        ["--republish", "--prefix", "incoming/", "--since", "7d"],
        ["--rejects", "rejects.jsonl", "--apply"],
    ],
)
def test_every_selection_for_a_replay_is_accepted(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def reached(_: str) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("pipeline.recover.commands.target", reached)
    assert run("replay", *arguments) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [one for one in cli.app.registered_commands if hasattr(one.callback, "combinations")]
)
def test_a_rule_names_parameters_that_the_command_has(command: object) -> None:
    callback = command.callback  # type: ignore[attr-defined]
    rule, parameters = callback.combinations, set(callback.__annotations__)
    named = {*rule.at_least_one, *rule.exclusive, *rule.needs, *rule.needs.values()}
    assert {*named, *(other for others in rule.exclusive.values() for other in others)} <= parameters
