//! What makes IAM let somebody do what a role does with one stack in a bucket.

use serde_json::{Value as Json, json};
use stackkit::access::{Grant, Role};

use super::url::Options;

/// A policy for the users or roles that are to have it.
pub(super) fn grant(options: &Options, place: &str, stack: &str, role: Role) -> Grant {
    let Options { bucket, prefix, .. } = options;
    let bucket_arn = format!("arn:aws:s3:::{bucket}");
    let (states, lock) = (format!("{prefix}stacks/{stack}/*"), format!("{prefix}locks/{stack}"));
    let objects = json!([format!("{bucket_arn}/{states}"), format!("{bucket_arn}/{lock}")]);
    let mut statements = vec![
        // Without the right to list, an object that is not there cannot be told from one that is not to be seen. A request
        // for an object says no prefix, which is why the condition holds for those that say one.
        json!({
            "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": bucket_arn,
            "Condition": { "StringLikeIfExists": { "s3:prefix": [states, format!("{prefix}stacks/")] } },
        }),
        json!({ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": objects }),
    ];
    if role.deploys() {
        statements.push(json!({ "Effect": "Allow", "Action": ["s3:PutObject"], "Resource": objects }));
        statements.push(json!({
            // Lines of the audit log stay where they are put.
            "Effect": "Allow", "Action": ["s3:DeleteObject"],
            "Resource": ["log", "snap"].map(|kind| format!("{bucket_arn}/{prefix}stacks/{stack}/{kind}/*")),
        }));
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "s3:GetEncryptionConfiguration", "s3:GetBucketVersioning", "s3:GetBucketPublicAccessBlock",
            ],
            "Resource": bucket_arn,
        }));
    }
    if role == Role::Admin {
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "s3:CreateBucket", "s3:PutEncryptionConfiguration", "s3:PutBucketVersioning",
                "s3:PutBucketPublicAccessBlock", "s3:PutLifecycleConfiguration", "s3:ListBucketVersions",
            ],
            "Resource": bucket_arn,
        }));
        statements.push(json!({
            "Effect": "Allow", "Action": ["s3:GetObjectVersion", "s3:DeleteObjectVersion"], "Resource": objects,
        }));
    }
    if let Some(key) = &options.kms_key {
        let actions =
            if role.deploys() { json!(["kms:Decrypt", "kms:GenerateDataKey"]) } else { json!(["kms:Decrypt"]) };
        // Of objects in this bucket alone: the data key of a stack may be wrapped by the same key.
        statements.push(json!({
            "Effect": "Allow", "Action": actions, "Resource": key,
            "Condition": { "StringLike": { "kms:EncryptionContext:aws:s3:arn": format!("{bucket_arn}*") } },
        }));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": Json::Array(statements) });
    let text = serde_json::to_string_pretty(&policy).unwrap_or_default();
    let grant = Grant::new(format!("IAM policy of a {role} for {place}"), "json", text + "\n");
    match role {
        Role::Viewer => grant,
        Role::Deployer => grant.note(
            "IAM does not tell folding the log from removing the stack, nor a lock given back from one that was ended: a \
             deployer can do both; what is deleted stays in the bucket's old versions, which an admin alone can delete",
        ),
        Role::Admin => grant,
    }
}
