//! From keys of objects to names that Kubernetes takes, no two of them to the same one.

use sha2::{Digest as _, Sha256};

/// The longest value of a label.
const LABEL: usize = 63;

/// Label of entries and folded states, once they are whole.
pub(super) const WHOLE: &str = "stackkit.dev/state";
/// Label of those whose parts are still being written.
pub(super) const BEGUN: &str = "stackkit.dev/state-begun";
/// Label of parts.
pub(super) const PART: &str = "stackkit.dev/state-part";
/// Label of locks.
pub(super) const LOCK: &str = "stackkit.dev/state-lock";
/// Annotations: the key, the size of the whole, the write, and in how many parts it is.
pub(super) const KEY: &str = "stackkit.dev/key";
pub(super) const SIZE: &str = "stackkit.dev/size";
pub(super) const WRITER: &str = "stackkit.dev/writer";
pub(super) const PARTS: &str = "stackkit.dev/parts";
/// Annotation of a lock: what it says.
pub(super) const WORDS: &str = "stackkit.dev/lock";

/// Where a key leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A Secret: its name, and the value of its label.
    Secret { name: String, stack: String },
    /// A Lease.
    Lease { name: String, stack: String },
}

/// The object of a key; `None` where it is no key of a state.
pub(super) fn named(key: &str) -> Option<Named> {
    if let Some(stack) = key.strip_prefix("locks/") {
        let stack = slug(stack);
        return Some(Named::Lease { name: format!("stackkit-{stack}"), stack });
    }
    let (stack, rest) = key.strip_prefix("stacks/")?.split_once('/')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/');
    if rest.is_empty() || !rest.chars().all(plain) {
        return None;
    }
    let stack = slug(stack);
    Some(Named::Secret { name: format!("stackkit-{stack}.{}", rest.replace('/', ".")), stack })
}

/// The label selector of all whole objects whose key begins so.
pub(super) fn selector(prefix: &str) -> String {
    match prefix.strip_prefix("stacks/").and_then(|rest| rest.strip_suffix('/')) {
        Some(stack) if !stack.is_empty() && !stack.contains('/') => format!("{WHOLE}={}", slug(stack)),
        _ => WHOLE.to_owned(),
    }
}

/// A stack's name as the value of a label and a part of a name: small letters, digits, and a `-` before one of those
/// stay; everything else is `--` and its byte. So `--` always begins such a byte. What is too long, or would begin with a
/// `-`, is a hash, behind a `--x` that no byte begins with.
pub(super) fn slug(stack: &str) -> String {
    let stays = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = stack.as_bytes();
    let mut out = String::with_capacity(stack.len());
    for (at, byte) in bytes.iter().enumerate() {
        if stays(byte) || (*byte == b'-' && bytes.get(at + 1).is_some_and(stays)) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("--{byte:02x}"));
        }
    }
    if out.len() <= LABEL && !out.starts_with('-') {
        return out;
    }
    let hash = Sha256::digest(stack.as_bytes());
    let hex: String = hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("stack--x{hex}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn is_label(text: &str) -> bool {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        text.len() <= LABEL && end(text.chars().next()) && end(text.chars().last()) && text.chars().all(plain)
    }

    #[test]
    fn names_of_stacks_stay_readable() {
        for (stack, expected) in [
            ("prod", "prod"),
            ("prod-eu-1", "prod-eu-1"),
            ("prod_eu.1", "prod--5feu--2e1"),
            ("Prod", "--50rod"),
            ("a-", "a--2d"),
            ("a--b", "a--2d-b"),
        ] {
            let slug = slug(stack);
            assert!(slug == expected || slug.starts_with("stack--x") && expected.starts_with('-'), "{stack}: {slug}");
        }
    }

    #[test]
    fn no_two_stacks_have_one_name() {
        let alphabet = ["a", "A", "-", "_", ".", "2", "d", "x", "5f"];
        let mut seen = BTreeMap::new();
        let mut stacks = vec![String::new()];
        for _ in 0..4 {
            stacks = stacks.iter().flat_map(|begin| alphabet.map(|next| format!("{begin}{next}"))).collect();
            for stack in &stacks {
                let slug = slug(stack);
                assert!(is_label(&slug), "{stack}: {slug}");
                if let Some(other) = seen.insert(slug.clone(), stack.clone()) {
                    assert_eq!(other, *stack, "both are {slug}");
                }
            }
        }
        let long = "x".repeat(100);
        assert_ne!(slug(&long), slug(&format!("{long}x")));
        assert!(is_label(&slug(&long)));
        // A name that looks like a hash is none.
        assert_ne!(slug("stack--x00"), "stack--x00");
    }

    #[test]
    fn keys_lead_to_names() {
        let name = |key: &str| match named(key) {
            Some(Named::Secret { name, .. } | Named::Lease { name, .. }) => name,
            None => String::new(),
        };
        assert_eq!(name("stacks/prod/log/00000000000000000007"), "stackkit-prod.log.00000000000000000007");
        assert_eq!(name("stacks/prod/snap/00000000000000000007-6"), "stackkit-prod.snap.00000000000000000007-6");
        assert_eq!(name("locks/prod"), "stackkit-prod");
        assert_eq!(name("stacks/prod/log/../x"), "");
        assert_eq!(selector("stacks/prod/"), "stackkit.dev/state=prod");
        assert_eq!(selector("stacks/"), "stackkit.dev/state");
        let longest = format!("stacks/{}/snap/{:020}-{}", "X".repeat(100), u64::MAX, u64::MAX);
        assert!(name(&longest).len() + 1 + 36 + 1 + 6 <= 253);
    }
}
