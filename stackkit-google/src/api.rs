//! `Api`: one of Google's JSON APIs, with its requests and the checksums that guard what they carry.

use google_cloud_auth::credentials::Credentials;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use stackkit::error::ErrorKind;
use zeroize::Zeroizing;

use crate::Error;
use crate::session::{Answer, Session};

/// What `gcloud auth application-default login` grants; a narrower scope would shut out who logged in that way. What the
/// credentials may do is decided by IAM.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// CRC32C, as Google's APIs check payloads by it.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// The checksum of bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// A checksum in JSON: a 64-bit number there, so a text; some proxies make a number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Json")]
pub(crate) struct Checksum(i64);

impl TryFrom<Json> for Checksum {
    type Error = &'static str;

    fn try_from(value: Json) -> Result<Self, Self::Error> {
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        number.map(Self).ok_or("a checksum is a number")
    }
}

impl Checksum {
    /// Whether these bytes have it.
    pub(crate) fn fits(self, bytes: &[u8]) -> bool {
        self.0 == i64::from(crc32c(bytes))
    }
}

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    session: Session,
    service: Url,
}

/// Where to ask, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) endpoint: String,
    pub(crate) credentials: Credentials,
}

impl Api {
    /// Google's own service, or what is given in its place.
    pub(crate) fn open(service: &str, given: Option<&Given>) -> Result<Self, Error> {
        let (session, address) = match given {
            Some(given) => (Session::with(given.credentials.clone())?, given.endpoint.as_str()),
            None => (Session::open(SCOPE)?, service),
        };
        let unfit =
            |why: &str| Error::new(ErrorKind::Invalid, format!("the endpoint `{}` {why}", address.escape_debug()));
        let url = Url::parse(address).ok().filter(|url| !url.cannot_be_a_base());
        let url = url.ok_or_else(|| unfit("is no address"))?;
        let near = url.host_str().is_some_and(|host| {
            host == "localhost"
                || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        });
        match url.scheme() {
            "https" => {}
            "http" if near => {}
            _ => return Err(unfit("is not safe: a token would go over the network in plain text; use https")),
        }
        Ok(Self { session, service: url })
    }

    /// The address of a resource, whose parts are between `/`, or of a call on it, such as `NAME:encrypt`.
    fn address(&self, resource: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.service.clone();
        // It has a path: that was looked at when it was opened.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(resource.split('/'));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Reads a resource. An answer with a status that is `expected` is none.
    #[cfg(feature = "secrets")]
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        permission: &str,
        expected: &[u16],
        resource: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Error> {
        let url = self.address(resource, query);
        let answer = self.session.ask(permission, expected, || self.session.http().get(url.clone())).await?;
        read(permission, expected, answer)
    }

    /// Calls something that may be called twice, with a body.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        permission: &str,
        resource: &str,
        body: &Zeroizing<String>,
    ) -> Result<T, Error> {
        let url = self.address(resource, &[]);
        let request = || {
            let request = self.session.http().post(url.clone()).header("content-type", "application/json");
            request.body(body.as_bytes().to_vec())
        };
        let answer = self.session.ask(permission, &[], request).await?;
        read(permission, &[], answer)?.ok_or_else(|| Error::lacks(permission, "body"))
    }

    /// Changes something, once: the engine looks before it tries again.
    #[cfg(feature = "secrets")]
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        permission: &str,
        method: reqwest::Method,
        resource: &str,
        query: &[(&str, &str)],
        body: &Zeroizing<String>,
    ) -> Result<T, Error> {
        let request = self.session.http().request(method, self.address(resource, query));
        let request = request.header("content-type", "application/json").body(body.as_bytes().to_vec());
        let answer = self.session.send(permission, request).await?.checked(permission)?;
        read(permission, &[], answer)?.ok_or_else(|| Error::lacks(permission, "body"))
    }
}

fn read<T: DeserializeOwned>(permission: &str, expected: &[u16], answer: Answer) -> Result<Option<T>, Error> {
    // It may hold a secret.
    let (status, body) = (answer.status, Zeroizing::new(answer.body));
    if expected.contains(&status) {
        return Ok(None);
    }
    // The reader's own message may quote the body.
    serde_json::from_slice(&body).map(Some).map_err(|_| Error::lacks(permission, "body that can be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_crc32c() {
        // The check value of CRC-32C in the catalogue of CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let read = |text: &str| serde_json::from_str::<Checksum>(text).ok();
        assert!(read("\"3808858755\"").is_some_and(|sum| sum.fits(b"123456789") && !sum.fits(b"12345678")));
        assert_eq!(read("3808858755"), read("\"3808858755\""));
        assert_eq!(read("\"x\""), None);
    }
}
