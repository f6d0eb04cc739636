//! `SignedCert`: a certificate that an authority of one's own signs.

use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair, PublicKeyData as _};
use stackkit_macros::resource;

use super::Local;
use super::certificate::{self, DUE, Issued, KeyPurpose, Validity};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed, Problem};
use crate::secret::Secret;

/// A certificate that an authority of one's own signs, made of a [`CertRequest`](super::CertRequest).
///
/// When its end comes near, a refresh reports its `renewal` as `due`; that shows as a change, and the next `up` issues
/// a new certificate. A new certificate of the authority has it issued anew, too.
#[resource("local:SignedCert", pure)]
#[derive(PartialEq)]
pub struct SignedCert {
    /// The request in PEM. Its names are taken over; what it asks for beyond them is not.
    pub request_pem: String,
    /// The authority's private key in PEM.
    pub ca_private_key_pem: Secret<String>,
    /// The authority's certificate in PEM.
    pub ca_certificate_pem: String,
    /// Whether it is the certificate of an authority itself, which signs others.
    #[resource(default = false)]
    pub is_ca: bool,
    /// What its key may be used for; of no meaning for an authority.
    #[resource(default = [KeyPurpose::ServerAuth, KeyPurpose::ClientAuth])]
    pub purposes: Vec<KeyPurpose>,
    /// For how many days it is valid.
    #[resource(default = 365)]
    pub valid_days: u32,
    /// How many days before its end it is renewed.
    #[resource(default = 30)]
    pub renew_before_days: u32,
    /// Any text: a change of it has a new certificate issued at once. A refresh reports `due` when the end is near.
    #[resource(default = "current")]
    pub renewal: String,
    /// The certificate in PEM.
    #[resource(output, volatile)]
    pub certificate_pem: String,
    /// SHA-256 of the certificate's DER, in hexadecimal.
    #[resource(output, volatile)]
    pub fingerprint: String,
    /// The serial number in hexadecimal.
    #[resource(output, volatile)]
    pub serial_number: String,
    /// From when on it is valid, as in RFC 3339.
    #[resource(output, volatile)]
    pub not_before: String,
    /// Until when it is valid, as in RFC 3339.
    #[resource(output, volatile)]
    pub not_after: String,
}

impl SignedCertArgs {
    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, Error> {
        let key = certificate::key_pair(&self.ca_private_key_pem, "ca_private_key_pem")?;
        let unreadable = || Error::invalid("`ca_certificate_pem` holds no certificate that can be read: expected PEM");
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(self.ca_certificate_pem.as_bytes()).map_err(|_| unreadable())?;
        let parsed = pem.parse_x509().map_err(|_| unreadable())?;
        if !parsed.is_ca() {
            return Err(Error::invalid(
                "`ca_certificate_pem` is not the certificate of an authority: have it made with `is_ca(true)`",
            ));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(Error::invalid(
                "`ca_private_key_pem` is not the key of `ca_certificate_pem`: give the two that belong together",
            ));
        }
        Issuer::from_ca_cert_pem(&self.ca_certificate_pem, key)
            .map_err(|e| Error::invalid(format!("`ca_certificate_pem` cannot sign: {e}")))
    }

    fn issue(&self, local: &Local) -> Result<SignedCertState, Error> {
        let issuer = self.issuer()?;
        let request = CertificateSigningRequestParams::from_pem(&self.request_pem)
            .map_err(|e| Error::invalid(format!("`request_pem` is no request for a certificate: {e}")))?;
        let sign = |params: &rcgen::CertificateParams| params.signed_by(&request.public_key, &issuer);
        let params = request.params.clone();
        let Issued { certificate_pem, fingerprint, serial_number, not_before, not_after } =
            certificate::issue(params, local.now(), self.valid_days, self.is_ca, &self.purposes, sign)?;
        let args = self.clone();
        Ok(SignedCertState { args, certificate_pem, fingerprint, serial_number, not_before, not_after })
    }
}

impl Managed for SignedCert {
    type Provider = Local;

    async fn create(local: &Local, cx: &Context, args: &SignedCertArgs) -> Result<Created<Self>, Error> {
        Ok(Created::new(cx.token(), args.issue(local)?))
    }

    async fn read(
        local: &Local,
        _: &Context,
        _: &str,
        prior: Option<&SignedCertState>,
    ) -> Result<Option<SignedCertState>, Error> {
        let mut state = prior.ok_or_else(|| certificate::not_importable("a signed certificate"))?.clone();
        if certificate::is_due(&state.not_after, state.renew_before_days, local.now()) {
            state.renewal = DUE.into();
        }
        Ok(Some(state))
    }

