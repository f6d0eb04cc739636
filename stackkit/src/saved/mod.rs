//! Saved plans: what a plan was made from and what it says, sealed in a file, and compared when it is to be applied.
//! No I/O but that of the file; the format stands byte by byte in SECURITY.md.

mod compare;
mod encode;
mod file;

use std::path::Path;

use encode::Use;

use crate::diagnostic::Diagnostic;
use crate::plan::{Plan, PlanOptions};
use crate::program::Program;
use crate::seal::{Purpose, Sealer, base64, json};
use crate::stack::Declarations;
use crate::state::store::Store;
use crate::value::Value;

pub(crate) use file::FileError;

/// A saved plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    /// Name of the program that made it.
    program: String,
    /// Name of the stack.
    stack: String,
    /// Where the state's log stood, and the code of everything in it.
    position: u64,
    fingerprint: String,
    /// The options that it was made with.
    pub(crate) options: PlanOptions,
    /// Whether reality was read before planning.
    pub(crate) refresh: bool,
    /// Config values that were set for the run alone.
    pub(crate) config: Vec<(String, String)>,
    /// What the program declared, and what the plan says.
    declared: Value,
    plan: Value,
}

/// What a plan is made from, beside the program.
pub(crate) struct Made<'a> {
    pub(crate) program: Option<Program>,
    pub(crate) stack: &'a str,
    pub(crate) options: &'a PlanOptions,
    pub(crate) refresh: bool,
    pub(crate) config: &'a [(String, String)],
}

impl Saved {
    /// Of a plan that was just made.
    pub(crate) fn new(made: &Made<'_>, store: &Store, declared: &Declarations, plan: &Plan) -> Self {
        Self {
            program: made.program.map(|program| program.name().to_owned()).unwrap_or_default(),
            stack: made.stack.to_owned(),
            position: store.changed().0.0,
            fingerprint: store.changed().1,
            options: PlanOptions { operation: None, ..made.options.clone() },
            refresh: made.refresh,
            config: made.config.to_vec(),
            declared: encode::declared(declared, Use::Kept),
            plan: encode::plan(declared, plan, Use::Kept),
        }
    }

    /// Seals it into a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be sealed or written.
    pub(crate) fn write(&self, path: &Path, sealer: &Sealer) -> Result<(), FileError> {
        file::write(path, sealer, &self.to_value()?)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// When there is none, or it is not a whole and unaltered plan of this stack.
    pub(crate) fn read(path: &Path, sealer: &Sealer) -> Result<Self, FileError> {
        let value = file::read(path, sealer)?;
        Self::from_value(&value).ok_or_else(|| FileError::Damaged { path: path.to_owned(), what: "it holds no plan" })
    }

    /// That it was made by this program for this stack, at the state as it is now.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check_origin(&self, program: Option<Program>, stack: &str, store: &Store) -> Result<(), Diagnostic> {
        let name = program.map(|program| program.name()).unwrap_or_default();
        if self.program != name {
            return Err(refuse(format!("it was made by the program `{}`, and this is `{name}`", self.program)));
        }
        if self.stack != stack {
            return Err(refuse(format!("it was made for the stack `{}`, and this is `{stack}`", self.stack)));
        }
        let (position, fingerprint) = (store.changed().0.0, store.changed().1);
        if self.position != position {
            return Err(refuse(format!("the state moved from serial {} to {position} since", self.position)));
        }
        if self.fingerprint != fingerprint {
            return Err(refuse(format!("the state at serial {position} is another one than it was")));
        }
        Ok(())
    }

    /// That the program declares what it declared.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check_declared(&self, declared: &Declarations) -> Result<(), Diagnostic> {
        match compare::declared(&self.declared, &encode::declared(declared, Use::Compared)) {
            None => Ok(()),
            Some(difference) => Err(refuse(format!("the program or its configuration changed: {difference}"))),
        }
    }

    /// That the same plan comes out.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check_plan(&self, declared: &Declarations, plan: &Plan) -> Result<(), Diagnostic> {
        let why = if self.refresh { "what is there is not as the plan saw it" } else { "another plan comes out" };
        match compare::plan(&self.plan, &encode::plan(declared, plan, Use::Compared)) {
            None => Ok(()),
            Some(difference) => Err(refuse(format!("{why}: {difference}"))),
        }
    }
}

/// A code of all that a plan says, values included: it tells nothing of them to who has no key.
pub(crate) fn digest(declared: &Declarations, plan: &Plan, sealer: &Sealer) -> String {
    let said = encode::plan(declared, plan, Use::Kept);
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(json::size(&said)));
    // What cannot be written cannot be sealed either: a plan of it is never applied.
    let _ = json::write_plain(&said, &mut text);
    base64(&sealer.code(Purpose::Audit, &[b"plan", &text]))
}

/// A refusal to apply a saved plan.
pub(crate) fn refuse(message: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::refused(format!("the saved plan is not applied: {message}"))
        .help("make a new one with `preview --save-plan FILE`, and look at it")
}

#[cfg(test)]
mod tests;
