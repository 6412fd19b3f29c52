"""The errors that Lambda and Step Functions name themselves, and what a person does about each.

How a function can die is named in Lambda's runtime interface
(github.com/aws/aws-lambda-runtime-interface-emulator, internal/lambda/fatalerror) and in its Python client
(awslambdaric); why a call was refused, in the API reference of Invoke. Step Functions puts `Lambda.` ahead of the
latter (step-functions/latest/dg/bp-lambda-serviceexception.html). An initialization that takes longer than ten seconds
is repeated within the call, so it ends as `Sandbox.Timedout` (lambda/latest/dg/lambda-runtime-environment.html).

docs/guides/recover.md has a section for each. The definition retries those of PASSING, and no others.
"""

_NOTHING_WRONG = "Nothing is wrong with the file. Run the batch again "

PASSING: dict[str, str] = {
    "States.Timeout": "Run the batch again. If it times out again, see whether the file is larger than any before.",
    "Sandbox.Timedout": (
        "Run the batch again. If it times out again, raise memory_mb of the function, which gives it more processor, "
        "or have the file sent as JSON Lines, which is cut."
    ),
    **dict.fromkeys(
        ("Runtime.ExitError", "Lambda.Unknown"),
        "Run the batch again. If the function dies again, raise its memory_mb and deploy; if it dies for every file "
        "since a deploy, go back to the release before it.",
    ),
    "Runtime.OutOfMemory": "Run the batch again. If the function dies again, raise its memory_mb and deploy.",
    **dict.fromkeys(
        ("Runtime.Unknown", "Runtime.InitError", "Sandbox.Failure"),
        "Run the batch again. If the function fails to start again, go back to the release before.",
    ),
    **dict.fromkeys(
        ("Extension.LaunchError", "Extension.InitError", "Extension.ExitError", "Extension.Crash"),
        "Run the batch again. If the extension fails again, remove or update the layer that somebody added to the "
        "function; a deploy removes it.",
    ),
    "Lambda.TooManyRequestsException": (
        _NOTHING_WRONG + "when fewer files are being processed, and ask AWS for more concurrent executions."
    ),
    **dict.fromkeys(
        ("Lambda.ServiceException", "Lambda.SdkClientException", "Lambda.ClientExecutionTimeoutException"),
        _NOTHING_WRONG + "when Lambda works.",
    ),
    "Lambda.AWSLambdaException": (
        "Run the batch again when Lambda works. If the cause says `not authorized`, deploy first: the state machine's "
        "role has been changed."
    ),
    **dict.fromkeys(
        (
            "Lambda.CodeArtifactUserPendingException",
            "Lambda.ResourceConflictException",
            "Lambda.ResourceNotReadyException",
        ),
        _NOTHING_WRONG + "in a few minutes, when the function is ready.",
    ),
    "Lambda.KMSAccessDeniedException": (
        "Run the batch again: a new permission on a key takes some minutes to hold. If it fails again, deploy, "
        "which gives the function's role its access back."
    ),
}
"""By error, the next step where a replay alone may help: the error may be gone with the next call."""

LASTING: dict[str, str] = {
    **dict.fromkeys(
        (
            "Runtime.ImportModuleError",
            "Runtime.HandlerNotFound",
            "Runtime.UserCodeSyntaxError",
            "Runtime.MalformedHandlerName",
            "Runtime.BuiltInModuleConflict",
            "Runtime.InvalidEntrypoint",
            "Runtime.InvalidWorkingDir",
        ),
        "The function's package is broken. Go back to the release before it, or correct it and deploy, "
        "and then run the batch again.",
    ),
    **dict.fromkeys(
        (
            "Lambda.CodeArtifactUserFailedException",
            "Lambda.CodeArtifactUserDeletedException",
            "Lambda.InvalidZipFileException",
            "Lambda.InvalidRuntimeException",
            "Lambda.ResourceNotFoundException",
        ),
        "Lambda can't load this version of the function. Have Terraform make the function again, as the runbook says, "
        "and then run the batch again.",
    ),
    **dict.fromkeys(
        (
            "Lambda.KMSDisabledException",
            "Lambda.KMSInvalidStateException",
            "Lambda.KMSNotFoundException",
        ),
        "Enable the key that encrypts the function's settings, or cancel its deletion, and then run the batch again.",
    ),
    "ExecutionAborted": "Find out who stopped the execution. If it was a mistake, run the batch again.",
}
"""By error, the next step where the same call fails in the same way until somebody has changed something."""

_LAMBDA_REFUSED = (
    "The function isn't configured as Terraform made it. Deploy again, which puts that right, "
    "and then run the batch again."
)


def next_step_of_aws(error: str) -> str | None:
    """What a person does about an error that AWS names; None where the name isn't one of AWS's."""
    known = PASSING.get(error) or LASTING.get(error)
    return known or (_LAMBDA_REFUSED if error.startswith("Lambda.") else None)
