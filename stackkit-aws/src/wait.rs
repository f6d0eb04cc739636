//! Waiting: until something has come about, and past errors that pass by themselves.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use stackkit::Context;
use stackkit::error::ErrorKind;

use crate::error::Error;

/// What a look found.
pub(crate) enum Seen<T> {
    /// What was waited for.
    Ready(T),
    /// Not yet; the text says how far it is.
    Waiting(String),
}

/// How to wait.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Pause after the first look; it grows by half with each further one.
    pub(crate) first: Duration,
    /// Longest pause.
    pub(crate) longest: Duration,
    /// How many looks in a row must find it ready: some services show an old and a new state in turn.
    pub(crate) steady: u32,
}

impl Pace {
    /// For what takes seconds.
    pub(crate) const QUICK: Self =
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(5), steady: 1 };
    /// For what takes minutes and flaps on the way.
    #[cfg(feature = "rds")]
    pub(crate) const SLOW: Self =
        Self { first: Duration::from_millis(400), longest: Duration::from_secs(15), steady: 3 };
    /// Pause between looks that have found it ready.
    const BETWEEN_GOOD_LOOKS: Duration = Duration::from_secs(2);
}

/// Looks until it is ready, says how it goes, and gives up before the engine does.
///
/// A look that fails for a passing reason is one that found nothing; any other failure ends the wait.
pub(crate) async fn until<T, Fut>(
    cx: &Context,
    what: &str,
    pace: Pace,
    mut look: impl FnMut() -> Fut,
) -> Result<T, Error>
where
    Fut: Future<Output = Result<Seen<T>, Error>>,
{
    let start = Instant::now();
    let patience = patience(cx, Duration::MAX);
    let mut pause = pace.first;
    let mut good = 0;
    let mut said = String::new();
    loop {
        match look().await {
            Ok(Seen::Ready(found)) => {
                good += 1;
                if good >= pace.steady {
                    return Ok(found);
                }
            }
            Ok(Seen::Waiting(how)) => {
                good = 0;
                if how != said {
                    cx.progress(format!("waiting for {what}: {how}"));
                    said = how;
                }
            }
            Err(error) if passes(&error) => good = 0,
            Err(error) => return Err(error),
        }
        if start.elapsed() + pause > patience {
            let so_far = if said.is_empty() { String::new() } else { format!(", it is still {said}") };
            let seconds = start.elapsed().as_secs();
            return Err(Error::new(
                ErrorKind::UnknownOutcome,
                format!(
                    "waited {seconds} s for {what}{so_far}; look at it in AWS's console, or give it a longer time-out"
                ),
            ));
        }
        if good == 0 {
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause + pause / 2).min(pace.longest);
        } else {
            tokio::time::sleep(pause.min(Pace::BETWEEN_GOOD_LOOKS)).await;
        }
    }
}

/// Errors that pass by themselves, and how long that may take.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// The service's codes.
    pub(crate) codes: &'static [&'static str],
    /// Whether "not there" passes too: something new is not visible everywhere at once.
    pub(crate) new: bool,
    /// How long it may take.
    pub(crate) lasting: Duration,
}

impl Rule {
    /// Nothing passes but throttling.
    #[cfg(any(feature = "ec2", feature = "rds", test))]
    pub(crate) const NONE: Self = Self { codes: &[], new: false, lasting: Duration::from_secs(60) };
    /// The call names something that was made a moment ago.
    #[cfg(any(feature = "ec2", feature = "rds", test))]
    pub(crate) const NEW: Self = Self { codes: &[], new: true, lasting: Duration::from_secs(60) };

    /// These codes pass, within that many seconds.
    pub(crate) const fn passing(codes: &'static [&'static str], seconds: u64) -> Self {
        Self { codes, new: false, lasting: Duration::from_secs(seconds) }
    }

    fn covers(&self, error: &Error) -> bool {
        (self.new && error.is_not_found()) || error.code().is_some_and(|code| self.codes.contains(&code))
    }
}

