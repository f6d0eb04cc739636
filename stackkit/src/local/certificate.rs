//! What the types of certificates share: names, validity, when a renewal is due, and reading keys.

use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use sha2::{Digest as _, Sha256};
use stackkit_macros::Properties;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::random;
use super::random_id::to_hex;
use crate::error::Error;
use crate::resource::Problem;
use crate::secret::Secret;

/// What a certificate's key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
#[property(rename_all = "kebab-case")]
pub enum KeyPurpose {
    /// A server proves who it is.
    ServerAuth,
    /// A client proves who it is.
    ClientAuth,
    /// Signing of programs.
    CodeSigning,
    /// Signing and encryption of mail.
    EmailProtection,
}

impl KeyPurpose {
    fn usage(self) -> ExtendedKeyUsagePurpose {
        match self {
            KeyPurpose::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            KeyPurpose::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            KeyPurpose::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
            KeyPurpose::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
        }
    }
}

/// The value of the field `renewal` when a certificate is about to expire.
pub(super) const DUE: &str = "due";

/// Whom a certificate is for.
pub(super) struct Names<'a> {
    pub(super) common_name: &'a str,
    pub(super) organization: Option<&'a str>,
    pub(super) organizational_unit: Option<&'a str>,
    pub(super) country: Option<&'a str>,
    pub(super) dns_names: &'a [String],
    pub(super) ip_addresses: &'a [String],
}

impl Names<'_> {
    /// The parameters of a certificate or request with these names. Where no alternative name is given and
    /// `name_is_host` is set, the common name is one: programs look at nothing else.
    pub(super) fn params(&self, name_is_host: bool) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        for (kind, value) in [
            (DnType::OrganizationName, self.organization),
            (DnType::OrganizationalUnitName, self.organizational_unit),
            (DnType::CountryName, self.country),
        ] {
            if let Some(value) = value {
                params.distinguished_name.push(kind, value);
            }
        }
        for name in self.dns_names {
            params.subject_alt_names.push(SanType::DnsName(dns_name(name)?));
        }
        for address in self.ip_addresses {
            let address: IpAddr =
                address.parse().map_err(|_| Error::invalid(format!("`ip_addresses`: {}", not_an_address(address))))?;
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        if params.subject_alt_names.is_empty() && name_is_host {
            params.subject_alt_names.push(match self.common_name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(dns_name(self.common_name)?),
            });
        }
        Ok(params)
    }

    /// What is wrong with the names.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.common_name.is_empty() || self.common_name.chars().count() > 64 {
            problems.push(Problem::new("common_name", "it must have 1 to 64 characters"));
        }
        if let Some(country) = self.country
            && (country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            problems.push(Problem::new("country", "use the two capital letters of ISO 3166, such as `DE`"));
        }
        for name in self.dns_names {
            if name.is_empty() || name.len() > 253 || dns_name(name).is_err() || name.contains(char::is_whitespace) {
                problems.push(Problem::new(
                    "dns_names",
                    format!("`{}` is no DNS name: write others than ASCII ones in Punycode", name.escape_debug()),
                ));
            }
        }
        for address in self.ip_addresses {
            if address.parse::<IpAddr>().is_err() {
                problems.push(Problem::new("ip_addresses", not_an_address(address)));
            }
        }
        problems
    }
}

fn dns_name(name: &str) -> Result<Ia5String, Error> {
    Ia5String::try_from(name).map_err(|e| Error::invalid(format!("`{}` is no DNS name: {e}", name.escape_debug())))
}

fn not_an_address(text: &str) -> String {
    format!("`{}` is no IP address", text.escape_debug())
}

/// How long a certificate is valid, and from when on it is to be renewed.
pub(super) struct Validity<'a> {
    pub(super) valid_days: u32,
    pub(super) renew_before_days: u32,
    pub(super) renewal: &'a str,
}

impl Validity<'_> {
    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=36_500).contains(&self.valid_days) {
            problems.push(Problem::new("valid_days", "a certificate is valid for 1 to 36500 days"));
        } else if self.renew_before_days >= self.valid_days {
            problems.push(Problem::new(
                "renew_before_days",
                format!(
                    "a certificate that is valid for {} days would be due for renewal at once: renew it fewer days \
                     before its end",
                    self.valid_days
                ),
            ));
        }
        if self.renewal == DUE {
            problems.push(Problem::new("renewal", "`due` is what a refresh reports: use any other text"));
        }
        problems
    }
}

/// Whether a certificate that ends then is to be renewed now. One whose end cannot be read is.
pub(super) fn is_due(not_after: &str, renew_before_days: u32, now: OffsetDateTime) -> bool {
    match OffsetDateTime::parse(not_after, &Rfc3339) {
        Ok(end) => now >= end - Duration::days(i64::from(renew_before_days)),
        Err(_) => true,
    }
}

/// A certificate as the types of certificates give it.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) certificate_pem: String,
    pub(super) fingerprint: String,
    pub(super) serial_number: String,
    pub(super) not_before: String,
    pub(super) not_after: String,
}

/// Fills in validity, serial number and usages, then has the certificate signed.
pub(super) fn issue(
    mut params: CertificateParams,
    now: OffsetDateTime,
    valid_days: u32,
    authority: bool,
    purposes: &[KeyPurpose],
    sign: impl FnOnce(&CertificateParams) -> Result<rcgen::Certificate, rcgen::Error>,
) -> Result<Issued, Error> {
    let mut serial = random::bytes(16)?;
    if let Some(first) = serial.first_mut() {
        // A serial number is positive and has no leading zero.
        *first = *first & 0x3f | 0x40;
    }
    params.not_before = now;
    params.not_after = now + Duration::days(i64::from(valid_days));
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = Vec::new();
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes.iter().map(|purpose| purpose.usage()).collect();
    }
    let text = |moment: OffsetDateTime| {
        moment.format(&Rfc3339).map_err(|e| Error::invalid(format!("the end of its validity cannot be written: {e}")))
    };
    let (not_before, not_after) = (text(params.not_before)?, text(params.not_after)?);
    let made = sign(&params).map_err(|e| Error::invalid(format!("the certificate cannot be made: {e}")))?;
    Ok(Issued {
        certificate_pem: made.pem(),
        fingerprint: to_hex(&Sha256::digest(made.der())),
        serial_number: to_hex(&serial),
        not_before,
        not_after,
    })
}

/// Reads a private key. `what` is the field or file that it stands in.
pub(super) fn key_pair(pem: &Secret<String>, what: &str) -> Result<KeyPair, Error> {
    KeyPair::from_pem(pem.reveal()).map_err(|_| {
        Error::invalid(format!(
            "`{what}` holds no private key that can be read: expected PEM with `PRIVATE KEY` (PKCS #8)"
        ))
    })
}

/// The error for a certificate that is to be imported.
pub(super) fn not_importable(what: &str) -> Error {
    Error::invalid(format!(
        "{what} cannot be imported, for what it was made from is not known: have a new one made, or put the existing one \
         into a `local::File`"
    ))
}
