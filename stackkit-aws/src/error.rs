//! `Error`: what an AWS call met, and the kind by which the engine decides what to do next.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use stackkit::error::{ErrorKind, ProviderError};

/// A call of an AWS service that failed.
///
/// The message names the IAM action of the call (`ec2:CreateVpc`), what the service said, its error code, and a way out
/// where there is a known one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    code: Option<String>,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error that no service sent.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), retry_after: None }
    }

    /// A request that can never succeed as it is.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Names the endpoint, where it is not the service's own.
    pub(crate) fn at(mut self, endpoint: Option<&str>) -> Self {
        if let Some(endpoint) = endpoint {
            self.message = format!("{} (at {endpoint})", self.message);
        }
        self
    }

    /// What to do next depends on this alone.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The service's own error code, such as `DependencyViolation`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether the service answered with this code.
    #[cfg(any(feature = "ec2", feature = "s3"))]
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code() == Some(code)
    }

    /// The same failure, judged differently by who knows the call.
    #[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same failure with something more to say.
    #[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
    #[must_use]
    pub(crate) fn because(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// A failure after something was made. Nothing may make it again, so no kind is left that would have the call
    /// repeated: the next run finishes what is there.
    #[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "secretsmanager", feature = "ssm"))]
    pub(crate) fn half_made(self) -> Self {
        match self.kind {
            ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome => {
                self.with_kind(ErrorKind::Conflict).because("it is made but not finished: the next `up` finishes it")
            }
            _ => self,
        }
    }

    /// A member that the service always sends was not in its answer.
    pub(crate) fn missing(operation: &str, member: &str) -> Self {
        Self::new(ErrorKind::UnknownOutcome, format!("{operation}: the answer has no `{member}`"))
    }
}

impl ProviderError for Error {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<stackkit::Error> for Error {
    fn from(error: stackkit::Error) -> Self {
        Self { kind: error.kind(), code: None, message: error.to_string(), retry_after: error.retry_after() }
    }
}

#[cfg(any(feature = "ec2", feature = "rds", feature = "s3", feature = "ssm"))]
impl From<aws_smithy_types::error::operation::BuildError> for Error {
    fn from(error: aws_smithy_types::error::operation::BuildError) -> Self {
        Self::invalid(format!("the request is incomplete: {error}"))
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let action = action(std::any::type_name::<E>());
        match &error {
            SdkError::ServiceError(answer) => {
                let raw = answer.raw();
                let code = answer.err().code().map(str::to_owned);
                let status = raw.status().as_u16();
                let kind = code.as_deref().and_then(kind_of_code).unwrap_or_else(|| kind_of_status(status));
                let said = answer.err().message().map(printable).filter(|text| !text.is_empty());
                let said = said.unwrap_or_else(|| format!("status {status} without a message ({})", chain(&error)));
                let mut message = format!("{action}: {said}");
                if let Some(code) = &code {
                    message.push_str(&format!(" ({})", printable(code)));
                }
                if let Some(hint) = code.as_deref().and_then(|code| hint(code, kind, &action)) {
                    message.push_str(&format!("; {hint}"));
                }
                let retry_after =
                    raw.headers().get("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
                Self { kind, code, message, retry_after }
            }
            SdkError::TimeoutError(_) => {
                Self::new(ErrorKind::UnknownOutcome, format!("{action}: the service did not answer in time"))
            }
            SdkError::ResponseError(_) => {
                Self::new(ErrorKind::UnknownOutcome, format!("{action}: the answer cannot be read ({})", chain(&error)))
            }
            SdkError::DispatchFailure(failure) => {
                let (kind, message) = undelivered(&error, failure.is_timeout());
                Self::new(kind, format!("{action}: {message}"))
            }
            other => Self::invalid(format!("{action}: the request cannot be made ({})", chain(other))),
        }
    }
}

/// Why a request got no answer: whether it can have had an effect, and what to do about it.
fn undelivered(error: &(dyn StdError + 'static), timed_out: bool) -> (ErrorKind, String) {
    let said = chain(error);
    if causes(error).any(|cause| cause.is::<aws_credential_types::provider::error::CredentialsError>()) {
        return (
            ErrorKind::Denied,
            format!(
                "no usable AWS credentials ({said}); set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                 or run `aws sso login`"
            ),
        );
    }
    let refused = causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| {
        use std::io::ErrorKind as Io;
        matches!(
            cause.kind(),
            Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable
        )
    });
    // Connecting precedes sending: what failed there had no effect. The connector tells it in its text alone.
    let unconnected = ["dns error", "tcp connect error", "connect timeout", "HTTP connect timeout", "(Connect)"];
    if refused || unconnected.iter().any(|text| said.contains(text)) {
        return (
            ErrorKind::Transient,
            format!("the endpoint cannot be reached ({said}); check the network, the region's name and `endpoint_url`"),
        );
    }
    let what = if timed_out { "the service did not answer in time" } else { "the connection broke" };
    (ErrorKind::UnknownOutcome, format!("{what} ({said})"))
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The messages of an error and its causes, the repetitions left out.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in causes(error).skip(1) {
        let text = printable(&cause.to_string());
        if !text.is_empty() && !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    if said.is_empty() { printable(&error.to_string()) } else { said.join(": ") }
}

/// Text from outside without what a terminal would obey.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().trim_end_matches('.').trim_end().to_owned()
}

/// `ec2:CreateVpc` from `aws_sdk_ec2::operation::create_vpc::CreateVpcError`, which is also the name of the IAM action
/// for nearly every operation.
fn action(type_name: &str) -> String {
    let service = type_name.strip_prefix("aws_sdk_").and_then(|rest| rest.split("::").next()).unwrap_or("aws");
    let operation = type_name.rsplit("::").next().unwrap_or(type_name);
    format!("{service}:{}", operation.strip_suffix("Error").unwrap_or(operation))
}

fn hint(code: &str, kind: ErrorKind, action: &str) -> Option<String> {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            Some("the credentials have expired: renew them, for instance with `aws sso login`".into())
        }
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "SignatureDoesNotMatch" => {
            Some("AWS does not accept these credentials: check AWS_PROFILE or the access key, and the clock".into())
        }
        "OptInRequired" => Some("the account has not enabled this region or service".into()),
        _ if kind == ErrorKind::Denied => Some(format!(
            "the credentials may not do this: allow them the action `{}`",
            action.replace("s3:HeadBucket", "s3:ListBucket")
        )),
        _ => None,
    }
}

