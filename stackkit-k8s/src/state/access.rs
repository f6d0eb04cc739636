//! What makes the API server let somebody do what a role does with one stack, as far as RBAC can tell.

use stackkit::access::{Grant, Role};

use super::names::slug;

/// A Role and its binding.
pub(super) fn grant(namespace: &str, place: &str, stack: &str, role: Role) -> Grant {
    let slug = slug(stack);
    let (name, lock) = (format!("stackkit-{slug}-{role}"), format!("stackkit-{slug}"));
    let rules = match role {
        Role::Viewer => rule("", "secrets", "get, list", None) + &rule(LEASES, "leases", "get, list", None),
        Role::Deployer => {
            rule("", "secrets", "get, list, create, update, delete", None)
                + &rule(LEASES, "leases", "get, list, create", None)
                + &rule(LEASES, "leases", "update", Some(&lock))
        }
        Role::Admin => {
            rule("", "secrets", "get, list, watch, create, update, patch, delete, deletecollection", None)
                + &rule(LEASES, "leases", "get, list, watch, create, update, patch, delete", None)
        }
    };
    let text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\n  namespace: {namespace}\nrules:\n\
         {rules}---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: {name}\n  \
         namespace: {namespace}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\n\
         subjects:\n- apiGroup: rbac.authorization.k8s.io\n  kind: Group\n  name: {name}\n"
    );
    let grant = Grant::new(format!("RBAC of a {role} in {place}"), "yaml", text)
        .note(format!("Its subject is the group `{name}`: put the users, groups or service accounts there that it is for"))
        .note(
            "RBAC knows no names in `list` and `create`: it is for all Secrets of the namespace, so keep nothing else there, \
             and stacks of other people in another one",
        );
    match role {
        Role::Viewer => grant,
        Role::Deployer => grant.note(
            "RBAC does not tell folding the log from removing the stack, nor a lock given back from one that was ended: a \
             deployer can do both",
        ),
        Role::Admin => grant.note("It does not hand on rights: that takes whoever may bind Roles in the namespace"),
    }
}

const LEASES: &str = "coordination.k8s.io";

fn rule(group: &str, resource: &str, verbs: &str, name: Option<&str>) -> String {
    let names = name.map(|name| format!("  resourceNames: [{name}]\n")).unwrap_or_default();
    format!("- apiGroups: [\"{group}\"]\n  resources: [{resource}]\n{names}  verbs: [{verbs}]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_may_read_and_no_more() {
        let viewer = grant("infra", "k8s://infra", "prod_EU", Role::Viewer);
        assert!(viewer.text.contains("name: stackkit-prod--5f--45--55-viewer\n  namespace: infra"), "{}", viewer.text);
        let deployer = grant("infra", "k8s://infra", "dev", Role::Deployer);
        assert!(deployer.text.contains("resourceNames: [stackkit-dev]\n  verbs: [update]"), "{}", deployer.text);
        for verb in ["create", "update", "delete", "patch"] {
            assert!(!viewer.text.contains(verb), "{}", viewer.text);
        }
    }
}
