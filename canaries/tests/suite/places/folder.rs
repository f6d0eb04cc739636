//! The folder `.stackkit`.

use std::path::{Path, PathBuf};

use acceptance::Sandbox;

use super::{Place, Store};

struct Folder;

impl Place {
    pub fn folder() -> Self {
        Self { name: "a folder", env: Vec::new(), way: None, store: Box::new(Folder) }
    }
}

fn folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.stack().join(".stackkit")
}

fn read(path: &Path) -> Vec<u8> {
    if !path.is_dir() {
        return std::fs::read(path).unwrap_or_default();
    }
    let files = std::fs::read_dir(path).expect("a folder").flatten();
    files.flat_map(|file| [read(&file.path()), b"\n".to_vec()].concat()).collect()
}

impl Store for Folder {
    fn held(&self, sandbox: &Sandbox) -> Vec<u8> {
        read(&folder(sandbox))
    }

    fn plant(&self, sandbox: &Sandbox, bytes: &[u8]) {
        std::fs::write(folder(sandbox).join("planted"), bytes).expect("written");
    }
}
