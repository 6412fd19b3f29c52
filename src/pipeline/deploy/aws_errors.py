"""What to do when AWS, or the local emulator, refuses a call or can't be reached: by the kind of failure."""

import os
from typing import Any

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from functions.common.s3_utils import is_transient
from pipeline import ROOT
from pipeline.emulator import server as embedded
from pipeline.errors import CliError

DEMO = "demo"
"""What stands for the target where the emulator was started for one command alone."""

LOG_IN = "Log in (aws sso login), or name a profile (AWS_PROFILE=… or AWS_VAULT_PROFILE=…), and run the same again."

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and the common errors of each service's API
_CREDENTIALS = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidClientTokenId"),
        *("UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure", "MissingAuthenticationToken"),
        *("MissingAuthenticationTokenException", "IncompleteSignature", "NotSignedUp", "OptInRequired"),
    }
)
_SIGNATURE = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"})
_DENIED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"),
        *("KMSAccessDeniedException", "KMS.AccessDeniedException", "KmsAccessDeniedException", "NotAuthorized"),
    }
)
_REGION = frozenset(
    {
        *("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "301", "307"),
        *("IllegalLocationConstraintException", "IncorrectEndpoint"),
    }
)
_THROTTLED = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "SlowDown"),
        *("RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "429"),
        *("KMSThrottling", "KmsThrottlingException", "KMSThrottlingException", "BandwidthLimitExceeded"),
    }
)
_NOT_THERE = frozenset(
    {
        *("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404", "NotFound", "ResourceNotFoundException"),
        *("StateMachineDoesNotExist", "ExecutionDoesNotExist", "NotFoundException"),
        *("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "EntityNotFoundException"),
    }
)
_LOGGED_OUT = (
    *(botocore.NoCredentialsError, botocore.PartialCredentialsError, botocore.CredentialRetrievalError),
    *(botocore.ProfileNotFound, botocore.SSOError, botocore.TokenRetrievalError, botocore.NoAuthTokenError),
    *(botocore.LoginError, botocore.RefreshWithMFAUnsupportedError),
)
_NO_REGION = (
    *(botocore.NoRegionError, botocore.InvalidRegionError, botocore.UnknownRegionError, botocore.UnknownEndpointError),
    *(botocore.ServiceNotInRegionError, botocore.EndpointProviderError),
)
_UNREACHED = (botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError)


def of_aws(error: BaseException, place: str) -> CliError:
    """What AWS or the network said, and what to do about it at `place`: aws, local or DEMO."""
    if isinstance(error, ClientError):
        return _refused(error, place)
    if isinstance(error, _UNREACHED):
        return _unreached(error, place)
    if isinstance(error, _LOGGED_OUT):
        return CliError(f"There are no usable credentials for AWS: {error}", LOG_IN)
    if isinstance(error, _NO_REGION):
        return CliError(str(error), "Name the region (AWS_REGION=eu-central-1, say), and run the same again.")
    return CliError(str(error), "Run the same again; if it stays so, report it with the line above.")


def _refused(error: ClientError, place: str) -> CliError:
    """The answer of a service that is no success."""
    code = error.response.get("Error", {}).get("Code", "")
    metadata: Any = error.response.get("ResponseMetadata", {})
    return CliError(str(error), _advice(code, metadata.get("HTTPStatusCode", 0), error, place))


def _advice(code: str, status: int, error: ClientError, place: str) -> str:
    if code in _CREDENTIALS:
        return f"AWS did not accept the credentials. {LOG_IN}"
    if code in _SIGNATURE:
        return (
            "Set this machine's clock, which AWS compares with its own; if it is right, check the secret access key. "
            "Then run the same again."
        )
    if code in _DENIED:
        return (
            f"The credentials are valid, but don't permit {error.operation_name} there: have it allowed, or name "
            "another profile (AWS_PROFILE=…), and run the same again."
        )
    if code in _REGION:
        return "It is in another region: name that (AWS_REGION=…), and run the same again."
    if code in _THROTTLED or status == 429:
        return "AWS limits how often this may be called, and nothing is wrong: run the same again in a minute."
    if code in _NOT_THERE:
        return _after_absence(place)
    if is_transient(error):
        return _after_fault(place)
    return "Look the error up under that name; if it stays so when you run the same again, report it."


def _after_absence(place: str) -> str:
    if place == "aws":
        return (
            "What the deployment had there was deleted, or the credentials are of another account (aws sts "
            "get-caller-identity says which): name its profile (AWS_PROFILE=…), or run make deploy-infra."
        )
    if place == DEMO:
        return "Run the same again."
    return "The local emulator doesn't have it: deploy again (make deploy-infra TARGET=local), and repeat."


def _after_fault(place: str) -> str:
    if place == "aws":
        return (
            "AWS has a fault, and nothing is wrong here: run the same again in a minute. If it stays so, see "
            "https://health.aws.amazon.com/health/status."
        )
    if place == DEMO:
        return "The local emulator had a fault. Run the same again; if it stays so, report the line above."
    log = (embedded.LOCAL / "server" / "server.log").relative_to(ROOT)
    return (
        f"The local emulator had a fault, which its log ({log}) may explain. Run the same again; if it stays so, start "
        "another one (make local-down, make local-up, make deploy-infra TARGET=local), which has nothing of this one."
    )


def _unreached(error: BotoCoreError | BaseException, place: str) -> CliError:
    """No answer, or half of one."""
    if place == DEMO:
        return CliError("The local emulator that was started for this does not answer any more.", "Run the same again.")
    if place == "local":
        return embedded.absence() or CliError(
            "The connection to the local emulator was interrupted, but it answers now.", "Run the same again."
        )
    if isinstance(error, botocore.SSLError):
        return CliError(
            str(error), "Let AWS_CA_BUNDLE name the certificates that your network or proxy uses, and run it again."
        )
    if isinstance(error, botocore.ProxyConnectionError):
        return CliError(str(error), "Check the proxy that HTTPS_PROXY names, and run the same again.")
    own = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))
    if own:
        return CliError(
            f"AWS can't be reached: {error}",
            f"Check the address that {own[0]} gives, or unset it to use AWS's own, and run the same again.",
        )
    return CliError(
        f"AWS can't be reached: {error}",
        "Check the network, its proxy (HTTPS_PROXY) and the region (AWS_REGION), and run the same again.",
    )
