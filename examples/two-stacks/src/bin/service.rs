//! What the team of the service deploys: it refers to the database's stack, reads a file that is not its own, and looks
//! up what decides how much of it there is.
//!
//! It wants a file `NOTICE` in the folder; beside the database's stack its own is made by `-- stack new service`. Then
//! `SERVICE_INSTANCES=3 cargo run -p example-two-stacks --bin service -- -s service up --yes`

use stackkit::prelude::*;

#[stackkit::main(name = "service")]
async fn service(stack: &mut Stack) -> Result<()> {
    // Outputs of another stack: the plain ones as they are, secret ones only as secrets.
    let database = stack.reference("database");
    let url = text!(
        "postgres://app:{}@{}/service",
        database.secret::<String>("password"),
        database.output::<String>("address")
    );

    // Something that exists and that this stack leaves alone.
    let notice = stack.existing::<local::File>("notice", "NOTICE");

    // A plain value decides what is declared.
    let instances = stack.lookup(local::Environment::new("SERVICE_INSTANCES").or("1")).await?;
    let instances: u32 = instances.value.parse()?;

    let folder = stack.add("settings", local::Directory::new("service").mode("0700"));
    for instance in 0..instances {
        let path = text!("{}/instance-{instance}.env", folder.path);
        stack.add(format!("instance-{instance}"), local::SecretFile::new(path, text!("DATABASE_URL={url}\n")));
    }
    stack.add("notice", local::SecretFile::new(text!("{}/NOTICE", folder.path), &notice.content));
    Ok(())
}
