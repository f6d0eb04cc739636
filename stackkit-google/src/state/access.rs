//! What makes Google Cloud let somebody do what a role does with one stack in a bucket.

use stackkit::access::{Grant, Role};

use super::url::Options;

/// The commands that give a role with the objects of a stack.
pub(super) fn grant(options: &Options, place: &str, stack: &str, role: Role) -> Grant {
    let Options { bucket, prefix, .. } = options;
    let objects = format!("projects/_/buckets/{bucket}/objects/{prefix}");
    let expression = format!(
        "resource.name.startsWith(\"{objects}stacks/{stack}/\") || resource.name == \"{objects}locks/{stack}\""
    );
    let given = if role.deploys() { "roles/storage.objectUser" } else { "roles/storage.objectViewer" };
    let text = format!(
        "gcloud storage buckets add-iam-policy-binding gs://{bucket} \\\n  \
         --member \"$MEMBER\" --role {given} \\\n  \
         --condition 'title=stackkit-{stack}-{role},expression={expression}'\n\
         gcloud storage buckets add-iam-policy-binding gs://{bucket} \\\n  \
         --member \"$MEMBER\" --role roles/storage.legacyBucketReader --condition None\n"
    );
    let grant = Grant::new(format!("IAM of a {role} for {place}"), "sh", text)
        .note("`MEMBER` is who it is for, such as `user:ada@example.com` or `serviceAccount:ci@acme.iam.gserviceaccount.com`")
        .note(
            "Listing is a right on the bucket: the second command shows the names of all its objects, and nothing that is in \
             them",
        );
    match role {
        Role::Viewer => grant,
        Role::Deployer => grant.note(
            "IAM does not tell folding the log from removing the stack, nor a lock given back from one that was ended: a \
             deployer can do both; what is deleted stays in the bucket's old versions",
        ),
        Role::Admin => grant.note("Making the bucket takes `storage.buckets.create` in the project"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stackkit::state::place::BackendUrl;

    use super::*;

    #[test]
    fn a_role_is_for_the_objects_of_one_stack() {
        let url = BackendUrl::parse("gs://acme-infra/orders", Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        let options = Options::read(&url).unwrap_or_else(|error| panic!("{error}"));
        let text = |role| grant(&options, "gs://acme-infra/orders", "dev", role).text;
        let viewer = text(Role::Viewer);
        assert!(
            viewer.contains("startsWith(\"projects/_/buckets/acme-infra/objects/orders/stacks/dev/\")"),
            "{viewer}"
        );
        assert!(viewer.contains("roles/storage.objectViewer") && !viewer.contains("objectUser"), "{viewer}");
        assert!(text(Role::Deployer).contains("roles/storage.objectUser"));
    }
}
