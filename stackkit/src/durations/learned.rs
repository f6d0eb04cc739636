//! What earlier runs took, in a file of the user's cache folder. A file that is lost or broken costs nothing but the
//! order in which steps start.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Durations;
use crate::event::{Event, Listener, Verb};
use crate::seal::hex;
use crate::urn::Urn;
use crate::user;

/// The version of the file; another one is passed over.
const VERSION: u32 = 2;

/// How many types, each with a verb, the file keeps.
const MOST_TYPES: usize = 2_000;

/// How many single resources the file keeps, over all stacks.
const MOST_STEPS: usize = 4_000;

/// Longer files are not ours, and are not read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What differs less from its type than this is not kept by itself.
const WORTH_NOTING: u64 = 250_000;

/// How long calls took in earlier runs: by type, and by resource where one differs from its type. It listens to a run,
/// and is saved with [`Learned::save`] after it.
#[derive(Debug)]
pub struct Learned {
    path: PathBuf,
    /// The stack, as the file names it.
    stack: String,
    earlier: OnceLock<File>,
    /// Microseconds of what this run did.
    fresh: Mutex<Vec<(Urn, Verb, u64)>>,
}

/// All durations are microseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    version: u32,
    /// By type and verb.
    types: BTreeMap<String, Mean>,
    /// By stack.
    stacks: BTreeMap<String, Stack>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Mean {
    mean: u64,
    /// When it was learned last, in seconds since 1970.
    at: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stack {
    /// When one of them was learned last, in seconds since 1970.
    at: u64,
    /// By URN and verb, where a resource differs from its type.
    steps: BTreeMap<String, u64>,
}

impl Learned {
    /// What is known of a stack, in a file. It is read when it is asked for the first time; one that is not there, or is
    /// broken, says nothing.
    pub fn new(path: impl Into<PathBuf>, dir: &Path, stack: &str) -> Self {
        // The name of the folder need not stand in the file.
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        Self {
            path: path.into(),
            stack: short_digest(&format!("{}\n{stack}", dir.display())),
            earlier: OnceLock::new(),
            fresh: Mutex::default(),
        }
    }

    /// `$XDG_CACHE_HOME/stackkit/durations.json`, or in `~/.cache`; `None` where the user has neither.
    pub fn file_of_user() -> Option<PathBuf> {
        Some(user::folder("XDG_CACHE_HOME", ".cache")?.join("stackkit/durations.json"))
    }

    /// Keeps what the run took, beside what is known, and forgets what is oldest where that is too much. A run that did
    /// nothing, or that took as long as was expected, writes nothing.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing depends on it.
    pub fn save(&self) -> std::io::Result<()> {
        let fresh = std::mem::take(&mut *self.fresh());
        if fresh.is_empty() {
            return Ok(());
        }
        // Another run may have written meanwhile.
        let mut file = read(&self.path);
        if !file.learn(&self.stack, &fresh, crate::clock::now()) {
            return Ok(());
        }
        file.shorten();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::Builder::new().prefix(".durations-").tempfile_in(folder)?;
        new.write_all(serde_json::to_string(&file)?.as_bytes())?;
        new.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    fn fresh(&self) -> MutexGuard<'_, Vec<(Urn, Verb, u64)>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Durations for Learned {
    fn expected(&self, urn: &Urn, verb: Verb) -> Option<Duration> {
        let earlier = self.earlier.get_or_init(|| read(&self.path));
        let own = earlier.stacks.get(&self.stack).and_then(|stack| stack.steps.get(&step_key(urn, verb)));
        let micros = own.copied().or_else(|| Some(earlier.types.get(&type_key(urn, verb))?.mean))?;
        Some(Duration::from_micros(micros))
    }
}

impl Listener for Learned {
    fn event(&self, event: &Event) {
        let Event::StepDone { urn, verb, elapsed } = event else { return };
        let verb = match verb {
            Verb::Create | Verb::Replace => Verb::Create,
            Verb::Update | Verb::Delete => *verb,
            _ => return,
        };
        self.fresh().push((urn.clone(), verb, u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)));
    }
}

impl File {
    /// Takes in what a run took; whether that says anything new.
    fn learn(&mut self, stack: &str, fresh: &[(Urn, Verb, u64)], now: u64) -> bool {
        let mut changed = false;
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (urn, verb, micros) in fresh {
            let sum = sums.entry(type_key(urn, *verb)).or_default();
            *sum = (sum.0.saturating_add(*micros), sum.1 + 1);
        }
        for (key, (sum, count)) in sums {
            let mean = sum / count;
            match self.types.get_mut(&key) {
                // A tenth is nothing that an order should hang on.
                Some(known) if known.mean.abs_diff(mean) <= (known.mean / 10).max(WORTH_NOTING / 10) => {}
                Some(known) => {
                    *known = Mean { mean: known.mean / 2 + mean / 2, at: now };
                    changed = true;
                }
                None => {
                    self.types.insert(key, Mean { mean, at: now });
                    changed = true;
                }
            }
        }
        let mut steps = self.stacks.remove(stack).unwrap_or_default();
        for (urn, verb, micros) in fresh {
            let of_type = self.types.get(&type_key(urn, *verb)).map_or(0, |known| known.mean);
            let key = step_key(urn, *verb);
            let differs = of_type.abs_diff(*micros) > (of_type / 2).max(WORTH_NOTING);
            match (differs, steps.steps.get(&key)) {
                (true, Some(known)) if known.abs_diff(*micros) <= known / 10 => {}
                (true, _) => {
                    steps.steps.insert(key, *micros);
                    (steps.at, changed) = (now, true);
                }
                (false, Some(_)) => {
                    steps.steps.remove(&key);
                    changed = true;
                }
                (false, None) => {}
            }
        }
        if !steps.steps.is_empty() {
            self.stacks.insert(stack.to_owned(), steps);
        }
        changed
    }

    /// Forgets the oldest types and stacks, and the shortest steps of a stack that alone has too many.
    fn shorten(&mut self) {
        self.version = VERSION;
        if self.types.len() > MOST_TYPES {
            let mut newest: Vec<(String, Mean)> = std::mem::take(&mut self.types).into_iter().collect();
            newest.sort_by_key(|(_, mean)| std::cmp::Reverse(mean.at));
            newest.truncate(MOST_TYPES);
            self.types = newest.into_iter().collect();
        }
        let mut left: usize = self.stacks.values().map(|stack| stack.steps.len()).sum();
        while left > MOST_STEPS && self.stacks.len() > 1 {
            let oldest = self.stacks.iter().min_by_key(|(_, stack)| stack.at).map(|(key, _)| key.clone());
            left -= oldest.and_then(|key| self.stacks.remove(&key)).map_or(0, |stack| stack.steps.len());
        }
        for stack in self.stacks.values_mut().filter(|stack| stack.steps.len() > MOST_STEPS) {
            let mut longest: Vec<(String, u64)> = std::mem::take(&mut stack.steps).into_iter().collect();
            longest.sort_by_key(|(_, micros)| std::cmp::Reverse(*micros));
            longest.truncate(MOST_STEPS);
            stack.steps = longest.into_iter().collect();
        }
    }
}

fn type_key(urn: &Urn, verb: Verb) -> String {
    format!("{} {}", urn.type_name(), verb.name())
}

/// A step by a digest: what the things of a stack are called is nothing for a cache.
fn step_key(urn: &Urn, verb: Verb) -> String {
    short_digest(&format!("{urn} {}", verb.name()))
}

fn short_digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

fn read(path: &Path) -> File {
    let whole = || -> Option<File> {
        if std::fs::metadata(path).ok()?.len() > LONGEST {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok().filter(|file: &File| file.version == VERSION)
    };
    whole().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(urn: &Urn, verb: Verb, millis: u64) -> Event {
        Event::StepDone { urn: urn.clone(), verb, elapsed: Duration::from_millis(millis) }
    }

    fn ran(path: &Path, steps: &[(&Urn, u64)]) -> Learned {
        let run = Learned::new(path, Path::new("/project"), "dev");
        steps.iter().for_each(|(urn, millis)| run.event(&done(urn, Verb::Create, *millis)));
        run.save().expect("saved");
        Learned::new(path, Path::new("/project"), "dev")
    }

    fn expected(learned: &Learned, urn: &Urn) -> Option<u64> {
        learned.expected(urn, Verb::Create).map(|duration| duration.as_millis() as u64)
    }

    #[test]
    fn a_type_is_known_by_its_mean_and_what_differs_from_it_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/durations.json");
        let (a, b, slow, new) = (Urn::new("t", "a"), Urn::new("t", "b"), Urn::new("t", "slow"), Urn::new("t", "new"));
        let next = ran(&path, &[(&a, 900), (&b, 1_100), (&slow, 10_000)]);
        assert_eq!(expected(&next, &slow), Some(10_000));
        assert_eq!(expected(&next, &new), Some(4_000));
        assert_eq!(next.expected(&a, Verb::Delete), None);
        // Another stack knows the types alone.
        let other = Learned::new(&path, Path::new("/project"), "prod");
        assert_eq!(expected(&other, &slow), Some(4_000));
        // What is as expected is not written again.
        let before = std::fs::read(&path).expect("a file");
        ran(&path, &[(&slow, 10_100)]);
        let next = ran(&path, &[(&a, 910)]);
        assert!(expected(&next, &a).is_some_and(|millis| millis < 4_000));
        assert_ne!(std::fs::read(&path).expect("a file"), before);
    }

    #[test]
    fn a_broken_file_says_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("durations.json");
        let a = Urn::new("t", "a");
        for broken in ["", "{", "[]", "{\"version\":9,\"types\":{},\"stacks\":{}}", "\u{0}\u{1}"] {
            std::fs::write(&path, broken).expect("written");
            assert_eq!(expected(&Learned::new(&path, Path::new("/project"), "dev"), &a), None);
            assert_eq!(expected(&ran(&path, &[(&a, 700)]), &a), Some(700), "{broken}");
        }
    }

    #[test]
    fn the_file_is_bounded_and_a_run_that_did_nothing_leaves_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("durations.json");
        ran(&path, &[]);
        assert!(!path.exists());
        let urns: Vec<Urn> = (0..6_000).map(|index| Urn::new(&format!("t{index}"), &format!("n{index}"))).collect();
        let steps: Vec<(&Urn, u64)> = urns.iter().map(|urn| (urn, 1_000)).collect();
        ran(&path, &steps);
        let slower: Vec<(&Urn, u64)> = urns.iter().map(|urn| (urn, 60_000)).collect();
        ran(&path, &slower);
        let file = read(&path);
        assert_eq!(file.types.len(), MOST_TYPES);
        assert!(file.stacks.values().map(|stack| stack.steps.len()).sum::<usize>() <= MOST_STEPS);
        assert!(std::fs::metadata(&path).expect("a file").len() < LONGEST / 4);
    }
}
