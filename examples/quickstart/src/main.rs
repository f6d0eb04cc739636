//! A small web site on this machine: pages, a certificate from an authority of its own, a password, a configuration for
//! each process that serves it, and a script that starts them. Everything lands in `deployed/`.
//!
//! ```sh
//! cargo run -p example-quickstart -- up --yes
//! ./deployed/serve                                     # then open https://localhost:8443
//! cargo run -p example-quickstart -- config set greeting "Good morning"
//! cargo run -p example-quickstart -- preview           # what would change, and why
//! cargo run -p example-quickstart -- outputs --show-secrets
//! cargo run -p example-quickstart -- destroy --yes
//! ```

use stackkit::prelude::*;

/// What differs between stacks: set with `config set KEY VALUE`.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// What the page says.
    #[property(default = "Hello from StackKit")]
    greeting: String,
    /// How many processes serve the site, each on a port of its own.
    #[property(default = 2)]
    replicas: u16,
    /// The first of the ports.
    #[property(default = 8443)]
    port: u16,
}

#[stackkit::main]
async fn quickstart(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    if config.port.checked_add(config.replicas).is_none() {
        stack.error(format!("{} replicas do not fit above port {}", config.replicas, config.port));
    }

    // Folders. A path that is built from another one's output comes after it, and goes before it.
    let root = stack.add("root", local::Directory::new("deployed"));
    let www = stack.add("www", local::Directory::new(text!("{}/www", root.path)));
    let tls = stack.add("tls", local::Directory::new(text!("{}/tls", root.path)).mode("0700"));
    let conf = stack.add("conf", local::Directory::new(text!("{}/conf", root.path)));

    // An authority, and a certificate that it signs. Both renew themselves when their end comes near.
    let ca_key = stack.add("ca", local::TlsPrivateKey::new());
    let ca = stack
        .add("ca", local::SelfSignedCert::new(&ca_key.private_key_pem, "Quick start CA").is_ca(true).valid_days(3650));
    let key = stack.add("server", local::TlsPrivateKey::new());
    let request = stack.add(
        "server",
        local::CertRequest::new(&key.private_key_pem, "localhost").dns_names(["localhost"]).ip_addresses(["127.0.0.1"]),
    );
    let certificate = stack.add(
        "server",
        local::SignedCert::new(&request.request_pem, &ca_key.private_key_pem, &ca.certificate_pem).valid_days(90),
    );
    stack.add("ca.crt", local::File::new(text!("{}/ca.crt", tls.path), &ca.certificate_pem));
    stack.add("server.crt", local::File::new(text!("{}/server.crt", tls.path), &certificate.certificate_pem));
    // A secret fits only where secrets may be: `local::File::new(…, &key.private_key_pem)` would not compile.
    stack.add("server.key", local::SecretFile::new(text!("{}/server.key", tls.path), &key.private_key_pem));

    // Who may see /admin. The line is secret because the password in it is.
    let password = stack.add("admin", local::RandomPassword::new(24).special(false));
    let users =
        stack.add("users", local::SecretFile::new(text!("{}/users", conf.path), text!("admin:{}\n", password.value)));

    // One configuration for each process: another number of them makes some, or deletes some.
    for replica in 0..config.replicas {
        let port = config.port.saturating_add(replica);
        let content = text!(
            "port = {port}\nroot = {}\ncertificate = {}/server.crt\nkey = {}/server.key\nusers = {}\n",
            www.path,
            tls.path,
            tls.path,
            users.path
        );
        stack.add(
            format!("replica-{replica}"),
            local::File::new(text!("{}/replica-{replica}.conf", conf.path), content),
        );
    }

    // The pages, with what the certificates turned out to be in them. A new greeting is a new release.
    let release = stack.add("release", local::RandomId::new(4).keepers([("greeting", config.greeting.as_str())]));
    let greeting = escape(&config.greeting);
    let replicas = config.replicas;
    let page = text!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{greeting}</title>\n\
         <link rel=\"stylesheet\" href=\"style.css\">\n<main>\n<h1>{greeting}</h1>\n\
         <p>Release {}, served by {replicas} processes. The certificate is valid until {}; its authority is {}.</p>\n\
         </main>\n</html>\n",
        release.hex,
        certificate.not_after,
        ca.fingerprint
    );
    let index = stack.add("index.html", local::File::new(text!("{}/index.html", www.path), page));
    stack.add("style.css", local::File::new(text!("{}/style.css", www.path), include_str!("../assets/style.css")));
    let serve = local::File::new(text!("{}/serve", root.path), include_str!("../assets/serve.py"));
    let serve = stack.add("serve", serve.mode("0755"));

    stack.output("page", &index.path);
    stack.output("start", text!("./{}", serve.path));
    stack.output("url", text!("https://localhost:{}", config.port));
    stack.output("authority", text!("{}/ca.crt", tls.path));
    stack.output("admin_password", &password.value);
    Ok(())
}

/// A greeting is text, not HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
