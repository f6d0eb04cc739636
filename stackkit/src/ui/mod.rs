//! Screens: listeners that turn the engine's events into text for people or into JSON lines for programs.

mod json;
mod live;
mod paint;
mod plan;
mod report;
mod screen;
mod text;
mod value;

pub use crate::nearest::nearest;
pub use json::{JsonLines, operation_summary, plan_events};
pub use paint::Paint;
pub use plan::{PlanStyle, done_line, planned_line, render_outputs, render_plan};
pub use report::{Report, render_reports};
pub use screen::{Screen, ScreenOptions};
pub use text::{clean, count, duration, shorten};
pub(crate) use value::show;
pub use value::{Secrets, to_json, to_text};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors and results only.
    Quiet,
    /// What people usually want to know.
    #[default]
    Normal,
    /// Everything.
    Verbose,
}
