//! Python's virtual environments: where packages from PyPI are installed into.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, cache::Recipe};

/// Makes a virtual environment that holds the given packages.
pub(crate) fn virtual_environment(
    recipe: &Recipe,
    python: &Path,
    folder: &Path,
    packages: &[&str],
    constraints: &str,
) -> Result<(), Error> {
    let title = format!("creating a Python environment for {}", recipe.what);
    recipe.step(&title, Command::new(python).args(["-m", "venv"]).arg(folder)).map_err(|error| match error {
        Error::Install { what, detail, command } => Error::Install {
            what,
            detail: format!("{detail}\nPython needs its venv module (Debian and Ubuntu: apt-get install python3-venv)"),
            command,
        },
        other => other,
    })?;
    let list = folder.join("constraints.txt");
    fs::write(&list, constraints).map_err(Error::file(&list, "write"))?;
    let names = if packages.len() > 3 { format!("{} packages", packages.len()) } else { packages.join(" ") };
    recipe
        .step(
            &format!("installing {names} with pip"),
            Command::new(interpreter(folder))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"])
                .arg(&list)
                .args(packages),
        )
        .map(drop)
}

/// The interpreter of a virtual environment.
pub(crate) fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}
