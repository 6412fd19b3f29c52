"""The error names of Lambda and Step Functions, with the next step for each.

Sources: Lambda's runtime interface (github.com/aws/aws-lambda-runtime-interface-emulator, internal/lambda/fatalerror)
and its Python client (awslambdaric) name the ways in which a function ends abnormally. The API reference of Invoke
names the reasons why a call is refused; Step Functions prefixes them with `Lambda.`
(step-functions/latest/dg/bp-lambda-serviceexception.html). If initialization takes longer than ten seconds, Lambda
repeats it within the call, which then ends as `Sandbox.Timedout` (lambda/latest/dg/lambda-runtime-environment.html).

docs/guides/recover.md has a section for each error. The state machine retries only the errors in PASSING.
"""

_NOTHING_WRONG = "Nothing is wrong with the file. Run the batch again "

PASSING: dict[str, str] = {
    "States.Timeout": "Run the batch again. If it times out again, check whether the file is larger than usual.",
    "Sandbox.Timedout": (
        "Run the batch again. If it times out again, raise the function's memory_mb, which also gives it more CPU. "
        "Or ask the producer for JSON Lines, which are split into chunks."
    ),
    **dict.fromkeys(
        ("Runtime.ExitError", "Lambda.Unknown"),
        "Run the batch again. If the function exits again, raise its memory_mb and deploy. If it exits for every file "
        "since a deployment, roll back to the previous release.",
    ),
    "Runtime.OutOfMemory": "Run the batch again. If memory runs out again, raise the function's memory_mb and deploy.",
    **dict.fromkeys(
        ("Runtime.Unknown", "Runtime.InitError", "Sandbox.Failure"),
        "Run the batch again. If the function fails to start again, roll back to the previous release.",
    ),
    **dict.fromkeys(
        ("Extension.LaunchError", "Extension.InitError", "Extension.ExitError", "Extension.Crash"),
        "Run the batch again. If the extension fails again, remove or update the layer that was added to the function "
        "outside Terraform. A deployment removes it.",
    ),
    "Lambda.TooManyRequestsException": (
        _NOTHING_WRONG + "when fewer files are being processed, and request a higher Lambda concurrency quota from AWS."
    ),
    **dict.fromkeys(
        ("Lambda.ServiceException", "Lambda.SdkClientException", "Lambda.ClientExecutionTimeoutException"),
        _NOTHING_WRONG + "when Lambda is available.",
    ),
    "Lambda.AWSLambdaException": (
        "Run the batch again when Lambda is available. If the cause contains `not authorized`, deploy first to restore "
        "the state machine's role."
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
        "Run the batch again: a new key permission takes a few minutes to take effect. If it fails again, deploy to "
        "restore the access of the function's role."
    ),
}
"""The next step by error name, for errors that may not recur, so a replay alone may help."""

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
        "The function's package is broken. Roll back to the previous release, or fix the package and deploy. "
        "Then run the batch again.",
    ),
    **dict.fromkeys(
        (
            "Lambda.CodeArtifactUserFailedException",
            "Lambda.CodeArtifactUserDeletedException",
            "Lambda.InvalidZipFileException",
            "Lambda.InvalidRuntimeException",
            "Lambda.ResourceNotFoundException",
        ),
        "Lambda can't load this version of the function. Recreate the function with Terraform as described in "
        "docs/guides/recover.md. Then run the batch again.",
    ),
    **dict.fromkeys(
        (
            "Lambda.KMSDisabledException",
            "Lambda.KMSInvalidStateException",
            "Lambda.KMSNotFoundException",
        ),
        "Enable the key that encrypts the function's environment variables, or cancel its deletion. Then run the batch "
        "again.",
    ),
    "ExecutionAborted": "Find out who stopped the execution. If it was a mistake, run the batch again.",
}
"""The next step by error name, for errors that recur until someone changes something."""

_LAMBDA_REFUSED = (
    "The function's configuration differs from what Terraform created. Deploy again to restore it, and then run the "
    "batch again."
)


def next_step_of_aws(error: str) -> str | None:
    """Return the next step for an AWS error, or None if AWS has no error of this name."""
    known = PASSING.get(error) or LASTING.get(error)
    return known or (_LAMBDA_REFUSED if error.startswith("Lambda.") else None)
