//! `Google`: the provider, and its settings.

use std::fmt;
use std::sync::Arc;

use google_cloud_auth::credentials::Credentials;
use stackkit::error::ErrorKind;
use stackkit::resource::Ops;
use stackkit::{Properties, Provider, types};

use crate::api::{Api, Given};
use crate::{Error, secretmanager};

const SERVICE: &str = "https://secretmanager.googleapis.com";

/// Settings of the provider. Credentials are none of them.
#[derive(Debug, Clone, Default, PartialEq, Properties)]
pub struct Settings {
    /// The project that its resources are in, by its id. Unset: `GOOGLE_CLOUD_PROJECT`.
    pub project: Option<String>,
}

/// A connection to Google Cloud: one project. Cheap to clone.
#[derive(Clone)]
pub struct Google(Arc<Inner>);

struct Inner {
    project: String,
    secrets: Api,
}

impl fmt::Debug for Google {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Google").field("project", &self.0.project).finish_non_exhaustive()
    }
}

impl Google {
    /// With an endpoint and credentials of one's own, for programs that embed the engine and for tests. Without TLS it has
    /// to be on this machine.
    ///
    /// # Errors
    /// When the project or the endpoint is none.
    pub fn with_endpoint(project: &str, endpoint: impl Into<String>, credentials: Credentials) -> Result<Self, Error> {
        Self::open(project, Some(&Given { endpoint: endpoint.into(), credentials }))
    }

    fn open(project: &str, given: Option<&Given>) -> Result<Self, Error> {
        if !is_project(project) {
            let what = format!("provider `google`: `{}` is no id of a project", project.escape_debug());
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        Ok(Self(Arc::new(Inner { project: project.to_owned(), secrets: Api::open(SERVICE, given)? })))
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.0.project
    }

    pub(crate) fn secrets(&self) -> &Api {
        &self.0.secrets
    }
}

/// Whether it is a project's id or number.
pub(crate) fn is_project(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 100 && text.chars().all(letter)
}

impl Provider for Google {
    const NAME: &'static str = "google";
    const TYPES: &'static [&'static dyn Ops<Self>] = types![secretmanager::Secret];
    type Settings = Settings;
    type Error = Error;

    async fn connect(settings: Settings) -> Result<Self, Error> {
        let given = || std::env::var("GOOGLE_CLOUD_PROJECT").ok();
        let project = settings.project.or_else(given).filter(|text| !text.is_empty()).ok_or_else(|| {
            let way = "set GOOGLE_CLOUD_PROJECT, or the provider's setting `project`";
            Error::new(ErrorKind::Invalid, format!("provider `google`: no project is set; {way}"))
        })?;
        Self::open(&project, None)
    }

    /// The project: in another one everything would seem to have vanished. Whoever has no rights in it is refused.
    async fn identity(&self) -> Result<Option<String>, Error> {
        Ok(Some(format!("google:{}", self.0.project)))
    }
}
