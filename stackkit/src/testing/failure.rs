//! Rules by which calls of the mocked cloud fail.

use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::plan::names;
use crate::urn::Urn;

/// A rule by which calls fail.
#[derive(Debug, Clone)]
pub struct Failure {
    target: String,
    verb: Verb,
    kind: ErrorKind,
    message: String,
    times: u32,
    pub(super) moment: Moment,
    how: How,
}

/// At which moment of a call a failure comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before it has any effect.
    Before,
    /// A create has had its effect and said its id.
    Said,
    /// It has had its effect, and only its reply is lost.
    After,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Error,
    Panic,
    Hang,
}

impl Failure {
    /// Calls of this verb on this resource (its name, URN or type) fail, once.
    pub fn of(verb: Verb, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            verb,
            kind: ErrorKind::Invalid,
            message: "a failure that the test asked for".to_owned(),
            times: 1,
            moment: Moment::Before,
            how: How::Error,
        }
    }

    /// The kind of error; invalid where nothing is said.
    #[must_use]
    pub fn kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The error's text.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = message.to_owned();
        self
    }

    /// How many calls fail before one succeeds.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// The call has its effect, and only its reply is lost.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.moment = Moment::After;
        self
    }

    /// A create has its effect and says its id by [`Context::created`](crate::Context::created), and fails then.
    #[must_use]
    pub fn after_id(mut self) -> Self {
        self.moment = Moment::Said;
        self
    }

    /// The provider panics.
    #[must_use]
    pub fn panics(mut self) -> Self {
        self.how = How::Panic;
        self
    }

    /// The provider never answers.
    #[must_use]
    pub fn hangs(mut self) -> Self {
        self.how = How::Hang;
        self
    }

    /// Whether the rule is for this call; it is used up by one then.
    pub(super) fn applies(&mut self, verb: Verb, urn: &Urn, moment: Moment) -> bool {
        let applies = self.times > 0
            && self.verb == verb
            && self.moment == moment
            && (names(&self.target, urn) || self.target == urn.type_name());
        self.times -= u32::from(applies);
        applies
    }

    /// Fails as the rule says.
    pub(super) async fn strike(self) -> Error {
        match self.how {
            How::Error => Error::new(self.kind, self.message),
            How::Panic => std::panic::panic_any(self.message),
            How::Hang => std::future::pending().await,
        }
    }
}
