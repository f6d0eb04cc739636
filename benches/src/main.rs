//! One phase of a run as a process of its own, for tools that measure processes: `stackkit-benches PHASE COUNT SHAPE DIR`.

use std::process::ExitCode;
use std::time::Instant;

use stackkit_benches::{Shape, deployment, destroy, preview, up};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [phase, count, shape, dir] = args.as_slice() else {
        eprintln!("usage: stackkit-benches up|preview|destroy COUNT independent|chain|secrets DIR");
        return ExitCode::from(64);
    };
    let Ok(count) = count.parse() else {
        eprintln!("`{count}` is no number");
        return ExitCode::from(64);
    };
    let shape = Shape { count, chain: shape == "chain", secrets: shape == "secrets" };
    let deployment = deployment(std::path::Path::new(dir), shape);
    let started = Instant::now();
    match phase.as_str() {
        "up" => up(&deployment).await,
        "preview" => preview(&deployment).await,
        "destroy" => destroy(&deployment).await,
        other => {
            eprintln!("`{other}` is no phase");
            return ExitCode::from(64);
        }
    }
    eprintln!("{phase} of {count}: {:.3} s", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
