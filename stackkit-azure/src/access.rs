//! What makes Azure let somebody do what a role does with a key.

use stackkit::access::{Grant, Role};

use crate::vault::Identifier;

/// The commands that give a role with a key.
pub(crate) fn key(key: &Identifier, role: Role) -> Grant {
    let title = format!("Azure roles of a {role} for the key {key}");
    let host = key.vault.trim_start_matches("https://");
    let (vault, domain) = host.split_once('.').unwrap_or((host, ""));
    let name = &key.name;
    if role == Role::Viewer {
        let text = "Assign no role with the key. Without one, Key Vault opens nothing.\n";
        return Grant::new(title, "text", text)
            .note("Azure adds roles up: look whether one on the vault or above it already opens the key");
    }
    let grant = if domain.starts_with("managedhsm.") {
        let text = format!(
            "az keyvault role assignment create --hsm-name {vault} --scope /keys/{name} --assignee \"$PRINCIPAL\" \\\n  \
             --role \"Managed HSM Crypto User\"\n"
        );
        Grant::new(title, "sh", text)
    } else {
        let text = format!(
            "key=\"$(az keyvault show --name {vault} --query id --output tsv)/keys/{name}\"\n\
             az role assignment create --scope \"$key\" --assignee \"$PRINCIPAL\" \\\n  \
             --role \"Key Vault Crypto Service Encryption User\"\n"
        );
        Grant::new(title, "sh", text)
            .note("The vault has to use Azure's role-based access control, not access policies of its own")
    };
    let grant = grant.note("`PRINCIPAL` is the object id of the user, group, service principal or managed identity");
    match role {
        Role::Deployer => grant.note(
            "Azure's own roles open and wrap at once; a custom one with the data action \
             `Microsoft.KeyVault/vaults/keys/unwrap/action` alone is narrower. A role with the key opens what other stacks \
             have wrapped with it too",
        ),
        _ => grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_given_with_the_key_alone() {
        let of = |url: &str, role| {
            Identifier::parse(url, "keys").map(|found| key(&found, role)).unwrap_or_else(|| panic!("{url}"))
        };
        let deployer = of("https://acme.vault.azure.net/keys/infra/0123", Role::Deployer);
        assert_eq!(deployer.language, "sh");
        assert!(
            deployer.text.contains("--name acme ") && deployer.text.contains(")/keys/infra\"\n"),
            "{}",
            deployer.text
        );
        let hsm = of("https://acme.managedhsm.azure.net/keys/infra", Role::Admin);
        assert!(hsm.text.contains("--hsm-name acme --scope /keys/infra "), "{}", hsm.text);
        assert_eq!(of("https://acme.vault.azure.net/keys/infra", Role::Viewer).language, "text");
    }
}
