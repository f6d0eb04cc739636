//! Verifying: whether the lines are those that were written, all of them, in their order, up to the one that the state
//! says is the last.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::line::Line;
use crate::seal::{Code, Sealer, base64, code_with, unbase64};
use crate::state::split_code;

/// Where the log ends, as the state says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many lines there are.
    pub(crate) lines: u64,
    /// The code of the last one; zero where there is none.
    pub(crate) chain: Code,
}

/// The keys that lines were written with, by the ids of their data keys.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<String, Zeroizing<Code>>);

impl Keys {
    /// The present one.
    pub(crate) fn new(sealer: &Sealer) -> Self {
        let mut keys = Self::default();
        keys.add(sealer.key_id(), sealer.audit_key().clone());
        keys
    }

    pub(super) fn get(&self, id: &str) -> Option<&Code> {
        self.0.get(id).map(|key| &**key)
    }

    /// One of before a change of the data key.
    pub(crate) fn add(&mut self, id: &str, key: Zeroizing<Code>) {
        self.0.insert(id.to_owned(), key);
    }
}

/// What is wrong with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Something that is no line stands after this one.
    Unreadable {
        /// The number of the line before.
        after: u64,
    },
    /// A line is not as it was written, or was never written.
    Edited {
        /// Its number.
        n: u64,
    },
    /// A line was written with a data key that the state knows nothing of.
    UnknownKey {
        /// Its number.
        n: u64,
        /// The id of the data key.
        key: String,
    },
    /// Lines are missing.
    Missing {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// A line stands there twice.
    Doubled {
        /// Its number.
        n: u64,
    },
    /// A line stands after one that was written later.
    Moved {
        /// Its number.
        n: u64,
    },
    /// From here on the log was written twice: the state went back to an earlier moment.
    Forked {
        /// The number of the first line that there are two of.
        n: u64,
    },
    /// The state says that there are more lines: the end was cut off.
    Cut {
        /// The number of the last line that is there.
        last: u64,
        /// How many there should be.
        lines: u64,
    },
    /// There are more lines than the state says: the state went back to an earlier moment.
    Ahead {
        /// The number of the last line that is there.
        last: u64,
        /// How many the state says that there are.
        lines: u64,
    },
    /// The last line is not the one that the state says.
    OtherEnd {
        /// Its number.
        n: u64,
    },
}

impl Fault {
    /// The number of the line that it is about.
    pub fn line(&self) -> u64 {
        match self {
            Fault::Unreadable { after } => after + 1,
            Fault::Missing { from, .. } => *from,
            Fault::Cut { last, .. } => last + 1,
            Fault::Ahead { lines, .. } => lines + 1,
            Fault::Edited { n }
            | Fault::UnknownKey { n, .. }
            | Fault::Doubled { n }
            | Fault::Moved { n }
            | Fault::Forked { n }
            | Fault::OtherEnd { n } => *n,
        }
    }

    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Unreadable { .. } => "unreadable",
            Fault::Edited { .. } => "edited",
            Fault::UnknownKey { .. } => "unknown-key",
            Fault::Missing { .. } => "missing",
            Fault::Doubled { .. } => "doubled",
            Fault::Moved { .. } => "moved",
            Fault::Forked { .. } => "forked",
            Fault::Cut { .. } => "cut",
            Fault::Ahead { .. } => "ahead",
            Fault::OtherEnd { .. } => "other-end",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreadable { after: 0 } => f.write_str("what stands before the first line is no line"),
            Fault::Unreadable { after } => write!(f, "what stands after line {after} is no line"),
            Fault::Edited { n } => write!(f, "line {n} was edited, or nobody with the stack's key wrote it"),
            Fault::UnknownKey { n, key } => {
                write!(f, "line {n} names the data key {}, which the state knows nothing of", key.escape_debug())
            }
            Fault::Missing { from, to } if from == to => write!(f, "line {from} is missing"),
            Fault::Missing { from, to } => write!(f, "lines {from} to {to} are missing"),
            Fault::Doubled { n } => write!(f, "line {n} stands there twice"),
            Fault::Moved { n } => write!(f, "line {n} stands after a later one"),
            Fault::Forked { n } => {
                write!(
                    f,
                    "line {n} was written twice: the state was put back to an earlier moment, and went on from there"
                )
            }
            Fault::Cut { last, lines } => {
                write!(f, "the end was cut off: line {last} is the last one, and there were {lines}")
            }
            Fault::Ahead { last, lines } => {
                write!(f, "the state was put back to an earlier moment: it knows {lines} lines, and the log has {last}")
            }
            Fault::OtherEnd { n } => write!(f, "the last line, {n}, is another one than the state says"),
        }
    }
}

