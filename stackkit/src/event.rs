//! Typed events: everything that happens in a run, for the terminal, JSON lines and programs that embed the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::hook::HookPoint;
use crate::plan::{Action, Plan};
use crate::urn::Urn;

/// What the engine was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Show what `up` would do.
    Preview,
    /// Make it so.
    Up,
    /// Delete everything.
    Destroy,
    /// Let the state follow reality.
    Refresh,
}

impl Operation {
    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Preview => "preview",
            Operation::Up => "up",
            Operation::Destroy => "destroy",
            Operation::Refresh => "refresh",
        }
    }
}

/// One thing that happened. Texts are scrubbed of secrets before they get here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A run began.
    Started {
        /// What it does.
        operation: Operation,
        /// On which stack.
        stack: String,
    },
    /// Something the user should know that is no error.
    Warning {
        /// The resource, if it is about one.
        urn: Option<Urn>,
        /// What it is.
        message: String,
    },
    /// A call that an earlier run left open was looked into.
    Recovered {
        /// The resource.
        urn: Urn,
        /// What was found and done.
        message: String,
    },
    /// Resources are being read.
    Refreshing {
        /// How many.
        count: usize,
    },
    /// What a program takes from elsewhere is being read.
    Reading {
        /// How many reads.
        count: usize,
    },
    /// A resource is not as the state has it.
    Drifted {
        /// The resource.
        urn: Urn,
        /// Names of the fields that differ; empty when it is gone.
        fields: Vec<String>,
        /// Whether it is gone altogether.
        gone: bool,
    },
    /// The plan is made.
    Planned {
        /// The plan.
        plan: Arc<Plan>,
    },
    /// A policy has something to say that refuses nothing.
    Advice {
        /// Name of the policy.
        policy: String,
        /// The resource, if it is about one.
        urn: Option<Urn>,
        /// What it says.
        message: String,
    },
    /// A condition on a value of the stack does not hold at the end of the run.
    CheckFailed {
        /// What does not hold.
        message: String,
        /// File, line and column in the program.
        at: String,
    },
    /// A call on a resource began.
    StepStarted {
        /// The resource.
        urn: Urn,
        /// What is done to it.
        verb: Verb,
    },
    /// A hook of the program began.
    HookStarted {
        /// The resource.
        urn: Urn,
        /// When it runs.
        point: HookPoint,
    },
    /// A hook of the program ended well.
    HookDone {
        /// The resource.
        urn: Urn,
        /// When it runs.
        point: HookPoint,
        /// How long it took.
        elapsed: Duration,
    },
    /// A hook of the program failed, and its step with it.
    HookFailed {
        /// The resource.
        urn: Urn,
        /// When it runs.
        point: HookPoint,
        /// How long it took.
        elapsed: Duration,
        /// Why.
        error: String,
    },
    /// A running call or hook said something.
    Progress {
        /// The resource.
        urn: Urn,
        /// What it said.
        message: String,
    },
    /// A call failed in passing and will be tried again.
    Retrying {
        /// The resource.
        urn: Urn,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How long until the next one.
        delay: Duration,
        /// Why it failed.
        error: String,
    },
    /// A call succeeded and its result is durable.
    StepDone {
        /// The resource.
        urn: Urn,
        /// What was done to it.
        verb: Verb,
        /// How long it took.
        elapsed: Duration,
    },
    /// A call failed for good.
    StepFailed {
        /// The resource.
        urn: Urn,
        /// What was to be done to it.
        verb: Verb,
        /// How long it took.
        elapsed: Duration,
        /// Why.
        error: String,
    },
    /// A resource was left as it is, because something before it failed or the run was cancelled.
    StepSkipped {
        /// The resource.
        urn: Urn,
        /// What was to be done to it.
        verb: Verb,
        /// Why not.
        because: String,
    },
    /// The run was asked to stop: nothing new starts.
    Cancelling {
        /// How many calls are still running.
        running: usize,
    },
    /// The run ended.
    Finished {
        /// What came of it.
        summary: Summary,
    },
}

/// What a step does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Makes a new one.
    Create,
    /// Changes it in place.
    Update,
    /// Makes its successor.
    Replace,
    /// Deletes it.
    Delete,
    /// Adopts something that exists.
    Import,
    /// Changes the state only.
    Record,
    /// Drops it from the state without a call.
    Forget,
    /// Reads something that the stack does not manage.
    Read,
}

impl Verb {
    /// The word for it, such as `create`.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Replace => "replace",
            Verb::Delete => "delete",
            Verb::Import => "import",
            Verb::Record => "record",
            Verb::Forget => "forget",
            Verb::Read => "read",
        }
    }
}

/// What came of a run, or what a plan would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Resources created.
    pub create: usize,
    /// Resources updated in place.
    pub update: usize,
    /// Resources replaced.
    pub replace: usize,
    /// Resources deleted.
    pub delete: usize,
    /// Resources adopted.
    pub import: usize,
    /// Resources dropped from the state without a call.
    pub forget: usize,
    /// Resources that are as they should be.
    pub same: usize,
    /// Resources that the selection left out.
    pub left_out: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Steps that were not tried.
    pub skipped: usize,
    /// Whether the run was cancelled.
    pub cancelled: bool,
    /// How long the run took.
    pub duration: Duration,
}

impl Summary {
    /// Whether anything was or would be changed.
    pub fn has_changes(&self) -> bool {
        self.create + self.update + self.replace + self.delete + self.import + self.forget > 0
    }

    /// Counts one planned or finished action.
    pub(crate) fn count(&mut self, action: &Action) {
        match action {
            Action::Same | Action::Record => self.same += 1,
            Action::Create => self.create += 1,
            Action::Import { .. } => self.import += 1,
            Action::Update => self.update += 1,
            Action::Replace { .. } => self.replace += 1,
            Action::Delete => self.delete += 1,
            Action::Forget => self.forget += 1,
        }
    }
}

/// Receives events. Called in order, from the engine's own task: do not block.
pub trait Listener: Send + Sync {
    /// One event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Listener for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
