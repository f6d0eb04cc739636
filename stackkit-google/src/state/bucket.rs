//! Whether a bucket is fit to hold states, and making one that is.

use serde::Deserialize;
use serde_json::json;
use stackkit::error::ErrorKind;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Lack, fit};

use super::client::Client;
use crate::Error;

/// After how many days old versions of locks and of log entries go. Locks are rewritten every few seconds of a run.
const OLD_LOCKS: u32 = 1;
const OLD_STATES: u32 = 90;

/// What a bucket must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Versioning,
    UniformAccess,
    PublicAccessPrevention,
}

impl Need {
    pub(super) const ALL: [Self; 3] = [Self::Versioning, Self::UniformAccess, Self::PublicAccessPrevention];

    /// Its name, as the option `accept` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Versioning => "versioning",
            Self::UniformAccess => "uniform-access",
            Self::PublicAccessPrevention => "public-access-prevention",
        }
    }

    /// What is wrong without it, and the command that puts it right.
    fn remedy(self, bucket: &str) -> String {
        let (wrong, option) = match self {
            Self::Versioning => ("it keeps no old versions", "--versioning"),
            Self::UniformAccess => ("its objects may have access lists of their own", "--uniform-bucket-level-access"),
            Self::PublicAccessPrevention => ("it may be opened to the public", "--public-access-prevention"),
        };
        format!("{wrong}: `gcloud storage buckets update gs://{bucket} {option}`")
    }

    fn is_met(self, bucket: &Bucket) -> bool {
        match self {
            Self::Versioning => bucket.versioning.enabled,
            Self::UniformAccess => bucket.iam.uniform.enabled,
            Self::PublicAccessPrevention => bucket.iam.public_access_prevention.as_deref() == Some("enforced"),
        }
    }
}

/// What is asked of a bucket's resource.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Bucket {
    versioning: Switch,
    #[serde(rename = "iamConfiguration")]
    iam: Iam,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Iam {
    #[serde(rename = "uniformBucketLevelAccess")]
    uniform: Switch,
    #[serde(rename = "publicAccessPrevention")]
    public_access_prevention: Option<String>,
}

/// That the bucket is fit; makes it where it is not there and the URL says so.
pub(super) async fn prepare(client: &Client) -> Result<(), BackendError> {
    let options = client.options();
    let bucket = match look(client).await.map_err(|error| client.error("check the bucket of", error))? {
        Some(bucket) => bucket,
        None if options.create => {
            create(client).await.map_err(|error| client.error("make", error))?;
            let made = look(client).await.map_err(|error| client.error("check the bucket of", error))?;
            made.ok_or_else(|| client.no_bucket())?
        }
        None => return Err(client.no_bucket()),
    };
    let lacks: Vec<_> = Need::ALL
        .into_iter()
        .filter(|need| !options.accept.contains(need) && !need.is_met(&bucket))
        .map(|need| Lack { name: need.name(), remedy: need.remedy(&options.bucket) })
        .collect();
    fit(&format!("the bucket `{}`", options.bucket), &lacks)
}

async fn look(client: &Client) -> Result<Option<Bucket>, Error> {
    const PERMISSION: &str = "storage.buckets.get";
    let url = client.api(&["b", &client.options().bucket], &[("fields", "versioning,iamConfiguration")]);
    let answer = client.session().ask(PERMISSION, &[404], || client.session().http().get(url.clone())).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    serde_json::from_slice(&answer.body).map(Some).map_err(|_| Error::lacks(PERMISSION, "description of the bucket"))
}

/// Makes the bucket, all at once.
async fn create(client: &Client) -> Result<(), Error> {
    const PERMISSION: &str = "storage.buckets.create";
    let options = client.options();
    let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let project = options.project.clone().or_else(|| given("GOOGLE_CLOUD_PROJECT")).ok_or_else(|| {
        let text = "a bucket is made in a project: add `&project=ID` to the URL, or set GOOGLE_CLOUD_PROJECT";
        Error::new(ErrorKind::Invalid, text)
    })?;
    let rule = |folder: &str, days: u32| {
        json!({
            "action": { "type": "Delete" },
            "condition": { "daysSinceNoncurrentTime": days, "matchesPrefix": [client.key(folder)] },
        })
    };
    let mut bucket = json!({
        "name": options.bucket,
        "versioning": { "enabled": true },
        "iamConfiguration": {
            "uniformBucketLevelAccess": { "enabled": true },
            "publicAccessPrevention": "enforced",
        },
        "lifecycle": { "rule": [rule("locks/", OLD_LOCKS), rule("stacks/", OLD_STATES)] },
    });
    if let (Some(location), Some(bucket)) = (&options.location, bucket.as_object_mut()) {
        bucket.insert("location".into(), location.as_str().into());
    }
    let url = client.api(&["b"], &[("project", &project)]);
    let body = bucket.to_string();
    let request = || {
        let request = client.session().http().post(url.clone()).header("content-type", "application/json");
        request.body(body.clone())
    };
    // Another run, or an attempt whose answer was lost, may have made it: it is looked at next anyway.
    client.session().ask(PERMISSION, &[409], request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmet(bucket: &str) -> Vec<&'static str> {
        let bucket: Bucket = serde_json::from_str(bucket).unwrap_or_else(|error| panic!("{error}"));
        Need::ALL.into_iter().filter(|need| !need.is_met(&bucket)).map(Need::name).collect()
    }

    #[test]
    fn a_bucket_says_what_it_lacks() {
        let fit = r#"{"versioning":{"enabled":true},"iamConfiguration":{"bucketPolicyOnly":{"enabled":true},
            "uniformBucketLevelAccess":{"enabled":true,"lockedTime":"2027-01-01T00:00:00Z"},"publicAccessPrevention":"enforced"}}"#;
        assert_eq!(unmet(fit), [""; 0]);
        let fresh = r#"{"iamConfiguration":{"uniformBucketLevelAccess":{"enabled":false},"publicAccessPrevention":"inherited"}}"#;
        assert_eq!(unmet(fresh), ["versioning", "uniform-access", "public-access-prevention"]);
        assert_eq!(unmet(r#"{"versioning":{"enabled":true}}"#), ["uniform-access", "public-access-prevention"]);
        assert!(Need::Versioning.remedy("acme").contains("gcloud storage buckets update gs://acme --versioning"));
    }
}
