//! A program and its unit tests: `cargo test -p example-testing` runs them in milliseconds, with no cloud and no files.
//!
//! The tests are in [`tests.rs`](tests.rs), and what every plan of it is held to is in [`policies.rs`](policies.rs): see
//! `cargo run -p example-testing -- policy list`. The program writes the settings of a service, for each of its instances.

mod policies;

use stackkit::prelude::*;

/// Where the stack stands between a try-out and the real thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Properties)]
enum Environment {
    Development,
    Production,
}

#[derive(Debug, Clone, Properties)]
struct Config {
    /// What kind of environment it is.
    #[property(default = Environment::Development)]
    environment: Environment,
    /// How many instances there are.
    #[property(default = 1)]
    instances: u32,
    /// The password of the database; one is made when it is unset.
    database_password: Option<Secret<String>>,
}

#[stackkit::main]
async fn service(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let production = config.environment == Environment::Production;
    if production && config.instances < 2 {
        stack.error("production needs at least two instances: run `config set instances 2`");
    }

    stack.policies(policies::house_rules());

    let folder = stack.add("settings", local::Directory::new("settings").mode("0700"));
    let password = match &config.database_password {
        Some(given) => Output::known(given.clone()),
        None => stack.add("database", local::RandomPassword::new(32).special(false)).value.clone(),
    };
    let log = if production { "warn" } else { "debug" };
    for instance in 0..config.instances {
        let path = text!("{}/instance-{instance}.env", folder.path);
        let content = text!("LOG={log}\nDATABASE_URL=postgres://app:{}@localhost/app\n", password);
        stack
            .add(format!("instance-{instance}"), local::SecretFile::new(path, content))
            .precondition("settings end with a line break", |file| file.content.reveal().ends_with('\n'));
    }

    let days: u32 = if production { 90 } else { 365 };
    let tls = certificate(stack, "tls", "service.internal", days);
    stack.add("tls.crt", local::File::new(text!("{}/tls.crt", folder.path), &tls.pem));
    stack.check("the database's password has at least 12 characters", &password, |password| {
        password.reveal().len() >= 12
    });
    stack.output("database_password", &password);
    Ok(())
}

/// What [`certificate`] makes.
struct Certificate {
    pem: Output<String>,
}

/// A certificate with its key: a component, to be used wherever one is wanted.
fn certificate(scope: &mut Scope, name: &str, host: &str, days: u32) -> Certificate {
    let mut component = scope.component(name);
    let key = component.add("key", local::TlsPrivateKey::new());
    let signed = local::SelfSignedCert::new(&key.private_key_pem, host).valid_days(days);
    let signed = component.add("certificate", signed).before_create(|hook| async move {
        if hook.valid_days > 398 {
            return Err(ProgramError::msg("browsers take no certificate that is valid for longer than 398 days"));
        }
        Ok(())
    });
    Certificate { pem: signed.certificate_pem.clone() }
}

#[cfg(test)]
mod tests;