/// What verifying found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many lines were looked at.
    pub lines: usize,
    /// What is wrong, in the order of the lines.
    pub faults: Vec<Fault>,
}

/// Whether a line's own code fits.
enum Own {
    Fits(Code),
    Edited,
    UnknownKey,
}

fn own(keys: &Keys, line: &Line, text: &str) -> Own {
    let Some(key) = keys.0.get(&line.key) else { return Own::UnknownKey };
    let prev = unbase64(&line.prev).unwrap_or_default();
    match split_code(text, "chain") {
        Some((body, chain)) if code_with(key, &[&prev, body.as_bytes()]) == chain => Own::Fits(chain),
        _ => Own::Edited,
    }
}

/// Looks at all lines, which begin with line 1 and end where the state says.
pub(crate) fn verify(texts: &[&str], keys: &Keys, head: Head) -> Report {
    let mut walk = Walk { next: 1, chain: Some(Code::default()), ..Walk::default() };
    for text in texts {
        walk.line(text, keys);
    }
    let last = walk.next - 1;
    let mut faults = walk.faults;
    faults.extend(walk.missing.iter().map(|(from, to)| Fault::Missing { from: *from, to: *to }));
    if last < head.lines {
        faults.push(Fault::Cut { last, lines: head.lines });
    } else if last > head.lines {
        faults.push(Fault::Ahead { last, lines: head.lines });
    } else if walk.chain.is_some_and(|chain| chain != head.chain) {
        faults.push(Fault::OtherEnd { n: last });
    }
    faults.sort_by_key(Fault::line);
    Report { lines: texts.len(), faults }
}

