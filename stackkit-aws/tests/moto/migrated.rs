//! What the test `migration` printed, as a program of that test.

use stackkit::prelude::*;
use stackkit_aws::Aws;

#[stackkit::program(name = "shop", providers(Aws))]
pub async fn shop(_: &mut Stack) -> Result<()> {
    Ok(())
}
