//! localstack's installation: a Python environment in the cache. It runs on Python 3.13 and no other.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, cache_folder, fingerprint, on_path},
    python::{interpreter, virtual_environment},
};

const REQUIREMENTS: &str = include_str!("../../python/localstack-requirements.txt");
const RECIPE: Recipe = Recipe { what: "localstack-core 2026.3.0", argument: "localstack" };
const COMPLETE: &str = "installed-by-test-servers";

/// Makes sure that localstack is in the cache and returns the interpreter that has it.
pub(crate) fn install() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("localstack-2026.3.0-{}", fingerprint(&[REQUIREMENTS])));
    if let Some(python) = installed(&folder) {
        return Ok(python);
    }
    RECIPE.alone(&cache, || {
        if let Some(python) = installed(&folder) {
            return Ok(python);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::file(&folder, "remove"))?;
        }
        let python = python_3_13().ok_or_else(|| {
            RECIPE.failed(
                "there is no Python 3.13: neither python3.13 on PATH, nor one of pyenv or uv; \
                 install one (`pyenv install 3.13`, `uv python install 3.13`, or your system's python3.13 with python3.13-venv)",
            )
        })?;
        // Under a temporary name, so that an installation that stopped half-way is never taken for a whole one.
        let unfinished = RECIPE.unfinished(&cache)?;
        let packages: Vec<&str> =
            REQUIREMENTS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        virtual_environment(&RECIPE, &python, unfinished.path(), &packages, "")?;
        let inside = interpreter(unfinished.path());
        RECIPE.step(
            "checking that localstack can be imported",
            Command::new(&inside).args(["-c", "import localstack.runtime.main"]),
        )?;
        let mark = unfinished.path().join(COMPLETE);
        fs::write(&mark, RECIPE.what).map_err(Error::file(&mark, "write"))?;
        fs::rename(unfinished.path(), &folder).map_err(Error::file(&folder, "create"))?;
        Ok(interpreter(&folder))
    })
}

/// A Python 3.13, wherever one is usually found.
fn python_3_13() -> Option<PathBuf> {
    let right = |python: &Path| {
        let version = Command::new(python).args(["-c", "import sys; print(*sys.version_info[:2])"]).output();
        version.is_ok_and(|version| version.stdout.trim_ascii() == b"3 13")
    };
    let mut candidates: Vec<PathBuf> = ["python3.13", "python3"].iter().filter_map(on_path).collect();
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    for versions in [root, home].into_iter().flatten().filter_map(|root| fs::read_dir(root.join("versions")).ok()) {
        let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin/python")).collect();
        found.sort();
        candidates.extend(found.into_iter().filter(|python| python.to_string_lossy().contains("/3.13")));
    }
    if let Some(uv) = on_path("uv") {
        let found = Command::new(uv).args(["python", "find", "3.13"]).output();
        let found = found.ok().filter(|found| found.status.success());
        candidates.extend(found.map(|found| PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())));
    }
    candidates.into_iter().find(|python| right(python))
}

/// The interpreter of a whole installation. The link to it dangles when the Python that it was made from is gone.
fn installed(folder: &Path) -> Option<PathBuf> {
    let python = interpreter(folder);
    (folder.join(COMPLETE).is_file() && python.exists()).then_some(python)
}
