//! `fit`: what a bucket lacks that is to hold states, said in one way for every store.

use crate::state::backend::BackendError;

/// Something that a bucket or container ought to have and has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Its name, as the option `accept` of the URL takes it.
    pub name: &'static str,
    /// What is wrong without it, and the command that puts it right.
    pub remedy: String,
}

/// That nothing is lacking, or one error that names all of it. `what` is such as ``the bucket `acme` ``.
///
/// # Errors
/// [`BackendError::Unfit`] when something is.
pub fn fit(what: &str, lacks: &[Lack]) -> Result<(), BackendError> {
    if lacks.is_empty() {
        return Ok(());
    }
    let remedies: Vec<_> = lacks.iter().map(|lack| lack.remedy.as_str()).collect();
    let names: Vec<_> = lacks.iter().map(|lack| lack.name).collect();
    Err(BackendError::Unfit(format!(
        "{what} is not fit to hold a state; {}; where a store has no such thing, `?accept={}` goes without",
        remedies.join("; "),
        names.join(",")
    )))
}
