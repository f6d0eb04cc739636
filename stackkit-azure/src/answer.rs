//! `Answer`: what Key Vault made of a request, told apart, and what it said.

use std::time::Duration;

use azure_core::http::headers::RETRY_AFTER;
use serde::Deserialize;

/// The way out of having no credentials that Azure takes.
pub(crate) const SIGN_IN: &str = "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET";

/// What Key Vault made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// There are no credentials, or they are not valid.
    Credentials,
    /// The credentials may not do this.
    Denied,
    /// It is there, and may not be used now.
    Disabled,
    NotFound,
    /// The name is that of something deleted, which can be recovered.
    Recoverable,
    /// It is being deleted or recovered.
    Busy,
    Conflict,
    /// The request makes no sense to the service.
    Refused,
    Throttled,
    Unavailable,
    /// The request was never sent.
    Unreachable,
    /// Nobody knows what became of it.
    Failed,
}

/// [`Told`], and what was said.
pub(crate) struct Answer {
    pub(crate) told: Told,
    pub(crate) said: String,
    #[cfg_attr(
        not(feature = "secrets"),
        allow(dead_code, reason = "the engine retries calls of providers, not of keys")
    )]
    pub(crate) retry_after: Option<Duration>,
}

/// The body of an answer that is an error, as Key Vault sends it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Option<SaidMore>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SaidMore {
    code: Option<String>,
    message: Option<String>,
    #[serde(rename = "innererror", alias = "innerError")]
    inner: Option<Box<SaidMore>>,
}

impl SaidMore {
    /// The most precise code.
    fn precise(&self) -> Option<&str> {
        self.inner.as_deref().and_then(SaidMore::precise).or(self.code.as_deref())
    }
}

/// What the service or the way to it said.
pub(crate) fn told(error: &azure_core::Error) -> Answer {
    use azure_core::error::ErrorKind as Kind;
    let Kind::HttpResponse { status, raw_response, .. } = error.kind() else {
        let told = match error.kind() {
            Kind::Credential => Told::Credentials,
            Kind::Connection => Told::Unreachable,
            Kind::Other => Told::Refused,
            _ => Told::Failed,
        };
        return Answer { told, said: chain(error), retry_after: None };
    };
    let status = u16::from(*status);
    let body = raw_response.as_ref().map(|raw| raw.body().as_ref()).unwrap_or_default();
    let said: SaidMore = serde_json::from_slice::<Said>(body).unwrap_or_default().error.unwrap_or_default();
    let code = said.precise().unwrap_or_default();
    let message = said.message.as_deref().unwrap_or_default();
    let told = match (status, code) {
        (_, "ObjectIsDeletedButRecoverable") => Told::Recoverable,
        (_, "ObjectIsBeingDeleted" | "ObjectIsBeingRecovered") => Told::Busy,
        (_, "KeyDisabled" | "SecretDisabled") => Told::Disabled,
        (401, _) => Told::Credentials,
        (403, _) => Told::Denied,
        (404, _) => Told::NotFound,
        (409, _) => Told::Conflict,
        (429, _) => Told::Throttled,
        (503, _) => Told::Unavailable,
        (408 | 500.., _) => Told::Failed,
        _ => Told::Refused,
    };
    let message = printable(message.lines().next().unwrap_or_default());
    let message = if message.is_empty() { "the service gave no reason" } else { &message };
    let code = printable(code);
    let said = match code.is_empty() {
        true => format!("{message} (status {status})"),
        false => format!("{message} ({code}, status {status})"),
    };
    let retry_after = raw_response.as_ref().and_then(|raw| raw.headers().get_optional_str(&RETRY_AFTER));
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    Answer { told, said, retry_after }
}

/// The messages of an error and its causes, the repetitions left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let text = printable(&cause.to_string());
        if !text.is_empty() && !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}

/// Text from outside without what a terminal would obey.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    text.trim().trim_end_matches('.').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;
    use azure_core::http::{RawResponse, StatusCode};

    use super::*;

    fn answered(status: u16, body: &str) -> azure_core::Error {
        let status = StatusCode::from(status);
        let mut headers = Headers::new();
        headers.insert(RETRY_AFTER, "7");
        let raw = RawResponse::from_bytes(status, headers, body.as_bytes().to_vec());
        azure_core::error::ErrorKind::HttpResponse { status, error_code: None, raw_response: Some(Box::new(raw)) }
            .into_error()
    }

    #[test]
    fn the_innermost_code_says_what_was_met() {
        let inner = |code: &str, inner: &str| {
            format!(
                r#"{{"error":{{"code":"{code}","message":"Said.\r\nCaller: x","innererror":{{"code":"{inner}"}}}}}}"#
            )
        };
        for (status, body, expected) in [
            (403, inner("Forbidden", "KeyDisabled"), Told::Disabled),
            (403, inner("Forbidden", "SecretDisabled"), Told::Disabled),
            (403, inner("Forbidden", "ForbiddenByRbac"), Told::Denied),
            (409, inner("Conflict", "ObjectIsDeletedButRecoverable"), Told::Recoverable),
            (409, inner("Conflict", "ObjectIsBeingDeleted"), Told::Busy),
            (409, inner("Conflict", "Other"), Told::Conflict),
            (429, r#"{"error":{"code":"Throttled","message":"Slow."}}"#.to_owned(), Told::Throttled),
            (404, String::new(), Told::NotFound),
            (400, "<html>".to_owned(), Told::Refused),
            (500, String::new(), Told::Failed),
        ] {
            let answer = told(&answered(status, &body));
            assert_eq!((answer.told, answer.retry_after), (expected, Some(Duration::from_secs(7))), "{status} {body}");
        }
        let answer = told(&answered(403, &inner("Forbidden", "ForbiddenByRbac")));
        assert_eq!(answer.said, "Said (ForbiddenByRbac, status 403)");
        assert_eq!(told(&answered(404, "")).said, "the service gave no reason (status 404)");
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(printable("a\u{1b}[31mb\n."), "a [31mb");
    }
}
