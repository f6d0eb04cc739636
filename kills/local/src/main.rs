//! Folders, files, passwords and certificates, to be killed on this machine. Each step changes, replaces, adds and
//! deletes some of it.

use acceptance::Draw;
use stackkit::prelude::*;

/// What is declared.
#[derive(Debug, Clone, Properties)]
struct Config {
    /// What chooses it.
    #[property(default = 1)]
    seed: u64,
    /// How many changes have been made to it.
    #[property(default = 0)]
    step: u32,
}

#[stackkit::main]
async fn kills_local(stack: &mut Stack) -> Result<()> {
    let Config { seed, step } = stack.config()?;
    let draw = Draw::new(seed, step);
    let root = stack.add("root", local::Directory::new("deployed"));
    for folder in 0..4 {
        let name = format!("folder-{folder}");
        if !draw.has(&name, 10) {
            continue;
        }
        // Another path replaces the folder, and all that is in it.
        let path = text!("{}/{name}-{}", root.path, draw.version(&name, 10));
        let inside = stack.add(&name, local::Directory::new(path));
        for file in 0..4 {
            let name = format!("file-{folder}-{file}");
            if !draw.has(&name, 12) {
                continue;
            }
            let path = text!("{}/{file}-{}", inside.path, draw.version(&name, 15));
            let content = format!("version {}\n", draw.version(&format!("{name}-content"), 20));
            stack.add(name, local::File::new(path, content));
        }
        let name = format!("secret-{folder}");
        let length = 20 + draw.version(&name, 20) % 10;
        let password = stack.add(&name, local::RandomPassword::new(length));
        stack.add(name, local::SecretFile::new(text!("{}/secret", inside.path), &password.value));
    }
    Ok(())
}
