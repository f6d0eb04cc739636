//! The program before the migration: it declares nothing yet.
//!
//! ```text
//! cargo run -p example-migrating --bin before -- import --from examples/migrating/terraform.tfstate
//! ```

use stackkit::prelude::*;

#[stackkit::main]
async fn migrating(_: &mut Stack) -> Result<()> {
    Ok(())
}
