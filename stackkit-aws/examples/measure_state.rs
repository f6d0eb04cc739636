//! What a stack of 100,000 resources costs in S3, on the server that the environment names:
//! `cargo run -p test-servers -- localstack -- cargo run --release -p stackkit-aws --features s3 --example measure_state`.

use std::error::Error;
use std::path::Path;

use stackkit::state::place::{BackendKind as _, BackendUrl};
use stackkit::testing::backend::measure;
use stackkit_aws::S3State;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let url = words.next().unwrap_or_else(|| "s3://stackkit-measure?create=true".into());
    let resources = words.next().map_or(Ok(100_000), |text| text.parse())?;
    let place = S3State::open(BackendUrl::parse(&url, Path::new("."))?).await?;
    place.stack("dev")?;
    let open = || place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
    println!("S3: {}", measure(open, resources).await?);
    Ok(())
}
