//! `Role`: what people may do with a stack, and the [`Grant`]s by which the stores of its state and of its keys enforce
//! that. The engine enforces nothing of it: whoever has a store's credentials need not use this program.

use std::fmt;

/// What somebody may do with a stack. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Reads the state. Cannot write it, nor open the data key, so sees no secret.
    Viewer,
    /// Reads and writes the state, and opens the data key: `up`, `destroy`, `refresh`.
    Deployer,
    /// Also removes the stack and changes its keys.
    Admin,
}

impl Role {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Deployer, Self::Admin];

    /// Its name, as commands take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }

    /// Whether it may write the state and open the data key.
    pub fn deploys(self) -> bool {
        self >= Self::Deployer
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What makes a store give somebody a role with one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it is and of which store, such as `IAM policy for s3://acme/orders`.
    pub title: String,
    /// The language of the text: `json`, `sql`, `yaml`, `hcl`, `sh`; `text` for words to people.
    pub language: &'static str,
    /// The text, to be given to the store's own tool as it is.
    pub text: String,
    /// What the store cannot tell apart, and what is to be seen to besides; whole sentences without a full stop.
    pub notes: Vec<String>,
}

impl Grant {
    /// A grant without notes.
    pub fn new(title: impl Into<String>, language: &'static str, text: impl Into<String>) -> Self {
        Self { title: title.into(), language, text: text.into(), notes: Vec::new() }
    }

    /// With a note more.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}
