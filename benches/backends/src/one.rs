//! One place, in a process whose environment says how it is reached.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use stackkit::state::LocalPlace;
use stackkit::state::place::{BackendKind as _, BackendUrl, Place};
use stackkit_aws::S3State;
use stackkit_azure::AzureBlobState;
use stackkit_google::GcsState;
use stackkit_k8s::KubernetesState;
use stackkit_postgres::Postgres;

type Done = Result<(), Box<dyn Error>>;

async fn place(url: &str) -> Result<Arc<dyn Place>, Box<dyn Error>> {
    if let Some(folder) = url.strip_prefix("file://") {
        return Ok(Arc::new(LocalPlace::new(folder)));
    }
    let parsed = BackendUrl::parse(url, Path::new("."))?;
    Ok(match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => S3State::open(parsed).await?,
        Some("azblob") => AzureBlobState::open(parsed).await?,
        Some("gs") => GcsState::open(parsed).await?,
        Some("k8s") => KubernetesState::open(parsed).await?,
        _ => Postgres::open(parsed).await?,
    })
}

fn block<T>(future: impl Future<Output = Result<T, Box<dyn Error>>>) -> Result<T, Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}

/// Fills the place, measures, and prints what came of it as JSON.
pub fn measure(url: &str, resources: &str) -> Done {
    let resources: u64 = resources.parse()?;
    block(async {
        let place = place(url).await?;
        place.stack("dev")?;
        let open = || place.stack("dev").unwrap_or_else(|error| panic!("{error}"));
        let measured = stackkit::testing::backend::measure(open, resources).await?;
        let seconds = |time: std::time::Duration| time.as_secs_f64();
        println!(
            "{}",
            json!({
                "bytes": measured.bytes, "load": seconds(measured.load), "open": seconds(measured.open),
                "step": seconds(measured.step), "fold": seconds(measured.fold),
                "first_fold": seconds(measured.first_fold),
            })
        );
        Ok(())
    })
}

/// Loads what was measured, once.
pub fn load(url: &str) -> Done {
    block(async {
        let loaded = place(url).await?.stack("dev")?.load().await?;
        println!("{}", loaded.snapshot.map_or(0, |snapshot| snapshot.len()));
        Ok(())
    })
}
