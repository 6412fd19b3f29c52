"""All checks, and how they are run: each by itself, so that one that fails leaves the others their say."""

import time
from collections.abc import Iterator, Sequence

from botocore.exceptions import ClientError

from pipeline.smoke import alarms, athena, files, permissions, recovery, states, updates
from pipeline.smoke.model import Check, CheckOutcome, Result
from pipeline.smoke.trial import Trial

CHECKS: Sequence[Check] = (
    *recovery.FIRST,
    *updates.CHECKS,
    *files.CHECKS,
    *alarms.CHECKS,
    *permissions.CHECKS,
    *states.CHECKS,
    *athena.CHECKS,
    *recovery.CHECKS,
)

NOT_TRIED = {
    "e-mail": "nobody is subscribed; see that the subscriptions are confirmed, and that a mail arrives",
    "the schedule": "it would take an hour; the reconciler is invoked instead",
    "budgets": "AWS calculates costs some times a day",
    "retention": "lifecycle rules take a day or more",
    "throttling": "it takes the account's whole concurrency, which other functions share",
    "an execution's timeout": "it takes six hours",
    "a lost S3 event": "S3 can't be made to lose one",
    "the region's failure": "nobody can try that",
}
"""What a smoke test can't try, and why."""


def run_checks(trial: Trial, checks: Sequence[Check] = CHECKS) -> Iterator[Result]:
    """What comes of each check, as it comes."""
    for check in checks:
        yield run_check(trial, check)


def run_check(trial: Trial, check: Check) -> Result:
    """What comes of one check; whatever it raises is its failure, but for an interrupt."""
    if trial.place.name == "local" and check.not_local:
        return Result(check.name, CheckOutcome.OMITTED, f"the embedded AWS {check.not_local}")
    started = time.monotonic()
    try:
        outcome, detail = CheckOutcome.OK, check.run(trial)
    except Exception as exc:
        is_said = isinstance(exc, ClientError) or type(exc).__module__.startswith("pipeline.")
        outcome, detail = CheckOutcome.FAILED, str(exc) if is_said else f"{type(exc).__name__}: {exc}"
    return Result(check.name, outcome, detail, round(time.monotonic() - started, 1))
