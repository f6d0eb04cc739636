//! Signals: the first one lets running calls end and starts no new ones, the second one ends the process at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

type OnCancel = Box<dyn FnOnce() + Send>;

/// What Ctrl-C, SIGTERM and SIGHUP do to a run.
#[derive(Clone)]
pub(crate) struct Signals {
    token: CancellationToken,
    waiting: Arc<Mutex<Vec<OnCancel>>>,
}

impl Signals {
    /// Listens from now on. Must be called within the runtime.
    pub(crate) fn listen(token: CancellationToken) -> Self {
        let signals = Self { token, waiting: Arc::default() };
        let listening = signals.clone();
        let Some(mut stream) = Stream::open() else { return signals };
        tokio::spawn(async move {
            stream.next().await;
            listening.cancel();
            stream.next().await;
            // As safe as a kill: whatever is open is resolved by the next run.
            std::process::exit(130);
        });
        signals
    }

    fn cancel(&self) {
        self.token.cancel();
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(|call| call());
    }

    /// Calls this once when the run is cancelled; at once if it is already.
    pub(crate) fn on_cancel(&self, call: impl FnOnce() + Send + 'static) {
        if self.token.is_cancelled() {
            return call();
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(call));
        if self.token.is_cancelled() {
            self.cancel();
        }
    }

    /// What is cancelled by the first signal.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Whether the run was asked to stop.
    pub(crate) fn cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

/// The signals that end a run. Opened once, so that none is lost between two of them.
#[cfg(unix)]
struct Stream([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Stream {
    fn open() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(interrupt), Ok(terminate), Ok(hangup)] = kinds.map(signal) else { return None };
        Some(Self([interrupt, terminate, hangup]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The signals that end a run.
#[cfg(not(unix))]
struct Stream;

#[cfg(not(unix))]
impl Stream {
    fn open() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
