//! Names: which ones read like secrets, and how the names of variants become text.

/// Words that stand for a secret, and pairs of words that do.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "tokens",
    "apikey",
    "apikeys",
    "credential",
    "credentials",
];
const SECRET_PAIRS: &[(&str, &str)] = &[("private", "key"), ("private", "keys"), ("api", "key"), ("api", "keys")];

/// Last words that make of a secret's name the name of something about it: `secret_name`, `token_ttl`.
const ABOUT: &[&str] = &[
    "name",
    "names",
    "id",
    "ids",
    "arn",
    "arns",
    "url",
    "urls",
    "uri",
    "uris",
    "endpoint",
    "ttl",
    "version",
    "versions",
    "length",
    "path",
    "paths",
    "count",
    "type",
    "kind",
    "policy",
    "lifetime",
    "expiry",
    "ref",
    "refs",
    "algorithm",
    "seconds",
    "minutes",
    "hours",
    "days",
];

/// Whether a field of that name most likely holds a secret.
pub fn reads_like_a_secret(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    if words.last().is_some_and(|last| ABOUT.contains(last)) {
        return false;
    }
    words.iter().any(|word| SECRET_WORDS.contains(word))
        || words.windows(2).any(|pair| SECRET_PAIRS.contains(&(pair[0], pair[1])))
}

/// How names of variants become text.
#[derive(Clone, Copy)]
pub enum Case {
    Kebab,
    Snake,
    ScreamingSnake,
    Lower,
    Pascal,
}

impl Case {
    /// What `rename_all` accepts.
    pub const ALL: &[(&str, Case)] = &[
        ("kebab-case", Case::Kebab),
        ("snake_case", Case::Snake),
        ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
        ("lowercase", Case::Lower),
        ("PascalCase", Case::Pascal),
    ];

    /// The text for a variant.
    pub fn apply(self, variant: &str) -> String {
        let words = || words(variant);
        match self {
            Case::Kebab => words().join("-").to_lowercase(),
            Case::Snake => words().join("_").to_lowercase(),
            Case::ScreamingSnake => words().join("_").to_uppercase(),
            Case::Lower => variant.to_lowercase(),
            Case::Pascal => variant.to_owned(),
        }
    }
}

/// The words of a name in Pascal case; an acronym is one word.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let starts =
            c.is_uppercase() && (before.is_none_or(|b| !b.is_uppercase()) || after.is_some_and(|a| a.is_lowercase()));
        match words.last_mut() {
            Some(word) if !starts => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in
            ["password", "master_user_password", "auth_token", "tls_private_key", "apikey", "api_keys", "secret"]
        {
            assert!(reads_like_a_secret(name), "{name}");
        }
        for name in ["secret_name", "token_id", "secret_arn", "token_ttl", "password_length", "key", "public_key"] {
            assert!(!reads_like_a_secret(name), "{name}");
        }
    }

    #[test]
    fn cases() {
        assert_eq!(Case::Kebab.apply("GeneralPurpose"), "general-purpose");
        assert_eq!(Case::Kebab.apply("Gp3"), "gp3");
        assert_eq!(Case::Snake.apply("HTTPSOnly"), "https_only");
        assert_eq!(Case::ScreamingSnake.apply("PayPerRequest"), "PAY_PER_REQUEST");
        assert_eq!(Case::Lower.apply("UpperCase"), "uppercase");
        assert_eq!(Case::Pascal.apply("Enabled"), "Enabled");
    }
}