/// How often a throttled call is repeated here before it is left to the engine.
const THROTTLED_ATTEMPTS: u32 = 8;

/// Calls until it succeeds or fails for good. Only errors that the service answered are passed over, so that a call
/// which may have had its effect is never repeated.
pub(crate) async fn retry<T, Fut>(cx: &Context, rule: Rule, mut call: impl FnMut() -> Fut) -> Result<T, Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    let start = Instant::now();
    let patience = patience(cx, rule.lasting);
    let mut pause = Duration::from_millis(200);
    let mut throttled = 0;
    loop {
        let error = match call().await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let covered = rule.covers(&error);
        if error.kind() == ErrorKind::Throttled {
            throttled += 1;
        } else if !covered {
            return Err(error);
        }
        if throttled >= THROTTLED_ATTEMPTS || start.elapsed() + pause > patience {
            // It was waited for already: the engine must not do so again from the start.
            let seconds = start.elapsed().as_secs();
            let judged = if covered && error.kind() == ErrorKind::Transient {
                error.with_kind(ErrorKind::Conflict)
            } else {
                error
            };
            return Err(judged.because(&format!("tried for {seconds} s")));
        }
        cx.progress(format!("trying again: {error}"));
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::UnknownOutcome)
}

/// The time that a wait may take: a little less than the engine gives the whole call, so that our message comes first.
fn patience(cx: &Context, most: Duration) -> Duration {
    (cx.timeout() / 20 * 19).min(most)
}

/// Between half of it and the whole, so that resources that started together do not knock together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause.mul_f64(random as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use stackkit::Urn;

    use super::*;

    const NOW: Pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(2), steady: 2 };

    fn context() -> Context {
        Context::detached(Urn::new("aws:test:Thing", "it"), "t")
    }

    #[tokio::test]
    async fn a_wait_wants_good_looks_in_a_row() {
        let looks = Cell::new(0);
        let found = until(&context(), "it", NOW, || async {
            looks.set(looks.get() + 1);
            // Good, bad, good, good: the first does not count.
            Ok(if looks.get() == 2 { Seen::Waiting("modifying".into()) } else { Seen::Ready(looks.get()) })
        })
        .await;
        assert_eq!(found.map_err(|e| e.to_string()), Ok(4));
    }

    #[tokio::test]
    async fn a_wait_ends_with_what_does_not_pass() {
        let denied = until::<(), _>(&context(), "it", NOW, || async { Err(Error::new(ErrorKind::Denied, "no")) }).await;
        assert_eq!(denied.map_err(|e| e.kind()), Err(ErrorKind::Denied));
    }

    #[tokio::test]
    async fn only_what_the_rule_names_is_tried_again() {
        let calls = Cell::new(0);
        let call = || async {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(Error::new(ErrorKind::NotFound, "not yet")) } else { Ok(()) }
        };
        assert!(retry(&context(), Rule::NONE, call).await.is_err());
        assert_eq!(calls.get(), 1);
        assert!(retry(&context(), Rule::NEW, call).await.is_ok());
        assert_eq!(calls.get(), 3);
    }

    #[tokio::test]
    async fn a_call_that_may_have_had_its_effect_is_never_repeated() {
        let calls = Cell::new(0);
        let outcome: Result<(), _> = retry(&context(), Rule::NEW, || async {
            calls.set(calls.get() + 1);
            Err(Error::new(ErrorKind::UnknownOutcome, "the connection broke"))
        })
        .await;
        assert_eq!((outcome.map_err(|e| e.kind()), calls.get()), (Err(ErrorKind::UnknownOutcome), 1));
    }

    #[tokio::test]
    async fn patience_ends_and_what_was_waited_for_is_not_waited_for_again() {
        let rule = Rule { codes: &[], new: true, lasting: Duration::from_millis(300) };
        let outcome: Result<(), _> =
            retry(&context(), rule, || async { Err(Error::new(ErrorKind::NotFound, "not yet")) }).await;
        assert!(outcome.is_err_and(|e| e.to_string().contains("tried for")));
    }
}
