//! Where a user's own files are, by the XDG Base Directory Specification.

use std::path::PathBuf;

/// The folder that a variable such as `XDG_CACHE_HOME` names, else the one in the home directory. Paths that are not
/// absolute count as unset, as the specification says; `None` where neither is set.
pub(crate) fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(below_home));
    named.or_else(home)
}
