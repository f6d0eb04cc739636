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
use stackkit::error::ErrorKind;
use stackkit::state::backend::BackendError;
use stackkit::state::place::BackendUrl;

use super::url::Options;
use crate::Error;

/// Longest time to make a connection, and of one attempt of a request.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(60);
/// How often a request is attempted. Repeating a conditional write is safe: one that was kept is recognised.
const ATTEMPTS: u32 = 4;
/// The metadata that tells one write from another.
const WRITER: &str = "writer";

/// A bucket and a prefix in it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    s3: aws_sdk_s3::Client,
    place: String,
    options: Options,
}

/// An object, read.
pub(super) struct Object {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
    pub(super) writer: Option<String>,
    /// How many seconds ago it was written, both times by the store's clock and cut to whole seconds.
    pub(super) age: Option<i64>,
}

/// An object in a listing.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) size: i64,
    /// When it was written, in seconds since 1970.
    pub(super) at: Option<i64>,
}

/// What a conditional write found.
#[derive(Debug, Clone, Copy)]
pub(super) enum When<'a> {
    /// The object is not there.
    Absent,
    /// The object is this version.
    Is(&'a str),
}

/// What became of a conditional write.
pub(super) enum Put {
    /// It was kept; the object's ETag.
    Kept(String),
    /// The condition does not hold.
    Refused,
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
        Self(Arc::new(Inner { s3, place: url.to_string(), options }))
    }

    pub(super) fn place(&self) -> &str {
        &self.0.place
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(super) fn s3(&self) -> &aws_sdk_s3::Client {
        &self.0.s3
    }

    /// A key below the prefix.
    pub(super) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.0.options.prefix)
    }

    pub(super) fn error(&self, what: &'static str, error: Error) -> BackendError {
        if error.is("NoSuchBucket") {
            let bucket = &self.0.options.bucket;
            return BackendError::Unfit(format!(
                "there is no bucket `{bucket}`: add `?create=true` to the URL once, which makes it encrypted, versioned and closed to the public"
            ));
        }
        BackendError::service(what, self.place(), error)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Object>, BackendError> {
        let clock = StoreClock::default();
        let request = self.0.s3.get_object().bucket(&self.0.options.bucket).key(key);
        let answer = match request.customize().interceptor(clock.clone()).send().await.map_err(Error::from) {
            Ok(answer) => answer,
            Err(error) if error.is("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.error("read", error)),
        };
        let now = *clock.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = answer.last_modified().map(|time| time.secs());
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let writer = answer.metadata().and_then(|metadata| metadata.get(WRITER)).cloned();
        let body = answer.body.collect().await;
        let body = body.map_err(|error| BackendError::service("read", self.place(), error))?.to_vec();
        Ok(Some(Object { body, etag, writer, age: now.zip(written).map(|(now, written)| now - written) }))
    }

    /// Writes an object on a condition. Whatever fails is tried again a few times, and one's own write is recognised when
    /// only its answer was lost.
    pub(super) async fn put(&self, key: &str, when: When<'_>, body: &[u8], writer: &str) -> Result<Put, BackendError> {
        let mut attempt = 0;
        loop {
            let error = match self.put_once(key, when, body, writer).await {
                Ok(etag) => return Ok(Put::Kept(etag)),
                Err(error) => error,
            };
            let refused = error.is("PreconditionFailed") || (matches!(when, When::Is(_)) && error.is("NoSuchKey"));
            // Two writes of one object at the same moment: S3 asks to try again.
            let conflict = error.is("ConditionalRequestConflict") || error.is("OperationAborted");
            let unsure =
                matches!(error.kind(), ErrorKind::UnknownOutcome | ErrorKind::Transient | ErrorKind::Throttled);
            if refused || unsure {
                // What answers now is later than whatever became of the write.
                match self.get(key).await {
                    Ok(Some(there)) if there.writer.as_deref() == Some(writer) => return Ok(Put::Kept(there.etag)),
                    Ok(_) if refused => return Ok(Put::Refused),
                    Ok(_) | Err(_) if unsure && attempt < ATTEMPTS => {}
                    Ok(_) => return Err(self.error("write", error)),
                    Err(other) => return Err(other),
                }
            } else if !conflict || attempt >= ATTEMPTS {
                return Err(self.error("write", error));
            }
            tokio::time::sleep(Duration::from_millis(50) * 3_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    async fn put_once(&self, key: &str, when: When<'_>, body: &[u8], writer: &str) -> Result<String, Error> {
        let options = &self.0.options;
        let mut request = self
            .0
            .s3
            .put_object()
            .bucket(&options.bucket)
            .key(key)
            .content_type("application/json")
            .metadata(WRITER, writer)
            .body(ByteStream::from(body.to_vec()));
        request = match when {
            When::Absent => request.if_none_match("*"),
            When::Is(etag) => request.if_match(etag),
        };
        if let Some(key) = &options.kms_key {
            request = request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        let answer = request.send().await?;
        Ok(answer.e_tag().unwrap_or_default().to_owned())
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BackendError> {
        let mut objects = Vec::new();
        let mut next = None;
        loop {
            let request = self.0.s3.list_objects_v2().bucket(&self.0.options.bucket).prefix(prefix);
            let answer = match request.set_continuation_token(next).send().await.map_err(Error::from) {
                Ok(answer) => answer,
                Err(error) => return Err(self.error("list", error)),
            };
            objects.extend(answer.contents().iter().filter_map(|object| {
                Some(Listed {
                    key: object.key()?.to_owned(),
                    size: object.size().unwrap_or_default(),
                    at: object.last_modified().map(|time| time.secs()),
                })
            }));
            next = answer.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes objects, a thousand a request. Those that are gone already are no error.
    pub(super) async fn delete(&self, keys: &[String]) -> Result<(), BackendError> {
        for some in keys.chunks(1000) {
            let objects = some.iter().map(|key| ObjectIdentifier::builder().key(key).build()).collect::<Result<_, _>>();
            let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
            let delete = delete.map_err(|error| self.error("delete", Error::from(error)))?;
            let request = self.0.s3.delete_objects().bucket(&self.0.options.bucket).delete(delete);
            let answer = request.send().await.map_err(|error| self.error("delete", Error::from(error)))?;
            if let Some(error) = answer.errors().first() {
                let text = error.message().or(error.code()).unwrap_or("an object could not be deleted").to_owned();
                return Err(BackendError::service("delete in", self.place(), text));
            }
        }
        Ok(())
    }
}
