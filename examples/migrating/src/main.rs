//! What `import --from terraform.tfstate` printed.

use stackkit::prelude::*;

/// What differs between the stacks of this program.
#[derive(Debug, Clone, Properties)]
struct Config {
    token_content: Secret<String>,
}

#[stackkit::main]
async fn example_migrating(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;

    let release_0 = stack.add("release-0", local::RandomId::new(4));
    let release_1 = stack.add(
        "release-1",
        local::RandomId::new(4).keepers([("release", "two")]),
    );
    let db = stack.add(
        "db",
        local::RandomPassword::new(24)
            .special(false)
            .min_lower(0)
            .min_upper(0)
            .min_digits(0),
    );
    let mut site_web = stack.component("site-web");
    site_web
        .add("motd", local::File::new("deployed/motd", "hello\n"))
        .depends_on(&release_0)
        .depends_on(&release_1);
    site_web.add("login", local::SecretFile::new("deployed/login", &db.value));
    site_web.add(
        "token",
        local::SecretFile::new("deployed/token", /* secret */ config.token_content),
    );

    Ok(())
}
