//! moto's installation: a Python environment in the cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, cache_folder, fingerprint, on_path},
    python::{interpreter, virtual_environment},
};

const CONSTRAINTS: &str = include_str!("../../python/moto-constraints.txt");
const REQUIREMENT: &str = "moto[server]==5.2.1";
const RECIPE: Recipe = Recipe { what: "moto 5.2.1", argument: "moto" };
const COMPLETE: &str = "installed-by-test-servers";

/// Makes sure that moto is in the cache and returns the interpreter that has it.
pub(crate) fn install() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("moto-5.2.1-{}", fingerprint(&[REQUIREMENT, CONSTRAINTS])));
    if let Some(python) = installed(&folder) {
        return Ok(python);
    }
    RECIPE.alone(&cache, || {
        if let Some(python) = installed(&folder) {
            return Ok(python);
        }
        // An environment whose interpreter has gone is of no use to anybody any more.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::file(&folder, "remove"))?;
        }
        let python = on_path("python3").ok_or_else(|| {
            RECIPE.failed("there is no python3 on PATH; install Python 3.10 or newer with its venv module")
        })?;
        // Under a temporary name, so that an installation that stopped half-way is never taken for a whole one.
        let unfinished = RECIPE.unfinished(&cache)?;
        virtual_environment(&RECIPE, &python, unfinished.path(), &[REQUIREMENT], CONSTRAINTS)?;
        let inside = interpreter(unfinished.path());
        RECIPE.step("checking that moto can be imported", Command::new(&inside).args(["-c", "import moto.server"]))?;
        let mark = unfinished.path().join(COMPLETE);
        fs::write(&mark, RECIPE.what).map_err(Error::file(&mark, "write"))?;
        fs::rename(unfinished.path(), &folder).map_err(Error::file(&folder, "create"))?;
        Ok(interpreter(&folder))
    })
}

/// The interpreter of a whole installation. The link to it dangles when the Python that it was made from is gone.
fn installed(folder: &Path) -> Option<PathBuf> {
    let python = interpreter(folder);
    (folder.join(COMPLETE).is_file() && python.exists()).then_some(python)
}
