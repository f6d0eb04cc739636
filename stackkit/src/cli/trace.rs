//! What is kept of a run beside what is shown of it: its timeline, if one was asked for, and how long its calls took.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::args::Applying;
use crate::cli::error::Failure;
use crate::cli::note;
use crate::durations::{Durations, Learned};
use crate::event::{Event, Listener};
use crate::timeline::Timeline;

/// Listens to a run. The default keeps nothing.
#[derive(Default)]
pub(super) struct Trace {
    learned: Option<Arc<Learned>>,
    drawing: Option<Drawing>,
}

/// A timeline, and the file that it goes to: opened before the run, so that it is known to be writable.
struct Drawing {
    timeline: Timeline,
    path: PathBuf,
    file: File,
}

impl Trace {
    /// What a run of this stack with these options keeps.
    ///
    /// # Errors
    /// When the file of the timeline cannot be written.
    pub(super) fn of(dir: &Path, stack: &str, applying: &Applying) -> Result<Self, Failure> {
        let drawing = match &applying.timeline {
            Some(path) => Some(Drawing::open(path)?),
            None => None,
        };
        let learned = Learned::file_of_user().map(|file| Arc::new(Learned::new(file, dir, stack)));
        Ok(Self { learned, drawing })
    }

    /// What earlier runs took.
    pub(super) fn durations(&self) -> Option<Arc<dyn Durations>> {
        self.learned.clone().map(|learned| learned as Arc<dyn Durations>)
    }

    /// Writes what is kept. The run has ended by now, well or not, and its exit status does not hang on this.
    pub(super) fn end(&self) {
        if let Some(drawing) = &self.drawing
            && let Err(error) = drawing.write()
        {
            note(&format!("warning: the timeline cannot be written to {}: {error}", drawing.path.display()));
        }
        // A cache that cannot be written costs nothing but the order of the next run.
        let _ = self.learned.as_ref().map(|learned| learned.save());
    }
}

impl Listener for Trace {
    fn event(&self, event: &Event) {
        if let Some(learned) = &self.learned {
            learned.event(event);
        }
        if let Some(drawing) = &self.drawing {
            drawing.timeline.event(event);
        }
    }
}

impl Drawing {
    fn open(path: &Path) -> Result<Self, Failure> {
        // What is there stays until there is something to put in its place, and as readable as it is. A new file is its
        // owner's alone: no secret stands in it, but names, ids and messages do.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            Failure::refused(format!("the timeline cannot be written to {}: {error}", path.display()))
                .help("--timeline names a file in a folder that exists; nothing was done")
        })?;
        Ok(Self { timeline: Timeline::new(), path: path.to_owned(), file })
    }

    fn write(&self) -> io::Result<()> {
        let mut file = &self.file;
        // A pipe or a terminal has no length and no place to go back to.
        if file.metadata()?.is_file() {
            file.set_len(0)?;
            file.rewind()?;
        }
        file.write_all(self.timeline.html().as_bytes())
    }
}
