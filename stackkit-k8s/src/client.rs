//! Requests to one API server: their URLs, their deadlines, and what their answers mean.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value as Wire;

use crate::error::{Error, Reason, classify};
use crate::kind::Kind;

/// A connection to one API server.
pub(crate) struct Api {
    pub(crate) client: kube::Client,
    pub(crate) endpoint: String,
    pub(crate) timeout: Duration,
}

/// One request.
pub(crate) struct Call<'a> {
    /// What it is for, in the words of messages: `create ConfigMap a/b`.
    pub(crate) action: &'a str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

/// An answer that is a success.
pub(crate) struct Answered {
    pub(crate) body: Wire,
    /// When it was given by the server's clock, as HTTP writes it.
    #[cfg_attr(not(feature = "state"), allow(dead_code, reason = "locks alone ask for it"))]
    pub(crate) date: Option<String>,
}

/// Media type of a server-side apply.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
/// Media type of everything else.
pub(crate) const JSON: &str = "application/json";

impl Api {
    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// Every answer that is not a success, classified, and every way of getting none.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Wire, Error> {
        Ok(self.answer(call, JSON).await?.body)
    }

    /// [`Self::call`] for an answer of this media type, with the moment at which it was given.
    pub(crate) async fn answer(&self, call: Call<'_>, accept: &'static str) -> Result<Answered, Error> {
        let writes = call.method != Method::GET;
        let no_answer = |reason: String| Error::NoAnswer {
            action: call.action.to_owned(),
            endpoint: self.endpoint.clone(),
            reason,
            writes,
        };
        let mut request = Request::builder().method(call.method.clone()).uri(&call.path).header(header::ACCEPT, accept);
        let body = match call.body {
            Some((media, body)) => {
                request = request.header(header::CONTENT_TYPE, media);
                body
            }
            None => Vec::new(),
        };
        let request = request
            .body(kube::client::Body::from(body))
            .map_err(|error| Error::Settings(format!("{}: {error}", call.action)))?;
        let exchange = async {
            let response =
                self.client.send(request).await.map_err(|error| self.not_sent(call.action, writes, &error))?;
            let code = response.status().as_u16();
            let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let bytes = response.into_body().collect().await.map_err(|error| no_answer(chain(&error)))?.to_bytes();
            Ok::<_, Error>((code, wait, date, bytes))
        };
        let (code, wait, date, bytes) = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result?,
            Err(_) => return Err(no_answer(format!("none within {} s", self.timeout.as_secs()))),
        };
        if !(200..300).contains(&code) {
            let answer = classify(code, &bytes, wait, writes);
            return Err(Error::Refused { action: call.action.to_owned(), answer: Box::new(answer) });
        }
        let body = serde_json::from_slice(&bytes);
        let body = body.map_err(|error| no_answer(format!("the answer is not JSON: {error}")))?;
        Ok(Answered { body, date })
    }

    /// Reads one object; none where it is not there.
    pub(crate) async fn get(&self, action: &str, path: String) -> Result<Option<Wire>, Error> {
        match self.call(Call { action, method: Method::GET, path, body: None }).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Refused { answer, .. }) if answer.reason == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn not_sent(&self, action: &str, writes: bool, error: &kube::Error) -> Error {
        let reason = chain(error);
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            if inner.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|e| e.is_connect()) {
                return Error::Unreachable { endpoint: self.endpoint.clone(), reason };
            }
            cause = inner.source();
        }
        if let kube::Error::Auth(_) = error {
            return Error::Settings(format!(
                "the credentials of the kubeconfig for {} cannot be used: {reason}",
                self.endpoint
            ));
        }
        Error::NoAnswer { action: action.to_owned(), endpoint: self.endpoint.clone(), reason, writes }
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text.trim_start_matches("ServiceError: ").trim_start_matches("HyperError: ").to_owned()
}

impl Kind {
    /// Path of the objects of this kind in a namespace, or in all.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) if self.namespaced => format!("{base}/namespaces/{}/{}", escape(namespace), self.plural),
            _ => format!("{base}/{}", self.plural),
        }
    }

    /// Path of one object.
    pub(crate) fn path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), escape(name))
    }
}

/// Escapes a segment of a path, or a value of a query. Names that the API server takes need none of it; a name that it
/// would refuse must not reach another path.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b':' => out.push(char::from(byte)),
            b'.' if text != "." && text != ".." => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place_in_a_path() {
        assert_eq!(escape("a.b-c"), "a.b-c");
        assert_eq!(escape("../x"), "..%2Fx");
        assert_eq!(escape(".."), "%2E%2E");
        assert_eq!(escape("a?b=c&d"), "a%3Fb%3Dc%26d");
    }
}
