//! What makes Azure let somebody do what a role does with one stack in a container.

use stackkit::access::{Grant, Role};

use super::url::Options;

/// What Azure calls operations and attributes of blobs.
const BLOBS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs";

/// The command that gives a role with the blobs of a stack.
pub(super) fn grant(options: &Options, place: &str, stack: &str, role: Role) -> Grant {
    let Options { account, container, prefix, .. } = options;
    let (states, lock) = (format!("{prefix}stacks/{stack}/"), format!("{prefix}locks/{stack}"));
    let path = |what: &str| {
        format!(
            "((!({what})) OR (@Resource[{BLOBS}:path] StringStartsWith '{states}' OR @Resource[{BLOBS}:path] \
             StringEquals '{lock}'))"
        )
    };
    let action = |name: &str| format!("ActionMatches{{'{BLOBS}/{name}'}}");
    let read = path(&format!("{} AND NOT SubOperationMatches{{'Blob.List'}}", action("read")));
    let list = format!(
        "((!({} AND SubOperationMatches{{'Blob.List'}})) OR (@Request[{BLOBS}:prefix] StringStartsWith \
         '{prefix}stacks/'))",
        action("read")
    );
    let (name, mut parts) = match role {
        Role::Viewer => ("Storage Blob Data Reader", vec![read, list]),
        Role::Deployer | Role::Admin => {
            let change = ["write", "add/action", "delete"].map(action).join(" OR ");
            ("Storage Blob Data Contributor", vec![read, list, path(&change)])
        }
    };
    let last = parts.pop().unwrap_or_default();
    let mut text = String::from("condition=$(cat <<'END'\n");
    parts.iter().for_each(|part| text.push_str(&format!("{part} AND\n")));
    text.push_str(&format!(
        "{last}\nEND\n)\n\
         account=\"$(az storage account show --name {account} --query id --output tsv)\"\n\
         az role assignment create --assignee \"$PRINCIPAL\" --role \"{name}\" \\\n  \
         --scope \"$account/blobServices/default/containers/{container}\" \\\n  \
         --condition \"$condition\" --condition-version 2.0\n"
    ));
    let grant = Grant::new(format!("Azure role of a {role} for {place}"), "sh", text)
        .note("`PRINCIPAL` is the object id of the user, group, service principal or managed identity")
        .note("An account key or a shared access signature passes by all roles: turn shared keys off for the account");
    match role {
        Role::Viewer => grant,
        Role::Deployer => grant.note(
            "The role does not tell folding the log from removing the stack, nor a lock given back from one that was ended: a \
             deployer can do both; what is deleted stays in the account's old versions",
        ),
        Role::Admin => grant.note("Making the container takes the role on the account, without the condition"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stackkit::state::place::BackendUrl;

    use super::*;

    #[test]
    fn a_role_is_for_the_blobs_of_one_stack() {
        let url =
            BackendUrl::parse("azblob://acmeinfra/states/orders", Path::new(".")).unwrap_or_else(|e| panic!("{e}"));
        let options = Options::read(&url).unwrap_or_else(|error| panic!("{error}"));
        let text = |role| grant(&options, "azblob://acmeinfra/states/orders", "dev", role).text;
        let viewer = text(Role::Viewer);
        assert!(viewer.contains("StringStartsWith 'orders/stacks/dev/'"), "{viewer}");
        assert!(viewer.contains("Storage Blob Data Reader") && !viewer.contains("blobs/write"), "{viewer}");
        assert!(viewer.contains("StringEquals 'orders/locks/dev'"), "{viewer}");
        let deployer = text(Role::Deployer);
        assert!(deployer.contains("/delete'}") && deployer.contains("containers/states\""), "{deployer}");
        for text in [viewer, deployer] {
            assert_eq!(text.matches('(').count(), text.matches(')').count(), "{text}");
        }
    }
}
