//! `SelfSignedCert`: a certificate signed by its own key, for a test or for an authority of one's own.

use stackkit_macros::resource;

use super::Local;
use super::certificate::{self, DUE, Issued, KeyPurpose, Names, Validity};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed, Problem};
use crate::secret::Secret;

/// A certificate signed by its own key.
///
/// When its end comes near, a refresh reports its `renewal` as `due`; that shows as a change, and the next `up` issues
/// a new certificate with the same key.
#[resource("local:SelfSignedCert", pure)]
#[derive(PartialEq)]
pub struct SelfSignedCert {
    /// The private key in PEM, such as that of a [`TlsPrivateKey`](super::TlsPrivateKey).
    pub private_key_pem: Secret<String>,
    /// The name of its subject. It stands for the host too, where neither DNS names nor addresses are given.
    pub common_name: String,
    /// The organization of its subject.
    pub organization: Option<String>,
    /// The unit of the organization.
    pub organizational_unit: Option<String>,
    /// The country of its subject: two capital letters.
    pub country: Option<String>,
    /// The DNS names that it is valid for.
    #[resource(default = Vec::<String>::new())]
    pub dns_names: Vec<String>,
    /// The IP addresses that it is valid for.
    #[resource(default = Vec::<String>::new())]
    pub ip_addresses: Vec<String>,
    /// Whether it is the certificate of an authority, which signs others.
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

impl SelfSignedCertArgs {
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

    fn issue(&self, local: &Local) -> Result<SelfSignedCertState, Error> {
        let key = certificate::key_pair(&self.private_key_pem, "private_key_pem")?;
        let params = self.names().params(!self.is_ca)?;
        let sign = |params: &rcgen::CertificateParams| params.self_signed(&key);
        let Issued { certificate_pem, fingerprint, serial_number, not_before, not_after } =
            certificate::issue(params, local.now(), self.valid_days, self.is_ca, &self.purposes, sign)?;
        let args = self.clone();
        Ok(SelfSignedCertState { args, certificate_pem, fingerprint, serial_number, not_before, not_after })
    }
}

impl Managed for SelfSignedCert {
    type Provider = Local;

    async fn create(local: &Local, cx: &Context, args: &SelfSignedCertArgs) -> Result<Created<Self>, Error> {
        Ok(Created::new(cx.token(), args.issue(local)?))
    }

    async fn read(
        local: &Local,
        _: &Context,
        _: &str,
        prior: Option<&SelfSignedCertState>,
    ) -> Result<Option<SelfSignedCertState>, Error> {
        let mut state = prior.ok_or_else(|| certificate::not_importable("a self-signed certificate"))?.clone();
        if certificate::is_due(&state.not_after, state.renew_before_days, local.now()) {
            state.renewal = DUE.into();
        }
        Ok(Some(state))
    }

    async fn update(
        local: &Local,
        _: &Context,
        _: &str,
        prior: &SelfSignedCertState,
        args: &SelfSignedCertArgs,
    ) -> Result<SelfSignedCertState, Error> {
        let renew_before_days = args.renew_before_days;
        let same = *args == SelfSignedCertArgs { renew_before_days, ..prior.args.clone() };
        if same && !certificate::is_due(&prior.not_after, renew_before_days, local.now()) {
            return Ok(SelfSignedCertState { args: args.clone(), ..prior.clone() });
        }
        args.issue(local)
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &SelfSignedCertState) -> Result<(), Error> {
        Ok(())
    }