/// The kind that an error code stands for, where the code says enough.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "EC2ThrottledException"
        | "PriorRequestNotComplete" => ErrorKind::Throttled,

        "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AuthFailure"
        | "AuthorizationError"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "NotAuthorized"
        | "OptInRequired"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException" => ErrorKind::Denied,

        "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "InvalidSubnet.Conflict"
        | "ResourceExistsException"
        | "RouteAlreadyExists"
        | "Resource.AlreadyAssociated"
        | "BucketNotEmpty" => ErrorKind::Conflict,

        // The thing is busy or still in use, nothing was done, and that passes.
        "DependencyViolation"
        | "IncorrectState"
        | "InvalidDBInstanceState"
        | "InvalidDBInstanceStateFault"
        | "InvalidDBSubnetGroupState"
        | "InvalidDBSubnetGroupStateFault"
        | "InvalidGroup.InUse"
        | "OperationAborted"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "Unavailable" => ErrorKind::Transient,

        // The service failed somewhere on the way.
        "InternalError" | "InternalFailure" | "InternalServerError" | "RequestTimeout" | "RequestTimeoutException" => {
            ErrorKind::UnknownOutcome
        }

        "NoSuchBucket"
        | "NoSuchEntity"
        | "NoSuchKey"
        | "NotFound"
        | "ResourceNotFoundException"
        | "ParameterNotFound"
        | "ParameterVersionNotFound"
        | "DBInstanceNotFound"
        | "Gateway.NotAttached" => ErrorKind::NotFound,
        _ if code.ends_with(".NotFound") || code.ends_with("NotFoundFault") => ErrorKind::NotFound,
        _ if code.ends_with(".Duplicate")
            || code.ends_with("AlreadyExists")
            || code.ends_with("AlreadyExistsFault") =>
        {
            ErrorKind::Conflict
        }
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled,
        503 => ErrorKind::Transient,
        500.. => ErrorKind::UnknownOutcome,
        _ => ErrorKind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_kinds() {
        for (code, kind) in [
            ("RequestLimitExceeded", Some(ErrorKind::Throttled)),
            ("SlowDown", Some(ErrorKind::Throttled)),
            ("UnauthorizedOperation", Some(ErrorKind::Denied)),
            ("InvalidVpcID.NotFound", Some(ErrorKind::NotFound)),
            ("DBSubnetGroupNotFoundFault", Some(ErrorKind::NotFound)),
            ("InvalidPermission.Duplicate", Some(ErrorKind::Conflict)),
            ("DBInstanceAlreadyExists", Some(ErrorKind::Conflict)),
            ("DependencyViolation", Some(ErrorKind::Transient)),
            ("InternalError", Some(ErrorKind::UnknownOutcome)),
            ("InvalidParameterValue", None),
        ] {
            assert_eq!(kind_of_code(code), kind, "{code}");
        }
        assert_eq!(kind_of_status(400), ErrorKind::Invalid);
        assert_eq!(kind_of_status(500), ErrorKind::UnknownOutcome);
    }

    #[test]
    fn the_action_comes_from_the_operation() {
        assert_eq!(action("aws_sdk_ec2::operation::create_vpc::CreateVpcError"), "ec2:CreateVpc");
        assert_eq!(action("something::Odd"), "aws:Odd");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(printable("a\u{1b}[31mb\n."), "a [31mb");
    }
}