#[derive(Default)]
struct Walk<'a> {
    /// The number that should come.
    next: u64,
    /// The code of the line before; none where that line is missing or not as it was.
    chain: Option<Code>,
    /// What was there under each number; nothing where it was not as it was written.
    seen: BTreeMap<u64, Option<&'a str>>,
    missing: Vec<(u64, u64)>,
    faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    fn line(&mut self, text: &'a str, keys: &Keys) {
        let Some(line) = Line::parse(text) else {
            self.faults.push(Fault::Unreadable { after: self.next - 1 });
            return self.not_as_it_was(self.next);
        };
        let chain = match own(keys, &line, text) {
            Own::Fits(chain) => chain,
            // What it says of itself counts for nothing: it is named by where it stands.
            Own::Edited => {
                self.faults.push(Fault::Edited { n: self.next });
                return self.not_as_it_was(self.next);
            }
            Own::UnknownKey => {
                self.faults.push(Fault::UnknownKey { n: self.next, key: line.key });
                return self.not_as_it_was(self.next);
            }
        };
        let n = line.n;
        if n > self.next {
            self.missing.push((self.next, n - 1));
            self.chain = None;
        } else if n < self.next {
            match self.seen.get(&n) {
                Some(Some(there)) if *there == text => return self.faults.push(Fault::Doubled { n }),
                // In its place stood something else, which is said already.
                Some(None) => {
                    self.seen.insert(n, Some(text));
                    if n + 1 == self.next {
                        self.chain = Some(chain);
                    }
                    return;
                }
                None => {
                    self.found_late(n);
                    self.seen.insert(n, Some(text));
                    return self.faults.push(Fault::Moved { n });
                }
                // The newer branch is the one that the state goes on with.
                Some(Some(_)) => {
                    self.faults.push(Fault::Forked { n });
                    self.seen.split_off(&n);
                    self.missing.retain(|(from, _)| *from < n);
                    self.chain = None;
                }
            }
        } else if self.chain.is_some_and(|before| base64(&before) != line.prev) {
            self.faults.push(Fault::Forked { n });
        }
        self.seen.insert(n, Some(text));
        (self.next, self.chain) = (n + 1, Some(chain));
    }

    fn not_as_it_was(&mut self, n: u64) {
        self.seen.insert(n, None);
        (self.next, self.chain) = (n + 1, None);
    }

    /// A line that was missed is there after all.
    fn found_late(&mut self, n: u64) {
        let missing = std::mem::take(&mut self.missing);
        for (from, to) in missing {
            if (from..=to).contains(&n) {
                self.missing.extend((from < n).then(|| (from, n - 1)));
                self.missing.extend((n < to).then(|| (n + 1, to)));
            } else {
                self.missing.push((from, to));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{Event, Outcome, Told, write};
    use super::*;

    fn sealer() -> Sealer {
        Sealer::ephemeral().unwrap_or_else(|error| panic!("{error}"))
    }

    fn log(sealer: &Sealer, count: u64, run: &str, before: &[String]) -> Vec<String> {
        let mut all = before.to_vec();
        for n in all.len() as u64 + 1..=count {
            let prev =
                all.last().and_then(|text| split_code(text, "chain")).map(|(_, chain)| chain).unwrap_or_default();
            let event = Event::End { outcome: Outcome::Done, of: Vec::new(), counts: Default::default() };
            all.push(write(sealer, n, &prev, &Told::new(n, run, &event).expect("text")).0);
        }
        all
    }

    fn head(lines: &[String]) -> Head {
        let chain = lines.last().and_then(|text| split_code(text, "chain")).map(|(_, chain)| chain);
        Head { lines: lines.len() as u64, chain: chain.unwrap_or_default() }
    }

    fn found(sealer: &Sealer, lines: &[String], head: Head) -> String {
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        let report = verify(&texts, &Keys::new(sealer), head);
        report.faults.iter().map(|fault| format!("{} {}", fault.name(), fault.line())).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_line_dropped_doubled_swapped_edited_or_cut_is_named() {
        let sealer = sealer();
        let all = log(&sealer, 9, "run", &[]);
        let end = head(&all);
        assert_eq!(found(&sealer, &all, end), "");
        for at in 0..all.len() {
            let n = at + 1;
            let mut lines = all.clone();
            lines.remove(at);
            let name = if n == 9 { "cut" } else { "missing" };
            assert_eq!(found(&sealer, &lines, end), format!("{name} {n}"));

            let mut lines = all.clone();
            lines.insert(at, all[at].clone());
            assert_eq!(found(&sealer, &lines, end), format!("doubled {n}"));

            if n < all.len() {
                let mut lines = all.clone();
                lines.swap(at, at + 1);
                assert!(found(&sealer, &lines, end).starts_with(&format!("moved {n}")), "{n}");
            }
            // Every byte counts, and what an edit leaves is either no line or one that nobody wrote.
            for byte in (0..all[at].len()).step_by(7).chain([all[at].len() - 3]) {
                let mut bytes = all[at].clone().into_bytes();
                bytes[byte] ^= 1;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let mut lines = all.clone();
                lines[at] = text;
                let what = found(&sealer, &lines, end);
                assert!(
                    [format!("edited {n}"), format!("unreadable {n}"), format!("unknown-key {n}")].contains(&what),
                    "line {n}, byte {byte}: {what}"
                );
            }
            assert_eq!(found(&sealer, &all[..at], end), format!("cut {n}"));
        }
    }

    #[test]
    fn a_line_of_another_stack_is_nobodys() {
        let (sealer, other) = (sealer(), sealer());
        let mut all = log(&sealer, 5, "run", &[]);
        let end = head(&all);
        let strange = log(&other, 3, "run", &[])[2].clone();
        all.insert(3, strange.clone());
        assert_eq!(found(&sealer, &all, end), "unknown-key 4");
        all[3] = strange.replace(other.key_id(), sealer.key_id());
        assert_eq!(found(&sealer, &all, end), "edited 4");
    }

    #[test]
    fn a_state_that_was_put_back_is_seen() {
        let sealer = sealer();
        let all = log(&sealer, 9, "run", &[]);
        assert_eq!(found(&sealer, &all, head(&all[..6])), "ahead 7");
        let again = log(&sealer, 8, "another run", &all[..6]);
        let both: Vec<String> = all.iter().chain(&again[6..]).cloned().collect();
        assert_eq!(found(&sealer, &both, head(&again)), "forked 7");
        assert_eq!(found(&sealer, &all[..8], head(&again)), "other-end 8");
        assert_eq!(found(&sealer, &[], head(&[])), "");
        assert_eq!(found(&sealer, &[], head(&all)), "cut 1");
    }

    #[test]
    fn a_changed_data_key_leaves_the_lines_before_it_bound() {
        let (old, lineage) = (sealer(), sealer());
        let mut keys = Keys::new(&lineage);
        keys.add(old.key_id(), old.audit_key().clone());
        let before = log(&old, 4, "run", &[]);
        let all = log(&lineage, 7, "run", &before);
        let check = |lines: &[String]| {
            let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
            verify(&texts, &keys, head(&all)).faults
        };
        assert_eq!(check(&all), Vec::new());
        // Who had the old key can write the old lines anew, and not what follows them.
        let forged = log(&old, 4, "forged", &[]);
        let forged: Vec<String> = forged.into_iter().chain(all[4..].iter().cloned()).collect();
        assert_eq!(check(&forged), [Fault::Forked { n: 5 }]);
    }
}
