//! What `import --from terraform.tfstate` printed.

use stackkit::prelude::*;

#[stackkit::main]
async fn example_migrating(_: &mut Stack) -> Result<()> {
    Ok(())
}