    fn validate(args: &SelfSignedCertArgs) -> Vec<Problem> {
        let SelfSignedCertArgs { valid_days, renew_before_days, renewal, .. } = args;
        let validity = Validity { valid_days: *valid_days, renew_before_days: *renew_before_days, renewal };
        [args.names().problems(), validity.problems()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::local::testing::{args, context};
    use crate::local::{KeyAlgorithm, TlsPrivateKey, TlsPrivateKeyState};

    fn day(n: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((20_000 + n) * 86_400)
    }

    async fn key() -> TlsPrivateKeyState {
        let cx = context(".".as_ref());
        TlsPrivateKey::create(&Local::new(), &cx, &args(TlsPrivateKey::new())).await.unwrap().state
    }

    #[tokio::test]
    async fn it_says_what_it_was_asked_to_say() {
        let key = key().await;
        let draft = SelfSignedCert::new(&key.private_key_pem, "Example CA").organization("Example").country("DE");
        let wanted = args(draft.is_ca(true).valid_days(10).renew_before_days(3));
        assert!(SelfSignedCert::validate(&wanted).is_empty());
        let local = Local::with_clock(|| day(0));
        let state = SelfSignedCert::create(&local, &context(".".as_ref()), &wanted).await.unwrap().state;
        assert_eq!((&*state.not_before, &*state.not_after), ("2024-10-04T00:00:00Z", "2024-10-14T00:00:00Z"));
        let (_, pem) = x509_parser::pem::parse_x509_pem(state.certificate_pem.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        assert!(cert.is_ca());
        assert_eq!(cert.subject().to_string(), "CN=Example CA, O=Example, C=DE");
        assert_eq!(cert.raw_serial_as_string().replace(':', ""), state.serial_number);
        cert.verify_signature(None).unwrap();
    }

    #[tokio::test]
    async fn the_common_name_stands_for_the_host_where_no_other_is_given() {
        let key = key().await;
        let wanted = args(SelfSignedCert::new(&key.private_key_pem, "localhost"));
        let state = SelfSignedCert::create(&Local::new(), &context(".".as_ref()), &wanted).await.unwrap().state;
        let (_, pem) = x509_parser::pem::parse_x509_pem(state.certificate_pem.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        let names = cert.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [x509_parser::extensions::GeneralName::DNSName("localhost")]);
        assert!(!cert.is_ca());
    }

    #[tokio::test]
    async fn every_kind_of_key_signs() {
        let (local, cx) = (Local::new(), context(".".as_ref()));
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
            let key = args(TlsPrivateKey::new().algorithm(algorithm));
            let key = TlsPrivateKey::create(&local, &cx, &key).await.unwrap().state;
            let wanted = args(SelfSignedCert::new(&key.private_key_pem, "localhost"));
            let state = SelfSignedCert::create(&local, &cx, &wanted).await.unwrap().state;
            let (_, pem) = x509_parser::pem::parse_x509_pem(state.certificate_pem.as_bytes()).unwrap();
            pem.parse_x509().unwrap().verify_signature(None).unwrap();
        }
    }

    #[tokio::test]
    async fn renewal_before_the_end_shows_as_a_change() {
        let (key, cx) = (key().await, context(".".as_ref()));
        let wanted = args(SelfSignedCert::new(&key.private_key_pem, "a").valid_days(10).renew_before_days(3));
        let made = SelfSignedCert::create(&Local::with_clock(|| day(0)), &cx, &wanted).await.unwrap();
        let read = async |clock| {
            let local = Local::with_clock(clock);
            SelfSignedCert::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap()
        };
        assert_eq!(read(|| day(6)).await.renewal, "current");
        let due = read(|| day(7)).await;
        assert_eq!((due.renewal.as_str(), &due.certificate_pem), ("due", &made.state.certificate_pem));

        let local = Local::with_clock(|| day(7));
        let renewed = SelfSignedCert::update(&local, &cx, &made.id, &due, &wanted).await.unwrap();
        assert_ne!(renewed.serial_number, made.state.serial_number);
        assert_eq!((&*renewed.not_after, &*renewed.renewal), ("2024-10-21T00:00:00Z", "current"));
        let read = SelfSignedCert::read(&local, &cx, &made.id, Some(&renewed)).await.unwrap().unwrap();
        assert_eq!(read.renewal, "current");
    }

    #[tokio::test]
    async fn another_margin_keeps_the_certificate_for_as_long_as_it_may() {
        let (key, cx) = (key().await, context(".".as_ref()));
        let with =
            |margin: u32| args(SelfSignedCert::new(&key.private_key_pem, "a").valid_days(10).renew_before_days(margin));
        let local = Local::with_clock(|| day(0));
        let made = SelfSignedCert::create(&local, &cx, &with(3)).await.unwrap();
        let local = Local::with_clock(|| day(2));
        let kept = SelfSignedCert::update(&local, &cx, &made.id, &made.state, &with(5)).await.unwrap();
        assert_eq!((&kept.serial_number, kept.renew_before_days), (&made.state.serial_number, 5));
        let renewed = SelfSignedCert::update(&local, &cx, &made.id, &made.state, &with(8)).await.unwrap();
        assert_ne!(renewed.serial_number, made.state.serial_number);
    }

    #[tokio::test]
    async fn wrong_inputs_are_named() {
        let (key, cx) = (key().await, context(".".as_ref()));
        let draft = SelfSignedCert::new(&key.private_key_pem, "").dns_names(["ö.example"]).ip_addresses(["1.2.3"]);
        let wrong = args(draft.country("de").valid_days(30).renewal("due"));
        let fields: Vec<_> = SelfSignedCert::validate(&wrong).iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["common_name", "country", "dns_names", "ip_addresses", "renew_before_days", "renewal"]);

        let no_key = args(SelfSignedCert::new("hunter2", "a"));
        let error = SelfSignedCert::create(&Local::new(), &cx, &no_key).await.unwrap_err();
        assert!(error.message().starts_with("`private_key_pem` holds no private key"), "{error}");
        assert!(!error.message().contains("hunter2"));
        assert!(SelfSignedCert::read(&Local::new(), &cx, "x", None).await.is_err());
    }
}
