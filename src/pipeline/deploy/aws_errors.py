"""Explains what to do when AWS or the local emulator rejects a call or can't be reached."""

import os

from botocore import exceptions as botocore
from botocore.exceptions import ClientError

from functions.common.s3_utils import is_transient
from pipeline import ROOT
from pipeline.emulator import server as emulator
from pipeline.errors import CliError

DEMO = "demo"
"""The name of the target of `make demo`, whose emulator runs for one command only."""

AGAIN = "Run the same command again."
_LOG_IN = "Log in (aws sso login) or set a profile (AWS_PROFILE=… or AWS_VAULT_PROFILE=…), then run the command again."
_NOT_FOUND = {
    "aws": "The resource was deleted, or the credentials belong to another account (check with aws sts "
    "get-caller-identity). Set the profile of the right account (AWS_PROFILE=…), or run make deploy-infra.",
    "local": "The local emulator has no such resource. Deploy (make deploy-infra TARGET=local), then run the command "
    "again.",
    DEMO: AGAIN,
}
_FAULT = {
    "aws": "AWS had an internal error. Wait a minute, then run the command again. If the error persists, see "
    "https://health.aws.amazon.com/health/status.",
    "local": "The local emulator had an internal error. See its log ({log}), then run the command again. If the error "
    "persists, start a new, empty emulator: make local-down, make local-up, make deploy-infra TARGET=local.",
    DEMO: f"The local emulator had an internal error. {AGAIN} If the error persists, report the line above.",
}

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and the common errors of each service's API
_ADVICE_BY_CODES = {
    "ExpiredToken ExpiredTokenException TokenRefreshRequired InvalidToken InvalidClientTokenId AuthFailure NotSignedUp "
    "UnrecognizedClientException InvalidAccessKeyId MissingAuthenticationToken MissingAuthenticationTokenException "
    "IncompleteSignature OptInRequired": f"AWS did not accept the credentials. {_LOG_IN}",
    "SignatureDoesNotMatch InvalidSignatureException RequestTimeTooSkewed RequestExpired": (
        "Check the clock of this machine and the secret access key, then run the command again."
    ),
    "AccessDenied AccessDeniedException UnauthorizedOperation AuthorizationError Forbidden 403 NotAuthorized "
    "KMSAccessDeniedException KMS.AccessDeniedException KmsAccessDeniedException": (
        "The credentials are valid but don't allow {operation} on this resource. Get the permission, or set another "
        "profile (AWS_PROFILE=…). Then run the command again."
    ),
    "PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed 301 307 IllegalLocationConstraintException "
    "IncorrectEndpoint": "The resource is in another region. Set it (AWS_REGION=…), then run the command again.",
    "Throttling ThrottlingException ThrottledException TooManyRequestsException SlowDown RequestLimitExceeded 429 "
    "RequestThrottled RequestThrottledException KMSThrottling KmsThrottlingException KMSThrottlingException "
    "BandwidthLimitExceeded": "AWS throttled the call. Wait a minute, then run the command again.",
}
_ADVICE = {code: advice for codes, advice in _ADVICE_BY_CODES.items() for code in codes.split()}
_NOT_FOUND_CODES = (
    "NoSuchBucket NoSuchKey NoSuchVersion 404 NotFound ResourceNotFoundException StateMachineDoesNotExist "
    "ExecutionDoesNotExist NotFoundException AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist "
    "EntityNotFoundException"
)
_NO_CREDENTIALS = (
    *(botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.CredentialRetrievalError),
    *(botocore.ProfileNotFound, botocore.SSOError, botocore.TokenRetrievalError, botocore.NoAuthTokenError),
    *(botocore.LoginError, botocore.RefreshWithMFAUnsupportedError),
)
_NO_REGION = (
    *(botocore.NoRegionError, botocore.InvalidRegionError, botocore.UnknownRegionError, botocore.UnknownEndpointError),
    *(botocore.ServiceNotInRegionError, botocore.EndpointProviderError),
)
_UNREACHABLE = (botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError)


def of_aws(error: BaseException, place: str) -> CliError:
    """Return the error of an AWS or network call with a next step for `place`: aws, local or DEMO."""
    if isinstance(error, ClientError):
        return CliError(str(error), _advice(error, place))
    if isinstance(error, _UNREACHABLE):
        return _unreachable_emulator(place) if place != "aws" else _unreachable_aws(error)
    if isinstance(error, _NO_CREDENTIALS):
        return CliError(f"AWS credentials are missing or unusable: {error}", _LOG_IN)
    if isinstance(error, _NO_REGION):
        return CliError(str(error), "Set the region (such as AWS_REGION=eu-central-1), then run the command again.")
    return CliError(str(error), f"{AGAIN} If the error persists, report it with the line above.")


def _advice(error: ClientError, place: str) -> str:
    code = error.response.get("Error", {}).get("Code", "")
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 429:
        code = "429"
    if code in _ADVICE:
        return _ADVICE[code].format(operation=error.operation_name)
    if code in _NOT_FOUND_CODES.split():
        return _NOT_FOUND[place]
    if is_transient(error):
        return _FAULT[place].format(log=(emulator.LOCAL / "server" / "server.log").relative_to(ROOT))
    return "Look up this error in the AWS documentation. If it persists when you run the command again, report it."


def _unreachable_emulator(place: str) -> CliError:
    if place == DEMO:
        return CliError("The local emulator of this command no longer responds.", AGAIN)
    return emulator.absence() or CliError(
        "The connection to the local emulator was interrupted, but the emulator responds again.", AGAIN
    )


def _unreachable_aws(error: BaseException) -> CliError:
    if isinstance(error, botocore.SSLError):
        advice = "Set AWS_CA_BUNDLE to the certificates that your network or proxy uses, then run the command again."
        return CliError(str(error), advice)
    if isinstance(error, botocore.ProxyConnectionError):
        return CliError(str(error), "Check the proxy in HTTPS_PROXY, then run the command again.")
    advice = "Check the network, its proxy (HTTPS_PROXY) and the region (AWS_REGION), then run the command again."
    for name in sorted(os.environ):
        if name.startswith("AWS_ENDPOINT_URL"):
            advice = f"Check the address in {name}, or unset it to use the default. Then run the command again."
            break
    return CliError(f"AWS can't be reached: {error}", advice)