    async fn update(
        local: &Local,
        _: &Context,
        _: &str,
        prior: &SignedCertState,
        args: &SignedCertArgs,
    ) -> Result<SignedCertState, Error> {
        let renew_before_days = args.renew_before_days;
        let same = *args == SignedCertArgs { renew_before_days, ..prior.args.clone() };
        if same && !certificate::is_due(&prior.not_after, renew_before_days, local.now()) {
            return Ok(SignedCertState { args: args.clone(), ..prior.clone() });
        }
        args.issue(local)
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &SignedCertState) -> Result<(), Error> {
        Ok(())
    }

    fn validate(args: &SignedCertArgs) -> Vec<Problem> {
        let SignedCertArgs { valid_days, renew_before_days, renewal, .. } = args;
        Validity { valid_days: *valid_days, renew_before_days: *renew_before_days, renewal }.problems()
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::GeneralName;

    use super::*;
    use crate::local::testing::{args, context};
    use crate::local::{CertRequest, SelfSignedCert, TlsPrivateKey};

    struct Authority {
        key: Secret<String>,
        certificate: String,
    }

    async fn key() -> Secret<String> {
        let cx = context(".".as_ref());
        let made = TlsPrivateKey::create(&Local::new(), &cx, &args(TlsPrivateKey::new())).await.unwrap();
        made.state.private_key_pem
    }

    async fn authority() -> Authority {
        let (key, cx) = (key().await, context(".".as_ref()));
        let wanted = args(SelfSignedCert::new(&key, "Example CA").is_ca(true));
        let made = SelfSignedCert::create(&Local::new(), &cx, &wanted).await.unwrap();
        Authority { key, certificate: made.state.certificate_pem }
    }

    async fn request() -> String {
        let draft = CertRequest::new(&key().await, "www.example.org").dns_names(["www.example.org"]);
        let wanted = args(draft.ip_addresses(["127.0.0.1"]));
        let cx = context(".".as_ref());
        CertRequest::create(&Local::new(), &cx, &wanted).await.unwrap().state.request_pem
    }

    #[tokio::test]
    async fn the_authority_signs_what_the_request_names() {
        let (authority, request, cx) = (authority().await, request().await, context(".".as_ref()));
        let wanted = args(SignedCert::new(&request, &authority.key, &authority.certificate));
        let state = SignedCert::create(&Local::new(), &cx, &wanted).await.unwrap().state;
        let (_, ca_pem) = x509_parser::pem::parse_x509_pem(authority.certificate.as_bytes()).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(state.certificate_pem.as_bytes()).unwrap();
        let (ca, cert) = (ca_pem.parse_x509().unwrap(), pem.parse_x509().unwrap());
        cert.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(cert.issuer(), ca.subject());
        let names = cert.subject_alternative_name().unwrap().unwrap();
        let expected = [GeneralName::DNSName("www.example.org"), GeneralName::IPAddress(&[127, 0, 0, 1])];
        assert_eq!(names.value.general_names, expected);
        assert!(cert.extended_key_usage().unwrap().unwrap().value.server_auth);

        // The same inputs keep the certificate, another text of `renewal` has a new one issued.
        let kept = SignedCert::update(&Local::new(), &cx, "id", &state, &wanted).await.unwrap();
        assert_eq!(kept.fingerprint, state.fingerprint);
        let again = args(SignedCert::new(&request, &authority.key, &authority.certificate).renewal("leaked"));
        let renewed = SignedCert::update(&Local::new(), &cx, "id", &state, &again).await.unwrap();
        assert_ne!(renewed.fingerprint, state.fingerprint);
    }

    #[tokio::test]
    async fn what_does_not_belong_together_is_refused() {
        let (authority, request, cx) = (authority().await, request().await, context(".".as_ref()));
        let stranger = key().await;
        let error = async |draft: SignedCert| {
            SignedCert::create(&Local::new(), &cx, &args(draft)).await.unwrap_err().message().to_owned()
        };
        let message = error(SignedCert::new(&request, &stranger, &authority.certificate)).await;
        assert!(message.contains("is not the key of `ca_certificate_pem`"), "{message}");
        let message = error(SignedCert::new("x", &authority.key, &authority.certificate)).await;
        assert!(message.starts_with("`request_pem` is no request"), "{message}");
        let leaf = SignedCert::new(&request, &authority.key, &authority.certificate);
        let leaf = SignedCert::create(&Local::new(), &cx, &args(leaf)).await.unwrap().state.certificate_pem;
        let message = error(SignedCert::new(&request, &authority.key, &leaf)).await;
        assert!(message.contains("is not the certificate of an authority"), "{message}");
    }
}
