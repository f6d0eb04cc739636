//! One provider call as a task of its own: retried while that helps, bounded in time, and told apart by outcome. Hooks of
//! the program around it run in the same way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::apply::hooks::After;
use crate::context::{BoxFuture, Context, Reports, RunInfo};
use crate::error::{Error, ErrorKind};
use crate::hook::{HookPoint, Hooked, Occasion};
use crate::provider::Connection;
use crate::resource::{FoundValues, IntentValues, Values};
use crate::schema::Schema;
use crate::state::backend::{BackendError, Lease};
use crate::state::model::Instance;
use crate::urn::Urn;
use crate::value::Value;

/// How long a call may take where nothing else is said.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How often a call that fails in passing is tried.
const ATTEMPTS: u32 = 8;

/// What a running call says to the coordinator.
pub(crate) enum Message {
    /// The id is known; the sender waits until it is durable.
    Created { instance: Instance, id: String, durable: oneshot::Sender<Result<(), Error>> },
    /// A line for the screen.
    Progress { urn: Urn, message: String },
    /// A hook of the program began.
    HookStarted { urn: Urn, point: HookPoint },
    /// A hook of the program ended; with why it failed, if it did.
    HookEnded { urn: Urn, point: HookPoint, elapsed: Duration, error: Option<String> },
    /// It failed in passing.
    Retrying { urn: Urn, attempt: u32, delay: Duration, error: String },
}

/// What is asked of the provider.
#[derive(Clone)]
pub(crate) enum Ask {
    IsNameFree {
        args: Values,
    },
    Create {
        args: Values,
        name_was_free: Option<bool>,
    },
    Update {
        id: String,
        prior: Prior,
        args: Values,
    },
    Delete {
        id: String,
        prior: Prior,
    },
    /// Runs hooks of the program, before what is asked then.
    Before {
        hooks: Vec<Hooked>,
        then: Box<Ask>,
    },
    /// Runs hooks of the program, when everything else is done and durable.
    After(Box<After>),
}

/// What the state has of the thing that a call is about.
#[derive(Clone)]
pub(crate) struct Prior {
    pub(crate) values: Values,
    /// Whether its create or update was cut short, so that the values may lack what a provider counts on: it is read
    /// before the call.
    pub(crate) partial: bool,
}

/// What came of it.
pub(crate) enum Answer {
    NameIsFree(Option<bool>),
    Created { id: String, values: Values },
    Updated(Values),
    Deleted,
    HooksRan,
}

/// A call, ready to run.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) connection: Arc<dyn Connection>,
    pub(crate) ty: usize,
    pub(crate) schema: &'static Schema,
    pub(crate) urn: Urn,
    pub(crate) instance: Instance,
    pub(crate) token: Arc<str>,
    pub(crate) timeout: Duration,
    pub(crate) info: Arc<RunInfo>,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    /// The run's lock: no attempt starts unless it is still held. A call that outlives its run must not keep it.
    pub(crate) lease: Option<Weak<dyn Lease>>,
}

struct Channel {
    urn: Urn,
    instance: Instance,
    messages: mpsc::UnboundedSender<Message>,
    /// Whether the create has said what it made.
    made: AtomicBool,
}

impl Reports for Channel {
    fn created<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.made.store(true, Ordering::SeqCst);
            let (durable, wait) = oneshot::channel();
            let message = Message::Created { instance: self.instance, id: id.to_owned(), durable };
            let gone = || Error::new(ErrorKind::UnknownOutcome, "the run stopped before the id was durable");
            self.messages.send(message).map_err(|_| gone())?;
            wait.await.map_err(|_| gone())?
        })
    }

    fn progress(&self, message: String) {
        // Nobody is left to tell when the coordinator is gone, and that is no failure of the call.
        let _ = self.messages.send(Message::Progress { urn: self.urn.clone(), message });
    }
}

