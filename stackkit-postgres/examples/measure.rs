//! What a stack of 100,000 resources costs in a folder and in PostgreSQL, on a server of its own:
//! `cargo run --release -p stackkit-postgres --example measure`.

use std::error::Error;
use std::path::Path;

use stackkit::state::LocalPlace;
use stackkit::state::place::{BackendKind as _, BackendUrl, Place};
use stackkit::testing::backend::measure;
use stackkit_postgres::Postgres;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let resources = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("stackkit-measure-{}", std::process::id()));
    let place = LocalPlace::new(&folder);
    let stack = place.stack("dev")?;
    println!("a folder: {}", measure(|| stack.clone(), resources).await?);
    std::fs::remove_dir_all(&folder)?;
    let server = test_servers::Postgres::start()?;
    let place = Postgres::open(BackendUrl::parse(&server.url(), Path::new("."))?).await?;
    place.stack("dev")?;
    let open = || place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    println!("PostgreSQL: {}", measure(open, resources).await?);
    Ok(())
}
