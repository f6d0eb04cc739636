//! The rules of the house, as a pack: a crate of its own could hand it to every program of a company.

use stackkit::local;
use stackkit::policy::{Level, Policies, PolicyView, Remedy, ensure};

pub fn house_rules() -> Policies {
    Policies::new()
        .policy("long-passwords", Level::Mandatory, |password: &PolicyView<local::RandomPassword>| {
            ensure(password.get(&password.length)? >= 20, "passwords have at least 20 characters")
        })
        .describe("Passwords that programs make cannot be guessed")
        .policy("private-folders", Level::Mandatory, |folder: &PolicyView<local::Directory>| {
            let open = folder.get(&folder.mode)?.bits() & 0o077 != 0;
            ensure(!open, "others may look into it").map_err(|no| no.field("mode").help("declare it with mode 0700"))
        })
        .policy_for_each("few-kinds", Level::Advisory, |any| {
            ensure(
                !any.type_name().ends_with(":Command"),
                "a command runs each time that it changes: is there a type for it?",
            )
        })
        .policy("keys-stay", Level::Mandatory, |_: &PolicyView<local::TlsPrivateKey>| {
            ensure(false, "whoever trusts the key would have to be told")
                .map_err(|no| no.help("ask the people of the house"))
        })
        .deletions()
        .remedy("short-certificates", |certificate: &Remedy<local::SelfSignedCert>| {
            if certificate.get(&certificate.valid_days)? > 180 {
                certificate.set(&certificate.valid_days, 180);
            }
            Ok(())
        })
        .describe("Certificates are valid for half a year at most")
}
