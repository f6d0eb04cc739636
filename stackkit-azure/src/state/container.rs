//! Whether a container is fit to hold states, and making one that is.

use http::Method;
use object_store::PutMode;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Lack, fit};

use super::client::Client;

/// A blob that tells whether old versions are kept. No stack's name begins with a `.`.
const PROBE: &str = "locks/.versions";

/// What the place must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Versioning,
    PrivateAccess,
}

impl Need {
    pub(super) const ALL: [Self; 2] = [Self::Versioning, Self::PrivateAccess];

    /// Its name, as the option `accept` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Versioning => "versioning",
            Self::PrivateAccess => "private-access",
        }
    }

    /// What is wrong without it, and the command that puts it right.
    fn remedy(self, account: &str, container: &str) -> String {
        match self {
            Self::Versioning => format!(
                "its account keeps no old versions: `az storage account blob-service-properties update --account-name {account} --enable-versioning true`"
            ),
            Self::PrivateAccess => format!(
                "it is open to the public: `az storage container set-permission --account-name {account} --name {container} --public-access off`"
            ),
        }
    }
}

/// That the container is fit; makes it where it is not there and the URL says so.
pub(super) async fn prepare(client: &Client) -> Result<(), BackendError> {
    let options = client.options();
    let mut lacks = Vec::new();
    let accepts = |need| options.accept.contains(&need);
    if options.create || !accepts(Need::PrivateAccess) {
        let is_open = match client.container(Method::GET).await? {
            Some(headers) => headers.contains_key("x-ms-blob-public-access"),
            None if options.create => {
                // A container is closed where nothing else is asked for.
                client.container(Method::PUT).await?.map(drop).ok_or_else(|| client.no_container())?;
                false
            }
            None => return Err(client.no_container()),
        };
        if is_open && !accepts(Need::PrivateAccess) {
            lacks.push(Need::PrivateAccess);
        }
    }
    if !accepts(Need::Versioning) {
        let kept = client.write(PROBE, PutMode::Overwrite, b"", "probe").await;
        let kept = kept.map_err(|error| client.error("write", error))?;
        client.remove(&[PROBE.to_owned()]).await?;
        if kept.version.is_none() {
            lacks.push(Need::Versioning);
        }
    }
    let lacks: Vec<_> = lacks
        .into_iter()
        .map(|need| Lack { name: need.name(), remedy: need.remedy(&options.account, &options.container) })
        .collect();
    fit(&format!("the container `{}` of `{}`", options.container, options.account), &lacks)
}
