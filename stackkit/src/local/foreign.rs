//! What is a resource of this provider where other tools manage it: random values, keys and files.

use crate::foreign::{Adopt, Becomes, ForeignResource};
use crate::local::TlsPrivateKeyState;
use crate::resource::{Fields as _, Resource};
use crate::secret::Secret;
use crate::value::Value;

/// The special characters of a password where nothing else is said, by the provider `hashicorp/random`.
const SPECIAL: &str = "!@#$%&*()-_=+[]{}<>:?";

/// What a recorded resource is here.
pub(super) fn foreign(resource: &ForeignResource) -> Option<Becomes> {
    let left = |why: &str| Some(Becomes::Left(why.into()));
    match resource.type_name.as_str() {
        "random_password" | "random:index/randomPassword:RandomPassword" => Some(password(resource)),
        "random_id" | "random:index/randomId:RandomId" => Some(id(resource)),
        "tls_private_key" | "tls:index/privateKey:PrivateKey" => Some(private_key(resource)),
        "local_file" | "local_sensitive_file" | "local:index/file:File" | "local:index/sensitiveFile:SensitiveFile" => {
            Some(file(resource))
        }
        "tls_self_signed_cert"
        | "tls_cert_request"
        | "tls_locally_signed_cert"
        | "tls:index/selfSignedCert:SelfSignedCert"
        | "tls:index/certRequest:CertRequest"
        | "tls:index/locallySignedCert:LocallySignedCert" => left(
            "how its certificate was made cannot be told from it: have a new one made with `local::SelfSignedCert` or \
             `local::SignedCert`",
        ),
        "random_string" | "random:index/randomString:RandomString" => {
            left("random text that is no secret has no type here: write it into the program, or use `local::RandomId`")
        }
        "terraform_data" | "null_resource" | "null:index/resource:Resource" => {
            left("it stands in that tool's state alone; programs are run by `local::Command`")
        }
        _ => None,
    }
}

fn password(resource: &ForeignResource) -> Becomes {
    let Some(value) = resource.get("result").cloned() else {
        return Becomes::Left("its value is not recorded".into());
    };
    let get = |name: &str| resource.get(name).cloned();
    // What there is of a class that does not occur says nothing.
    let special = resource.is("special").then(|| resource.text("override_special").unwrap_or(SPECIAL));
    Becomes::resource("local:RandomPassword", &resource.address)
        .known("length", get("length"))
        .known("lower", get("lower"))
        .known("upper", get("upper"))
        // Before version 3.3 of that provider it was called so.
        .known("digits", get("numeric").or_else(|| get("number")))
        .known("special", get("special"))
        .known("special_characters", special.map(Value::text))
        .known("min_lower", get("min_lower"))
        .known("min_upper", get("min_upper"))
        .known("min_digits", get("min_numeric"))
        .known("min_special", special.and_then(|_| get("min_special")))
        .known("keepers", get("keepers"))
        .known("value", Some(value))
        .into()
}

fn id(resource: &ForeignResource) -> Becomes {
    if resource.text("prefix").is_some() {
        return Becomes::Left("it has a prefix: put that into the program, in front of a `local::RandomId`".into());
    }
    let get = |name: &str| resource.get(name).cloned();
    Becomes::resource("local:RandomId", resource.text("hex").unwrap_or_default())
        .known("byte_length", get("byte_length"))
        .known("keepers", get("keepers"))
        .known("hex", get("hex"))
        .known("base64url", get("b64_url"))
        .into()
}

fn private_key(resource: &ForeignResource) -> Becomes {
    let pem = resource.get("private_key_pem_pkcs8").or_else(|| resource.get("private_key_pem"));
    let Some(pem) = pem.and_then(|value| value.reveal().as_text()) else {
        return Becomes::Left("its key is not recorded".into());
    };
    // What the parser says names no part of the key.
    let state = match TlsPrivateKeyState::of_pem(&Secret::new(pem.to_owned()), &resource.address) {
        Ok(state) => state,
        Err(error) => return Becomes::Left(error.message().into()),
    };
    let adopt = Becomes::resource("local:TlsPrivateKey", &state.fingerprint);
    let fields = crate::local::TlsPrivateKey::SCHEMA.fields.iter().zip(state.to_values());
    fields.fold(adopt, |adopt: Adopt, (field, value)| adopt.known(field.name, Some(value))).into()
}

fn file(resource: &ForeignResource) -> Becomes {
    let Some(path) = resource.text("filename") else {
        return Becomes::Left("its path is not recorded".into());
    };
    let secret = resource.type_name.to_ascii_lowercase().contains("sensitive")
        || resource.get("sensitive_content").is_some()
        || resource.get("content").is_some_and(Value::has_secret);
    let type_name = if secret { "local:SecretFile" } else { "local:File" };
    Becomes::resource(type_name, path).into()
}
