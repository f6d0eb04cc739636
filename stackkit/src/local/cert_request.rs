//! `CertRequest`: a request for a certificate, to be signed by an authority.

use stackkit_macros::resource;

use super::Local;
use super::certificate::{self, Names};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed, Problem};
use crate::secret::Secret;

/// A request for a certificate (PKCS #10). A [`SignedCert`](super::SignedCert) answers it, or an authority elsewhere.
#[resource("local:CertRequest", pure)]
pub struct CertRequest {
    /// The private key in PEM. It is not part of the request.
    pub private_key_pem: Secret<String>,
    /// The name of its subject. It stands for the host too, where neither DNS names nor addresses are given.
    pub common_name: String,
    /// The organization of its subject.
    pub organization: Option<String>,
    /// The unit of the organization.
    pub organizational_unit: Option<String>,
    /// The country of its subject: two capital letters.
    pub country: Option<String>,
    /// The DNS names that it asks for.
    #[resource(default = Vec::<String>::new())]
    pub dns_names: Vec<String>,
    /// The IP addresses that it asks for.
    #[resource(default = Vec::<String>::new())]
    pub ip_addresses: Vec<String>,
    /// Whether the subject is an authority: then its common name stands for no host.
    #[resource(default = false)]
    pub is_ca: bool,
    /// The request in PEM.
    #[resource(output, volatile)]
    pub request_pem: String,
}

impl CertRequestArgs {
    fn names(&self) -> Names<'_> {
        Names {
            common_name: &self.common_name,
            organization: self.organization.as_deref(),
            organizational_unit: self.organizational_unit.as_deref(),
            country: self.country.as_deref(),
            dns_names: &self.dns_names,
            ip_addresses: &self.ip_addresses,
        }
    }

    fn make(&self) -> Result<CertRequestState, Error> {
        let key = certificate::key_pair(&self.private_key_pem, "private_key_pem")?;
        let request_pem = self
            .names()
            .params(!self.is_ca)?
            .serialize_request(&key)
            .and_then(|request| request.pem())
            .map_err(|e| Error::invalid(format!("the request cannot be made: {e}")))?;
        Ok(CertRequestState { args: self.clone(), request_pem })
    }
}

impl Managed for CertRequest {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &CertRequestArgs) -> Result<Created<Self>, Error> {
        Ok(Created::new(cx.token(), args.make()?))
    }

    async fn read(
        _: &Local,
        _: &Context,
        _: &str,
        prior: Option<&CertRequestState>,
    ) -> Result<Option<CertRequestState>, Error> {
        prior.cloned().map(Some).ok_or_else(|| certificate::not_importable("a request for a certificate"))
    }

    async fn update(
        _: &Local,
        _: &Context,
        _: &str,
        _: &CertRequestState,
        args: &CertRequestArgs,
    ) -> Result<CertRequestState, Error> {
        args.make()
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &CertRequestState) -> Result<(), Error> {
        Ok(())
    }

    fn validate(args: &CertRequestArgs) -> Vec<Problem> {
        args.names().problems()
    }
}
