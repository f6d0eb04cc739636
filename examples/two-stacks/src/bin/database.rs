//! What the team of the database deploys: the outputs are what others may use.
//!
//! `cargo run -p example-two-stacks --bin database -- -s database up --yes`

use stackkit::prelude::*;

#[stackkit::main(name = "database")]
async fn database(stack: &mut Stack) -> Result<()> {
    let password = stack.add("app", local::RandomPassword::new(32).special(false));
    stack.output("address", "db.internal:5432");
    stack.output("password", &password.value);
    Ok(())
}
