//! The command `sops`, built from its Go module.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, cache_folder},
    go::{Binary, Module, build, built, go},
};

const RECIPE: Recipe = Recipe { what: "sops 3.13.2", argument: "sops" };
const MODULE: Module =
    Module { name: "sops", go_mod: include_str!("../go/sops/go.mod"), go_sum: include_str!("../go/sops/go.sum") };
const BINARY: Binary = Binary {
    name: "sops",
    module: &MODULE,
    package: "github.com/getsops/sops/v3/cmd/sops",
    linker_flags: "-s -w",
    build_seconds: 120,
};

/// Makes sure that the command is in the cache and returns its path.
pub(crate) fn install() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    let folder = cache.join("sops-3.13.2");
    let program = folder.join(BINARY.name);
    if built(&folder, &BINARY) {
        return Ok(program);
    }
    RECIPE.alone(&cache, || {
        if !built(&folder, &BINARY) {
            fs::create_dir_all(&folder).map_err(Error::file(&folder, "create"))?;
            build(&RECIPE, &go(&RECIPE, &cache)?, &cache, &folder, &BINARY)?;
        }
        Ok(program.clone())
    })
}

/// The command `sops`, which encrypts files of secrets.
///
/// ```no_run
/// let sops = test_servers::Sops::new()?;
/// let env = [("SOPS_AGE_RECIPIENTS", "age1…")];
/// sops.run(std::path::Path::new("."), &env, &["encrypt", "--in-place", "secrets.yaml"])?;
/// # Ok::<_, test_servers::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sops {
    program: PathBuf,
}

impl Sops {
    /// The command; installs it first if it is not there (some minutes, once).
    ///
    /// # Errors
    ///
    /// [`Error::Install`] where it cannot be installed.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { program: install()? })
    }

    /// A `PATH` on which the command comes first.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let folder = self.program.parent().unwrap_or(Path::new("/"));
        let path = std::env::var("PATH").unwrap_or_default();
        vec![("PATH", format!("{}:{path}", folder.display()))]
    }

    /// Runs the command in a folder, with some variables and nothing else of this process' environment, and returns what
    /// it printed.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where it fails.
    pub fn run<V: AsRef<OsStr>>(&self, folder: &Path, env: &[(&str, V)], arguments: &[&str]) -> Result<String, Error> {
        let refused = |detail: String| Error::Ask { server: "sops".to_owned(), request: arguments.join(" "), detail };
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            // Nothing of whoever runs the tests is found there.
            .env("HOME", folder)
            .env("SOPS_DISABLE_VERSION_CHECK", "true")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .output()
            .map_err(|error| refused(error.to_string()))?;
        if !output.status.success() {
            return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        String::from_utf8(output.stdout).map_err(|error| refused(error.to_string()))
    }
}
