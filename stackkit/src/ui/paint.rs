//! Colours, as far as they are wanted: one palette for all screens, and the choice that environment and options make.

use std::fmt::Display;

use anstream::ColorChoice;
use anstyle::{AnsiColor, Effects, Style};

use crate::plan::Action;

/// Puts colours around text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    color: bool,
}

impl Paint {
    /// Text as it is.
    pub const PLAIN: Paint = Paint { color: false };
    /// Text with colours.
    pub const COLOR: Paint = Paint { color: true };

    /// What `--color`, `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and the stream itself make of it for standard output.
    pub fn stdout() -> Self {
        Self { color: anstream::AutoStream::choice(&std::io::stdout()) != ColorChoice::Never }
    }

    /// The same for standard error.
    pub fn stderr() -> Self {
        Self { color: anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never }
    }

    fn with(self, style: Style, text: impl Display) -> String {
        let text = text.to_string();
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text }
    }

    /// What is new.
    pub fn green(self, text: impl Display) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// What goes, and what is wrong.
    pub fn red(self, text: impl Display) -> String {
        self.with(AnsiColor::Red.on_default(), text)
    }

    /// What changes in place, and what to beware of.
    pub fn yellow(self, text: impl Display) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// What is replaced.
    pub fn magenta(self, text: impl Display) -> String {
        self.with(AnsiColor::Magenta.on_default(), text)
    }

    /// What is adopted, and what is on its way.
    pub fn cyan(self, text: impl Display) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    /// What stands out.
    pub fn bold(self, text: impl Display) -> String {
        self.with(Style::new().effects(Effects::BOLD), text)
    }

    /// What stands back.
    pub fn dim(self, text: impl Display) -> String {
        self.with(Style::new().effects(Effects::DIMMED), text)
    }

    /// In the colour of an action.
    pub fn action(self, action: &Action, text: impl Display) -> String {
        match action {
            Action::Create => self.green(text),
            Action::Import { .. } => self.cyan(text),
            Action::Update => self.yellow(text),
            Action::Replace { .. } => self.magenta(text),
            Action::Delete => self.red(text),
            Action::Same | Action::Record | Action::Forget => self.dim(text),
        }
    }
}

/// The sign of an action, at most three characters.
pub fn symbol(action: &Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Import { .. } => "=",
        Action::Update => "~",
        Action::Replace { delete_first: false } => "+/-",
        Action::Replace { delete_first: true } => "-/+",
        Action::Delete => "-",
        Action::Forget => "x",
        Action::Record => "*",
        Action::Same => " ",
    }
}
