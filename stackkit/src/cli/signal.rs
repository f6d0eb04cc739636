//! Signals: the first one lets running calls end and starts no new ones, the second one ends the process at once.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio_util::sync::{CancellationToken, DropGuard};

type OnCancel = Box<dyn FnOnce() + Send>;

/// What Ctrl-C, SIGTERM and SIGHUP do to a run.
#[derive(Clone)]
pub(crate) struct Signals {
    token: CancellationToken,
    waiting: Arc<Mutex<Vec<OnCancel>>>,
    /// Ends the listening when nobody is left who would hear of it.
    _alive: Option<Arc<DropGuard>>,
}

impl Signals {
    /// Listens from now on, on a thread of its own: a provider that blocks all of the runtime's threads must not keep
    /// anybody from stopping it.
    pub(crate) fn listen(token: CancellationToken) -> Self {
        let signals = Self { token, waiting: Arc::default(), _alive: None };
        let gone = CancellationToken::new();
        let (opened, open) = mpsc::channel();
        let (listening, ended) = (signals.clone(), gone.clone());
        let listen = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
            runtime.block_on(async {
                let Some(mut stream) = Stream::open() else { return };
                // Whoever waits for it may have given up waiting.
                let _ = opened.send(());
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = stream.next() => listening.cancel(),
                }
                tokio::select! {
                    () = ended.cancelled() => {}
                    // As safe as a kill: whatever is open is resolved by the next run.
                    () = stream.next() => std::process::exit(130),
                }
            });
        };
        if std::thread::Builder::new().name("signals".into()).spawn(listen).is_ok() {
            // Without signals there is nothing to wait for: the thread has ended.
            let _ = open.recv();
        }
        Self { _alive: Some(Arc::new(gone.drop_guard())), ..signals }
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
