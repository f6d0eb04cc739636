//! Emptying a bucket: unfinished uploads, every version of every object, and delete marks.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use stackkit::Context;
use stackkit::error::ErrorKind;

use crate::connect::Aws;
use crate::error::Error;

/// Deletes everything in the bucket, a page of at most 1,000 at a time. A bucket that is gone is empty.
pub(super) async fn all(aws: &Aws, cx: &Context, bucket: &str) -> Result<(), Error> {
    match uploads(aws, bucket).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    }
    let mut deleted = 0_usize;
    loop {
        // Always the first page: what it showed is gone when it is asked for again.
        let page = aws.s3().list_object_versions().bucket(bucket).max_keys(1000).send().await?;
        let versions = page.versions().iter().filter_map(|it| Some((it.key()?, it.version_id())));
        let marks = page.delete_markers().iter().filter_map(|it| Some((it.key()?, it.version_id())));
        let mut objects = Vec::new();
        for (key, version) in versions.chain(marks) {
            let version = version.map(str::to_owned);
            objects.push(ObjectIdentifier::builder().key(key).set_version_id(version).build()?);
        }
        if objects.is_empty() {
            return Ok(());
        }
        let count = objects.len();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
        let answer = aws.s3().delete_objects().bucket(bucket).delete(delete).send().await?;
        if let Some(first) = answer.errors().first() {
            let (key, why) = (first.key().unwrap_or_default(), first.message().unwrap_or_default());
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("s3:DeleteObjects: {} objects stay, the first of them `{key}`: {why}", answer.errors().len()),
            ));
        }
        deleted += count;
        cx.progress(format!("deleted {deleted} versions of objects"));
    }
}

async fn uploads(aws: &Aws, bucket: &str) -> Result<(), Error> {
    loop {
        let page = aws.s3().list_multipart_uploads().bucket(bucket).send().await?;
        let mut aborted = false;
        for upload in page.uploads() {
            let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
            aws.s3().abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await?;
            aborted = true;
        }
        if !aborted || page.is_truncated() != Some(true) {
            return Ok(());
        }
    }
}
