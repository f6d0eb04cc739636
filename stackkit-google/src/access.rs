//! What makes Google Cloud let somebody do what a role does with a key.

use stackkit::access::{Grant, Role};

/// The command that gives a role with a key.
pub(crate) fn key(name: &str, role: Role) -> Grant {
    let title = format!("IAM of a {role} for the key {name}");
    let given = match role {
        Role::Viewer => {
            let text = "Bind no role on the key. Without one, Cloud KMS opens nothing.\n";
            return Grant::new(title, "text", text).note(
                "IAM adds roles up: look whether one on the key ring, the project or above it already opens the key",
            );
        }
        Role::Deployer => "roles/cloudkms.cryptoKeyDecrypter",
        Role::Admin => "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    };
    let text = format!("gcloud kms keys add-iam-policy-binding {name} \\\n  --member \"$MEMBER\" --role {given}\n");
    let grant = Grant::new(title, "sh", text).note(
        "`MEMBER` is who it is for, such as `user:ada@example.com` or `serviceAccount:ci@acme.iam.gserviceaccount.com`",
    );
    match role {
        Role::Deployer => grant.note(
            "IAM does not see what is given as additional authenticated data: it opens what other stacks have wrapped with \
             the same key too, if it can read them",
        ),
        _ => grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployer_opens_and_does_not_wrap() {
        let name = "projects/acme/locations/europe-west3/keyRings/infra/cryptoKeys/stacks";
        let deployer = key(name, Role::Deployer);
        assert!(deployer.text.contains(name) && deployer.text.contains("cryptoKeyDecrypter\n"), "{}", deployer.text);
        assert!(key(name, Role::Admin).text.contains("cryptoKeyEncrypterDecrypter\n"));
        assert_eq!(key(name, Role::Viewer).language, "text");
    }
}
