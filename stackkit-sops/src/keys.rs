//! The private keys at hand, in the places where SOPS looks for them, and the data key that they open.

use std::path::PathBuf;

use secrecy::SecretString;
use stackkit_age::{Identities, OpenError};
use zeroize::Zeroizing;

use crate::cipher::DataKey;
use crate::metadata::{AGE, MasterKey, Metadata};
use crate::problem::Problem;
use crate::{service, shamir};

/// What the environment says: see the crate's first page. Empty variables count as unset.
pub(crate) fn identities() -> Identities {
    let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let config = path("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| home.as_ref().map(|home| home.join(".config")));
    let library =
        home.as_ref().filter(|_| cfg!(target_os = "macos")).map(|home| home.join("Library/Application Support"));
    let keys = |folder: PathBuf| folder.join("sops/age/keys.txt");
    let mut defaults: Vec<PathBuf> = config.into_iter().chain(library).map(keys).collect();
    defaults.extend(home.iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name))));
    let text = std::env::var("SOPS_AGE_KEY").ok().filter(|text| !text.trim().is_empty());
    Identities {
        text: text.map(SecretString::from),
        text_name: "SOPS_AGE_KEY",
        files: ["SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"].into_iter().filter_map(path).collect(),
        defaults,
    }
}

/// The data key of a file, which stands in it encrypted for each of its master keys.
pub(crate) async fn data_key(metadata: &Metadata, identities: &Identities, file: &str) -> Result<DataKey, Problem> {
    let mut parts = Vec::new();
    let mut told = Vec::new();
    for group in &metadata.groups {
        parts.extend(part(group, identities, &mut told).await?);
        if metadata.groups.len() > 1 && parts.len() >= metadata.threshold {
            break;
        }
    }
    let damaged =
        || Problem::invalid("has a data key in its part `sops` that is none: restore it from version control");
    let key = match metadata.groups.len() {
        1 => parts.pop().ok_or_else(|| not_held(metadata, &told, file))?,
        _ if parts.len() < metadata.threshold => {
            let (has, needs, all) = (parts.len(), metadata.threshold, metadata.groups.len());
            let problem = not_held(metadata, &told, file);
            return Err(Problem::denied(format!(
                "needs keys of {needs} of its {all} key groups, and those of {has} are at hand; it {}",
                problem.text
            )));
        }
        _ => shamir::combine(&parts).ok_or_else(damaged)?,
    };
    DataKey::new(&key).ok_or_else(damaged)
}

/// The part of a group, by the first of its keys that opens it. What the others said is told.
async fn part(
    group: &[MasterKey],
    identities: &Identities,
    told: &mut Vec<String>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    for key in group {
        if key.kind == &AGE {
            match identities.open(key.sealed.as_bytes()) {
                Ok(part) => return Ok(Some(part)),
                Err(OpenError::NotHeld(not_tried)) => {
                    // It is the same for every key of age.
                    told.extend(not_tried.filter(|text| !told.contains(text)));
                }
                Err(OpenError::Identities(error)) => return Err(Problem::denied(format!("cannot be opened: {error}"))),
                Err(_) => {
                    return Err(Problem::invalid(format!(
                        "is damaged: its data key for the recipient `{}` was edited; restore it from version control",
                        key.name
                    )));
                }
            }
            continue;
        }
        match service::open(key).await {
            Some(Ok(part)) => return Ok(Some(part)),
            Some(Err(error)) => told.push(error.to_string()),
            None => {}
        }
    }
    Ok(None)
}

/// No key at hand opens it.
fn not_held(metadata: &Metadata, told: &[String], file: &str) -> Problem {
    const MOST: usize = 8;
    let all: Vec<&MasterKey> = metadata.groups.iter().flatten().collect();
    let mut names: Vec<String> =
        all.iter().take(MOST).map(|key| format!("`{}` ({})", key.name, key.kind.title)).collect();
    if all.len() > MOST {
        names.push(format!("{} more", all.len() - MOST));
    }
    let told: String = told.iter().map(|text| format!("; {text}")).collect();
    Problem::denied(format!(
        "is encrypted for {}, and no private key at hand opens it: set SOPS_AGE_KEY_FILE to a file that holds one, or \
         have somebody who can open it add your public key to .sops.yaml and run `sops updatekeys {file}`{told}",
        names.join(", ")
    ))
}
