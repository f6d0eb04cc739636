//! `Client`: the few requests that a state needs, with their outcomes told apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::{Delete, ObjectIdentifier, ServerSideEncryption};
use stackkit::access::{Grant, Role};
use stackkit::context::BoxFuture;
use stackkit::error::ErrorKind;
use stackkit::state::backend::BackendError;
use stackkit::state::objects::{Listed, Object, Objects, Put, When, Write};
use stackkit::state::place::BackendUrl;

use super::url::Options;
use super::{access, bucket};
use crate::Error;

/// Longest time to make a connection, and of one attempt of a request.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(60);
/// How often a request is attempted.
const ATTEMPTS: u32 = 4;
/// The metadata that tells one write from another.
const WRITER: &str = "writer";

/// A bucket and a prefix in it.
#[derive(Debug)]
pub(super) struct Client {
    s3: aws_sdk_s3::Client,
    place: String,
    options: Options,
}

/// Notes the time by the store's clock.
#[derive(Debug, Clone, Default)]
struct StoreClock(Arc<Mutex<Option<i64>>>);

impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "store clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let time = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time.map(|time| time.secs());
        Ok(())
    }
}

impl Client {
    pub(super) async fn connect(url: &BackendUrl, options: Options) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
            );
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Self::new(url, options, &loader.load().await)
    }

    pub(super) fn new(url: &BackendUrl, options: Options, config: &SdkConfig) -> Self {
        let mut builder = aws_sdk_s3::config::Builder::from(config);
        // Whatever is not S3 itself rarely has names for its buckets.
        builder.set_force_path_style(Some(config.endpoint_url().is_some()));
        let s3 = aws_sdk_s3::Client::from_conf(builder.build());
        Self { s3, place: url.to_string(), options }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// A key below the prefix.
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.options.prefix)
    }

    pub(super) fn error(&self, what: &'static str, error: Error) -> BackendError {
        if error.is("NoSuchBucket") {
            let bucket = &self.options.bucket;
            return BackendError::Unfit(format!(
                "there is no bucket `{bucket}`: add `?create=true` to the URL once, which makes it encrypted, versioned and closed to the public"
            ));
        }
        match error.kind() {
            ErrorKind::Denied => BackendError::denied(what, &self.place, error),
            _ => BackendError::service(what, &self.place, error),
        }
    }

    /// Whether an error says that the bucket is still to be made: nothing is in it then.
    fn is_to_be_made(&self, error: &Error) -> bool {
        self.options.create && error.is("NoSuchBucket")
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, BackendError> {
        let clock = StoreClock::default();
        let request = self.s3.get_object().bucket(&self.options.bucket).key(self.key(key));
        let answer = match request.customize().interceptor(clock.clone()).send().await.map_err(Error::from) {
            Ok(answer) => answer,
            Err(error) if error.is("NoSuchKey") || self.is_to_be_made(&error) => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        let now = *clock.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = answer.last_modified().map(|time| time.secs());
        let age = now.zip(written).map(|(now, written)| u64::try_from(now - written).unwrap_or_default());
        let version = answer.e_tag().unwrap_or_default().to_owned();
        let writer = answer.metadata().and_then(|metadata| metadata.get(WRITER)).cloned();
        let body = answer.body.collect().await;
        let body = body.map_err(|error| BackendError::service("read", &self.place, error))?.to_vec();
        Ok(Some(Object { body, version, writer, age: age.map(Duration::from_secs) }))
    }

    async fn put(&self, write: Write<'_>) -> Result<Put, BackendError> {
        let error = match self.put_once(write).await {
            Ok(etag) => return Ok(Put::Kept(etag)),
            Err(error) => error,
        };
        let refused = error.is("PreconditionFailed") || (matches!(write.when, When::Is(_)) && error.is("NoSuchKey"));
        // Two writes of one object at the same moment: S3 asks to try again.
        let conflict = error.is("ConditionalRequestConflict") || error.is("OperationAborted");
        match error.kind() {
            _ if refused => Ok(Put::Refused),
            ErrorKind::UnknownOutcome | ErrorKind::Transient | ErrorKind::Throttled => {
                Ok(Put::Unsure(self.error("write", error)))
            }
            _ if conflict => Ok(Put::Unsure(self.error("write", error))),
            _ => Err(self.error("write", error)),
        }
    }

    async fn put_once(&self, write: Write<'_>) -> Result<String, Error> {
        let mut request = self
            .s3
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.key(write.key))
            .content_type("application/json")
            .metadata(WRITER, write.writer)
            .body(ByteStream::from(write.body.to_vec()));
        request = match write.when {
            When::Absent => request.if_none_match("*"),
            When::Is(etag) => request.if_match(etag),
        };
        if let Some(key) = &self.options.kms_key {
            request = request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        let answer = request.send().await?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BackendError> {
        let mut objects = Vec::new();
        let mut next = None;
        loop {
            let request = self.s3.list_objects_v2().bucket(&self.options.bucket).prefix(self.key(prefix));
            let answer = match request.set_continuation_token(next).send().await.map_err(Error::from) {
                Ok(answer) => answer,
                Err(error) if self.is_to_be_made(&error) => return Ok(Vec::new()),
                Err(error) => return Err(self.error("list", error)),
            };
            objects.extend(answer.contents().iter().filter_map(|object| {
                Some(Listed {
                    key: object.key()?.strip_prefix(&self.options.prefix)?.to_owned(),
                    size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    at: object.last_modified().and_then(|time| u64::try_from(time.secs()).ok()),
                })
            }));
            next = answer.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes objects, a thousand a request.
    async fn delete(&self, keys: &[String]) -> Result<(), BackendError> {
        for some in keys.chunks(1000) {
            let object = |key: &String| ObjectIdentifier::builder().key(self.key(key)).build();
            let objects = some.iter().map(object).collect::<Result<_, _>>();
            let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
            let delete = delete.map_err(|error| self.error("delete", Error::from(error)))?;
            let request = self.s3.delete_objects().bucket(&self.options.bucket).delete(delete);
            let answer = request.send().await.map_err(|error| self.error("delete", Error::from(error)))?;
            if let Some(error) = answer.errors().first() {
                let text = error.message().or(error.code()).unwrap_or("an object could not be deleted").to_owned();
                return Err(match error.code() {
                    Some("AccessDenied") => BackendError::denied("delete in", &self.place, text),
                    _ => BackendError::service("delete in", &self.place, text),
                });
            }
        }
        Ok(())
    }
}

impl Objects for Client {
    fn describe(&self) -> String {
        self.place.clone()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(bucket::prepare(self))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Object>, BackendError>> {
        Box::pin(self.get(key))
    }

    fn put<'a>(&'a self, write: Write<'a>) -> BoxFuture<'a, Result<Put, BackendError>> {
        Box::pin(self.put(write))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Listed>, BackendError>> {
        Box::pin(self.list(prefix))
    }

    fn access(&self, stack: &str, role: Role) -> Option<Grant> {
        Some(access::grant(&self.options, &self.place, stack, role))
    }

    fn delete<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.delete(keys))
    }
}
