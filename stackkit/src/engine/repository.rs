//! What can be told, without asking anybody, of who may read a state that lies in a Git repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Services where anybody may read a repository unless it was made private.
const HOSTS: [&str; 5] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "git.sr.ht"];

/// The service where the repository that a file lies in has a remote; `None` where it has none at those that are known.
/// Whether the repository is public there cannot be told from here.
pub(crate) fn shown(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let config = path.ancestors().skip(1).find_map(|folder| config_of(&folder.join(".git")))?;
    let text = fs::read_to_string(config).ok()?;
    let urls = text.lines().filter_map(|line| line.trim().strip_prefix("url")?.trim_start().strip_prefix('='));
    let mut hosts = urls.filter_map(|url| host(url.trim().trim_matches('"')));
    hosts.find_map(|host| HOSTS.iter().find(|known| host.eq_ignore_ascii_case(known)).map(|known| (*known).to_owned()))
}

/// The configuration of a repository, by what is called `.git`: a folder, or a file that leads to one.
fn config_of(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.join("config"));
    }
    let text = fs::read_to_string(git).ok()?;
    let folder = git.parent()?.join(text.trim().strip_prefix("gitdir:")?.trim());
    let common = match fs::read_to_string(folder.join("commondir")) {
        Ok(common) => folder.join(common.trim()),
        Err(_) => folder,
    };
    Some(common.join("config"))
}

/// The host of a remote: of a URL, or of `user@host:path`.
fn host(url: &str) -> Option<&str> {
    let authority = match url.split_once("://") {
        Some((_, rest)) => rest.split('/').next()?,
        None => url.split_once(':')?.0,
    };
    let host = authority.rsplit('@').next()?;
    host.split(':').next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_told_by_their_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("infra/.stackkit/dev.rescue");
        fs::create_dir_all(folder.path().join(".git")).expect("a folder");
        assert_eq!(shown(&state), None);
        for (url, expected) in [
            ("https://github.com/acme/infra.git", Some("github.com")),
            ("https://ann:token@GitLab.com:443/acme/infra", Some("gitlab.com")),
            ("git@github.com:acme/infra.git", Some("github.com")),
            ("ssh://git@codeberg.org:22/acme/infra", Some("codeberg.org")),
            ("https://git.acme.example/github.com/infra", None),
            ("github.com.acme.example:infra", None),
            ("/srv/git/infra", None),
            ("", None),
        ] {
            let text = format!("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = {url}\n\tfetch = +x:y\n");
            fs::write(folder.path().join(".git/config"), text).expect("written");
            assert_eq!(shown(&state).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_work_tree_leads_to_its_repository() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |path: &str| folder.path().join(path);
        fs::create_dir_all(of("main/.git/worktrees/w")).expect("a folder");
        fs::create_dir_all(of("w")).expect("a folder");
        fs::write(of("main/.git/config"), "[remote \"origin\"]\nurl=git@gitlab.com:a/b\n").expect("written");
        fs::write(of("main/.git/worktrees/w/commondir"), "../..\n").expect("written");
        fs::write(of("w/.git"), format!("gitdir: {}\n", of("main/.git/worktrees/w").display())).expect("written");
        assert_eq!(shown(&of("w/.stackkit/dev.rescue")).as_deref(), Some("gitlab.com"));
    }
}
