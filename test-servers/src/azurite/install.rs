//! azurite's installation: packages of npm in the cache, every one of them pinned by its hash.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, cache_folder, fingerprint, on_path},
};

const PACKAGE: &str = include_str!("../../node/azurite/package.json");
const LOCK: &str = include_str!("../../node/azurite/package-lock.json");
const RECIPE: Recipe = Recipe { what: "azurite 3.37.0", argument: "azurite" };
/// The blob service alone.
const PROGRAM: &str = "node_modules/azurite/dist/src/blob/main.js";
const COMPLETE: &str = "installed-by-test-servers";

/// Makes sure that azurite is in the cache and returns Node.js and the program to run with it.
pub(crate) fn install() -> Result<(PathBuf, PathBuf), Error> {
    let node = tool("node")?;
    let cache = cache_folder()?;
    let folder = cache.join(format!("azurite-3.37.0-{}", fingerprint(&[PACKAGE, LOCK])));
    let program = folder.join(PROGRAM);
    let installed = |folder: &Path| folder.join(COMPLETE).is_file();
    if installed(&folder) {
        return Ok((node, program));
    }
    RECIPE.alone(&cache, || {
        if installed(&folder) {
            return Ok((node, program));
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::file(&folder, "remove"))?;
        }
        let npm = tool("npm")?;
        let unfinished = RECIPE.unfinished(&cache)?;
        for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
            let path = unfinished.path().join(name);
            fs::write(&path, text).map_err(Error::file(&path, "write"))?;
        }
        let quiet = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        RECIPE
            .step("installing azurite 3.37.0 with npm", Command::new(npm).args(quiet).current_dir(unfinished.path()))?;
        let inside = unfinished.path().join(PROGRAM);
        RECIPE.step("checking that azurite runs", Command::new(&node).arg(&inside).arg("--version"))?;
        let mark = unfinished.path().join(COMPLETE);
        fs::write(&mark, RECIPE.what).map_err(Error::file(&mark, "write"))?;
        fs::rename(unfinished.path(), &folder).map_err(Error::file(&folder, "create"))?;
        Ok((node, program))
    })
}

/// A program of Node.js.
fn tool(name: &str) -> Result<PathBuf, Error> {
    on_path(name).ok_or_else(|| Error::Install {
        what: "azurite".to_owned(),
        detail: format!("there is no `{name}` on PATH: it runs on Node.js"),
        command: "apt-get install nodejs npm".to_owned(),
    })
}
