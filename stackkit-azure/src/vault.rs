//! `Identifier`: the URLs by which Key Vault names keys and secrets, and which vaults are taken for vaults.

/// The domains below which Azure gives vaults and managed HSMs their names, in the public cloud and in those of China and
/// of the US government. A token or a key is sent nowhere else, whatever a header or a program says.
const DOMAINS: [&str; 6] = [
    "vault.azure.net",
    "managedhsm.azure.net",
    "vault.azure.cn",
    "managedhsm.azure.cn",
    "vault.usgovcloudapi.net",
    "managedhsm.usgovcloudapi.net",
];

/// A vault's address, such as `https://acme.vault.azure.net`, without a `/` at its end; `None` where it is none of Azure's.
pub(crate) fn vault(text: &str) -> Option<&str> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (name, domain) = text.strip_prefix("https://")?.split_once('.')?;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let known = DOMAINS.contains(&domain) && (3..=24).contains(&name.len()) && name.chars().all(letter);
    known.then_some(text)
}

/// Whether it is the name of a key or a secret.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether it is a version of a key or a secret.
pub(crate) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// What the URL of a key or a secret says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier {
    pub(crate) vault: String,
    /// `keys` or `secrets`.
    pub(crate) collection: &'static str,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

impl Identifier {
    #[cfg(feature = "secrets")]
    pub(crate) fn new(vault: &str, collection: &'static str, name: &str) -> Self {
        Self { vault: vault.trim_end_matches('/').to_owned(), collection, name: name.to_owned(), version: None }
    }

    /// The thing of a collection that `https://VAULT/COLLECTION/NAME[/VERSION]` names.
    pub(crate) fn parse(text: &str, collection: &'static str) -> Option<Self> {
        let (host, path) = text.strip_prefix("https://")?.split_once('/')?;
        let vault = vault(&text[.."https://".len() + host.len()])?.to_owned();
        let mut parts = path.strip_suffix('/').unwrap_or(path).split('/');
        let found = parts.next()?;
        let name = parts.next().filter(|name| is_name(name))?.to_owned();
        let version = match parts.next() {
            Some(version) if is_version(version) => Some(version.to_owned()),
            Some(_) => return None,
            None => None,
        };
        (found == collection && parts.next().is_none()).then_some(Self { vault, collection, name, version })
    }
}

impl std::fmt::Display for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.vault, self.collection, self.name)?;
        self.version.iter().try_for_each(|version| write!(f, "/{version}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_azures_own_domains_have_vaults() {
        for text in
            ["https://acme.vault.azure.net", "https://acme-1.managedhsm.azure.net/", "https://acme.vault.azure.cn"]
        {
            assert!(vault(text).is_some(), "{text}");
        }
        for text in [
            "http://acme.vault.azure.net",
            "https://acme.vault.azure.net.evil.example",
            "https://evil.example/.vault.azure.net",
            "https://a@acme.vault.azure.net",
            "https://acme.vault.azure.net:8443",
            "https://acme.extra.vault.azure.net",
            "https://Acme.vault.azure.net",
            "https://vault.azure.net",
            "acme",
        ] {
            assert_eq!(vault(text), None, "{text}");
        }
    }

    #[test]
    fn an_identifier_is_read_and_written_alike() {
        for text in ["https://acme.vault.azure.net/keys/infra", "https://acme.vault.azure.net/keys/infra/0123abcd"] {
            assert_eq!(Identifier::parse(text, "keys").map(|found| found.to_string()).as_deref(), Some(text));
            assert_eq!(Identifier::parse(text, "secrets"), None);
        }
        for text in [
            "https://acme.vault.azure.net/keys",
            "https://acme.vault.azure.net/keys/",
            "https://acme.vault.azure.net/keys/a/b/c",
            "https://acme.vault.azure.net/keys/a?b",
            "https://acme.vault.azure.net/keys/../secrets",
            "https://acme.vault.azure.net//keys/a",
            "https://evil.example/keys/a",
        ] {
            assert_eq!(Identifier::parse(text, "keys"), None, "{text}");
        }
    }
}
