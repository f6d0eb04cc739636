//! One read of a provider, tried again while that helps.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::context::{Context, RunInfo};
use crate::error::{Error, ErrorKind};
use crate::lookup::Query;
use crate::provider::Connection;
use crate::read::{DeclaredRead, Subject};
use crate::refresh::{apart, read_context};
use crate::resource::Values;
use crate::value::Value;

/// How often a read that fails in passing is tried.
const ATTEMPTS: u32 = 5;

/// A read that is ready to be made.
pub(crate) struct Asked {
    connection: Arc<dyn Connection>,
    cx: Context,
    what: What,
}

#[derive(Clone)]
enum What {
    Existing { ty: usize, id: String },
    Question { query: Arc<dyn Query>, args: Values },
}

impl Asked {
    /// Of a declared read, with its resolved inputs.
    ///
    /// # Errors
    /// When its type is not linked.
    pub(crate) fn of(
        read: &DeclaredRead,
        inputs: Values,
        connection: Arc<dyn Connection>,
        catalog: &Catalog,
        info: &Arc<RunInfo>,
    ) -> Result<Self, String> {
        let what = match &read.subject {
            Subject::Existing { schema, .. } => {
                let entry = catalog.get(schema.type_name).ok_or_else(|| Catalog::not_linked(schema.type_name))?;
                let id = inputs.first().and_then(Value::as_text).unwrap_or_default().to_owned();
                What::Existing { ty: entry.ty, id }
            }
            Subject::Question { query, .. } => What::Question { query: Arc::clone(query), args: inputs },
            Subject::Stack { .. } => return Err("a stack is not read through a provider".into()),
        };
        Ok(Self { connection, cx: read_context(info, read.urn.clone()), what })
    }

    /// Of a question that a program awaits.
    pub(crate) fn question(query: Arc<dyn Query>, args: Values, connection: Arc<dyn Connection>, cx: Context) -> Self {
        Self { connection, cx, what: What::Question { query, args } }
    }

    async fn once(&self) -> Result<Values, Error> {
        let (connection, cx, what) = (Arc::clone(&self.connection), self.cx.clone(), self.what.clone());
        let looking = async move {
            match what {
                What::Existing { ty, id } => match connection.read_existing(ty, &cx, &id).await {
                    Ok(Some(values)) => Ok(values),
                    Ok(None) => Err(missing(&id)),
                    Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(&id)),
                    Err(error) => Err(error),
                },
                What::Question { query, args } => connection.look_up(&*query, &cx, &args).await,
            }
        };
        apart(looking).await?
    }
}

fn missing(id: &str) -> Error {
    Error::not_found(format!("there is nothing with the id `{id}`"))
}

/// Reads; the error says what was looked for.
pub(crate) async fn ask(asked: Asked) -> Result<Values, Error> {
    let mut attempt = 1;
    loop {
        let error = match asked.once().await {
            Ok(values) => return Ok(values),
            Err(error) => error,
        };
        let passing = matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome);
        if !passing || attempt >= ATTEMPTS {
            return Err(error);
        }
        let delay = error.retry_after().unwrap_or(Duration::from_millis(100 << attempt));
        tokio::time::sleep(delay).await;
        attempt += 1;
    }
}
