//! Errors and warnings on the screen: what is wrong, at which resource and field, where in the program, and the way out.

use std::fmt::Write as _;

use crate::diagnostic::Diagnostic;
use crate::ui::paint::Paint;
use crate::ui::text::{clean, clean_lines, wrap};

/// Something to be told to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong.
    pub message: String,
    /// The resource, if it is about one.
    pub resource: Option<String>,
    /// The field, if it is about one.
    pub field: Option<String>,
    /// File, line and column in the program.
    pub at: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Report {
    /// With a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Says the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<&Diagnostic> for Report {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            message: diagnostic.message.clone(),
            resource: diagnostic.urn.as_ref().map(ToString::to_string),
            field: diagnostic.field.clone(),
            at: diagnostic.at.clone(),
            help: diagnostic.help.clone(),
        }
    }
}

/// The reports one below the other, wrapped to so many columns.
pub fn render_reports(reports: &[Report], paint: Paint, columns: usize) -> String {
    let columns = columns.clamp(40, 120);
    let mut out = String::new();
    for (index, report) in reports.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let mut first = true;
        for text in clean_lines(&report.message) {
            for line in wrap(&text, columns - 7) {
                let head = if first { paint.bold(paint.red("error:")) } else { " ".repeat(6) };
                let _ = writeln!(out, "{head} {line}");
                first = false;
            }
        }
        let parts =
            [("resource", &report.resource), ("field", &report.field), ("at", &report.at), ("help", &report.help)];
        for (name, text) in parts {
            let Some(text) = text else { continue };
            let mut name = name;
            // Places and names stay in one piece, so that they can be copied and clicked.
            let lines = if name == "help" { wrap(&clean(text), columns - 12) } else { vec![clean(text).into_owned()] };
            for line in lines {
                let _ = writeln!(out, "  {}{line}", paint.dim(format!("{name:<10}")));
                name = "";
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::urn::Urn;

    #[test]
    fn a_report_names_everything_and_wraps() {
        let diagnostic = Diagnostic::refused("it is protected and would be deleted: it is no longer in the program")
            .on(&Urn::new("aws:rds:Instance", "orders"))
            .field("engine")
            .help("if that is meant, take the protection off with `.unprotected()` on its declaration and run `up`");
        let reports = [Report::from(&diagnostic), Report::new("two\nlines\u{1b}[31m")];
        assert_eq!(
            render_reports(&reports, Paint::PLAIN, 60),
            "\
error: it is protected and would be deleted: it is no longer
       in the program
  resource  aws:rds:Instance::orders
  field     engine
  help      if that is meant, take the protection off with
            `.unprotected()` on its declaration and run `up`

error: two
       lines\\u{1b}[31m
"
        );
    }
}