impl Call {
    /// Runs the call to its end.
    pub(crate) async fn run(self, ask: Ask) -> Result<Answer, Error> {
        let limit = self.timeout;
        let ask = match ask {
            Ask::Before { hooks, then } => return self.run_before(hooks, &then).await,
            Ask::After(after) => return self.run_hooks(after.hooks, Some(after.id), after.values, after.prior).await,
            ask => ask,
        };
        match tokio::time::timeout(limit, self.attempts(ask)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::UnknownOutcome,
                format!("no answer within {} s; the next run looks what became of it", limit.as_secs()),
            )),
        }
    }

    /// Runs hooks before a call, with what the call will be made with. Of something that is gone already there is nothing
    /// to say to a hook: the call itself will find that.
    async fn run_before(&self, hooks: Vec<Hooked>, then: &Ask) -> Result<Answer, Error> {
        let (_, cx) = self.context();
        match then {
            Ask::Update { id, prior, args } => {
                let Some(prior) = self.whole(&cx, id, prior).await? else { return Ok(Answer::HooksRan) };
                self.run_hooks(hooks, Some(id.clone()), args.clone(), Some(prior)).await
            }
            Ask::Delete { id, prior } => {
                let Some(values) = self.whole(&cx, id, prior).await? else { return Ok(Answer::HooksRan) };
                self.run_hooks(hooks, Some(id.clone()), values, None).await
            }
            Ask::Create { args, .. } => self.run_hooks(hooks, None, args.clone(), None).await,
            Ask::IsNameFree { .. } | Ask::Before { .. } | Ask::After(_) => Ok(Answer::HooksRan),
        }
    }

    /// Runs hooks one after the other, until one fails.
    async fn run_hooks(
        &self,
        hooks: Vec<Hooked>,
        id: Option<String>,
        values: Values,
        prior: Option<Values>,
    ) -> Result<Answer, Error> {
        let (_, cx) = self.context();
        for hook in hooks {
            let (urn, point) = (self.urn.clone(), hook.point);
            // Nobody is left to tell when the coordinator is gone.
            let _ = self.messages.send(Message::HookStarted { urn: urn.clone(), point });
            let started = Instant::now();
            let occasion = Occasion {
                schema: self.schema,
                cx: cx.clone(),
                id: id.clone(),
                values: values.clone(),
                prior: prior.clone(),
            };
            let result = match tokio::time::timeout(self.timeout, hook.run(occasion)).await {
                Ok(result) => result,
                Err(_) => Err(hook.failed(&format!("it did not end within {:?}", self.timeout))),
            };
            let (elapsed, error) = (started.elapsed(), result.as_ref().err().cloned());
            let _ = self.messages.send(Message::HookEnded { urn, point, elapsed, error });
            result.map_err(|error| Error::new(ErrorKind::Invalid, error))?;
        }
        Ok(Answer::HooksRan)
    }

    fn context(&self) -> (Arc<Channel>, Context) {
        let channel = Arc::new(Channel {
            urn: self.urn.clone(),
            instance: self.instance,
            messages: self.messages.clone(),
            made: AtomicBool::new(false),
        });
        let cx = Context {
            shared: Arc::clone(&self.info),
            urn: self.urn.clone(),
            token: Arc::clone(&self.token),
            timeout: self.timeout,
            reports: Arc::clone(&channel) as Arc<dyn Reports>,
        };
        (channel, cx)
    }

    async fn attempts(&self, ask: Ask) -> Result<Answer, Error> {
        let (channel, cx) = self.context();
        let mut attempt = 1;
        loop {
            if let Some(lease) = &self.lease {
                let lost = |error: BackendError| Error::new(ErrorKind::UnknownOutcome, error.to_string());
                let lease = lease.upgrade().ok_or_else(|| lost(BackendError::Lost(None)))?;
                lease.confirm().await.map_err(lost)?;
            }
            let started = Instant::now();
            let error = match self.once(&cx, &ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if channel.made.load(Ordering::SeqCst) {
                // It is there and its id is durable: to create again would make a second one.
                return Err(error);
            }
            let retry = match error.kind() {
                ErrorKind::Throttled | ErrorKind::Transient => true,
                // Repeating an update or a delete has the same effect; a create is looked for first.
                ErrorKind::UnknownOutcome => match &ask {
                    Ask::Create { args, name_was_free } => {
                        match self.look_for(&cx, args, *name_was_free, started).await? {
                            Some(found) => return Ok(found),
                            None => true,
                        }
                    }
                    _ => true,
                },
                _ => false,
            };
            if !retry || attempt >= ATTEMPTS {
                return Err(error);
            }
            let delay = error.retry_after().unwrap_or_else(|| back_off(attempt, &self.token));
            let _ = self.messages.send(Message::Retrying {
                urn: self.urn.clone(),
                attempt,
                delay,
                error: error.message().to_owned(),
            });
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn once(&self, cx: &Context, ask: &Ask) -> Result<Answer, Error> {
        match ask {
            Ask::IsNameFree { args } => self.connection.is_name_free(self.ty, cx, args).await.map(Answer::NameIsFree),
            Ask::Create { args, .. } => {
                let (id, values) = self.connection.create(self.ty, cx, args).await?;
                Ok(Answer::Created { id, values })
            }
            Ask::Update { id, prior, args } => {
                let gone = || Error::not_found("it is gone: run the command again for a new plan");
                let prior = self.whole(cx, id, prior).await?.ok_or_else(gone)?;
                self.connection.update(self.ty, cx, id, &prior, args).await.map(Answer::Updated)
            }
            Ask::Delete { id, prior } => {
                let Some(prior) = self.whole(cx, id, prior).await? else { return Ok(Answer::Deleted) };
                match self.connection.delete(self.ty, cx, id, &prior).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Answer::Deleted),
                    other => other.map(|()| Answer::Deleted),
                }
            }
            Ask::Before { .. } | Ask::After(_) => Ok(Answer::HooksRan),
        }
    }

    /// The present values of what a call is about, read first where the state may lack some; `None` when it is gone.
    async fn whole(&self, cx: &Context, id: &str, prior: &Prior) -> Result<Option<Values>, Error> {
        if !prior.partial {
            return Ok(Some(prior.values.clone()));
        }
        match self.connection.read(self.ty, cx, id, Some(&prior.values)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    /// Looks for what a create with an unknown outcome made. `None` says that it certainly made nothing; where the look
    /// fails, the outcome stays unknown, and the intent stays open for the next run.
    async fn look_for(
        &self,
        cx: &Context,
        args: &Values,
        name_was_free: Option<bool>,
        since: Instant,
    ) -> Result<Option<Answer>, Error> {
        let intent = IntentValues { args: args.clone(), token: self.token.to_string(), name_was_free };
        loop {
            let found = self.connection.find(self.ty, cx, &intent).await.map_err(|error| {
                let message = format!("looking whether the create had its effect failed: {}", error.message());
                Error::new(ErrorKind::UnknownOutcome, message)
            })?;
            match found {
                FoundValues::Ours(id, values) => {
                    cx.created(&id).await?;
                    // The create got as far as its answer and no further: what comes after it is still to be done.
                    let values = match self.is_unfinished(args, &values) {
                        true => self.connection.update(self.ty, cx, &id, &values, args).await?,
                        false => values,
                    };
                    return Ok(Some(Answer::Created { id, values }));
                }
                FoundValues::Nothing if since.elapsed() >= self.info.settle(self.schema) => return Ok(None),
                FoundValues::Nothing => tokio::time::sleep(Duration::from_millis(500)).await,
                FoundValues::CannotTell if self.schema.pure => return Ok(None),
                FoundValues::CannotTell => {
                    return Err(Error::new(
                        ErrorKind::UnknownOutcome,
                        "nobody can tell whether the create had its effect",
                    ));
                }
            }
        }
    }

    /// Whether what was found differs from what was asked for in something that an update can mend.
    fn is_unfinished(&self, args: &Values, found: &Values) -> bool {
        let canonical = |field: &crate::schema::Field, value: &Value| (field.ty.canonical)(value.clone());
        self.schema.inputs().filter(|(_, field)| !field.write_only && !field.replace).any(|(index, field)| {
            match (args.get(index), found.get(index)) {
                (Some(asked), Some(found)) if !asked.is_null() => canonical(field, asked) != canonical(field, found),
                _ => false,
            }
        })
    }
}

/// Exponential back-off with jitter: between half and the whole of 0.2 s doubled per attempt, 20 s at most.
fn back_off(attempt: u32, token: &str) -> Duration {
    let ceiling = 200u64.saturating_mul(1 << attempt.min(10)).min(20_000);
    let seed = token.bytes().fold(u64::from(attempt), |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Duration::from_millis(ceiling / 2 + seed % (ceiling / 2).max(1))
}
