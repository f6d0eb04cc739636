//! What a large stack costs in each place for states, and what sealing costs: `cargo run --release -p backend-figures --
//! [RESOURCES [PLACE…]]`. Each place has a server of its own and a process of its own; the table is what docs/backends.md
//! shows.

mod one;
mod seals;
mod servers;

use std::error::Error;
use std::process::ExitCode;

use servers::PLACES;

/// How many resources the stack has where nothing else is said.
const RESOURCES: u64 = 100_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        // What this process starts itself as.
        ["measure", url, resources] => one::measure(url, resources),
        ["load", url] => one::load(url),
        _ => figures(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend-figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn figures(words: &[&str]) -> Result<(), Box<dyn Error>> {
    let (resources, names) = match words.split_first() {
        Some((first, names)) => (first.parse()?, names),
        None => (RESOURCES, words),
    };
    if let Some(unknown) = names.iter().find(|name| PLACES.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = PLACES.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no place `{unknown}`: name some of {}", known.join(", ")).into());
    }
    println!("{resources} resources, each with a secret\n");
    println!("| place | bytes | load | requests of a load | load and check | a step | a fold | the first fold |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, place) in PLACES.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        place(name, resources)?;
    }
    if names.is_empty() {
        println!();
        seals::print()?;
    }
    Ok(())
}
