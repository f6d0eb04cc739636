//! Where the binaries of the control plane come from: `KUBEBUILDER_ASSETS`, the cache, or a build from source.

use std::{env, fs, path::PathBuf};

use crate::{
    Error,
    cache::{Recipe, cache_folder},
    go::{Binary, Module, build, built, go},
};

const RECIPE: Recipe = Recipe { what: "Kubernetes 1.36.4 with etcd 3.7.3 and kwok 0.8.0", argument: "kubernetes" };

/// What a Kubernetes binary says of itself; without it a control plane calls itself v0.0.0.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

const KUBERNETES: Module = Module {
    name: "kubernetes",
    go_mod: include_str!("../../go/kubernetes/go.mod"),
    go_sum: include_str!("../../go/kubernetes/go.sum"),
};
const ETCD: Module =
    Module { name: "etcd", go_mod: include_str!("../../go/etcd/go.mod"), go_sum: include_str!("../../go/etcd/go.sum") };
const KWOK: Module =
    Module { name: "kwok", go_mod: include_str!("../../go/kwok/go.mod"), go_sum: include_str!("../../go/kwok/go.sum") };

/// One of the binaries.
const fn binary(name: &'static str, module: &'static Module, package: &'static str, build_seconds: u32) -> Binary {
    Binary { name, module, package, linker_flags: LINKER_FLAGS, build_seconds }
}

/// In the order of the builds: each reuses what those before it have compiled.
const BINARIES: [Binary; 6] = [
    binary("etcd", &ETCD, "go.etcd.io/etcd/server/v3", 30),
    binary("kube-apiserver", &KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver", 280),
    binary("kube-controller-manager", &KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager", 60),
    binary("kube-scheduler", &KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler", 5),
    binary("kubectl", &KUBERNETES, "k8s.io/kubernetes/cmd/kubectl", 25),
    binary("kwok", &KWOK, "sigs.k8s.io/kwok/cmd/kwok", 70),
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
        let go = go(&RECIPE, &cache)?;
        for binary in missing {
            build(&RECIPE, &go, &cache, &binaries.folder, binary)?;
        }
        Ok(())
    })?;
    Ok(binaries)
}
