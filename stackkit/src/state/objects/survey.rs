//! `Survey`: where a log stands, by a listing of its objects alone.

use super::Listed;

/// What a key below a stack's prefix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A place of the sequence.
    Entry(u64),
    /// A folded state: the place that follows it, and the position that it reaches.
    Snapshot(u64, u64),
}

impl Kind {
    /// Whether it holds something, and does not only keep an old writer out.
    pub(super) fn is_content(self, size: u64) -> bool {
        size > 0 || matches!(self, Self::Snapshot(..))
    }
}

/// Reads what follows `stacks/NAME/` in a key.
pub(super) fn parse_key(rest: &str) -> Option<Kind> {
    match rest.split_once('/')? {
        ("log", place) => Some(Kind::Entry(number(place)?)),
        ("snap", numbers) => {
            let (place, position) = numbers.split_once('-')?;
            Some(Kind::Snapshot(number(place)?, number(position)?))
        }
        _ => None,
    }
}

/// A number that a log may reach: one that can be counted on from.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number <= u64::MAX / 2)
}

/// A folded state in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Folded {
    /// The place that follows it.
    pub(super) place: u64,
    /// The position that it reaches.
    pub(super) position: u64,
    /// When it was written, in seconds since 1970.
    pub(super) at: Option<u64>,
    pub(super) size: Option<u64>,
}

/// Where the log stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    /// Folded states, oldest first.
    pub(super) snapshots: Vec<Folded>,
    /// Places of entries after the newest folded state.
    pub(super) live: Vec<u64>,
    /// Places of entries that it holds.
    pub(super) folded: Vec<u64>,
    /// The first place that is free.
    pub(super) next: u64,
    pub(super) position: u64,
}

impl Survey {
    /// `None` where places are missing between others.
    pub(super) fn of(listed: &[(Kind, &Listed)]) -> Option<Self> {
        let mut survey = Self::default();
        for (kind, object) in listed {
            if let Kind::Snapshot(place, position) = *kind {
                survey.snapshots.push(Folded { place, position, at: object.at, size: Some(object.size) });
            }
        }
        survey.snapshots.sort();
        let (from, position) = survey.snapshots.last().map_or((0, 0), |folded| (folded.place, folded.position));
        survey.next = from;
        survey.position = position;
        let mut places: Vec<(u64, bool)> = listed
            .iter()
            .filter_map(|(kind, object)| match kind {
                Kind::Entry(place) => Some((*place, object.size > 0)),
                Kind::Snapshot(..) => None,
            })
            .collect();
        places.sort_unstable();
        for (place, is_entry) in places {
            if place < from {
                if is_entry {
                    survey.folded.push(place);
                }
                continue;
            }
            // Without a folded state, what keeps old writers out may stand anywhere before the first entry.
            let begins = survey.snapshots.is_empty() && survey.live.is_empty();
            if place != survey.next && !begins {
                return None;
            }
            survey.next = place + 1;
            if is_entry {
                survey.live.push(place);
                survey.position += 1;
            }
        }
        Some(survey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(keys: &[(&str, u64)]) -> Option<(Vec<u64>, u64, u64)> {
        let objects: Vec<Listed> =
            keys.iter().map(|(key, size)| Listed { key: (*key).to_owned(), size: *size, at: None }).collect();
        let listed: Vec<_> = objects.iter().filter_map(|object| Some((parse_key(&object.key)?, object))).collect();
        Survey::of(&listed).map(|survey| (survey.live, survey.next, survey.position))
    }

    #[test]
    fn a_listing_says_where_the_log_stands() {
        assert_eq!(survey(&[]), Some((vec![], 0, 0)));
        assert_eq!(survey(&[("log/0", 9), ("log/1", 9)]), Some((vec![0, 1], 2, 2)));
        // What keeps old writers out takes a place and no position.
        assert_eq!(survey(&[("log/0", 9), ("log/1", 0), ("log/2", 9)]), Some((vec![0, 2], 3, 2)));
        // Places that a folded state holds are passed over.
        assert_eq!(survey(&[("snap/5-4", 99), ("log/1", 0), ("log/4", 9), ("log/5", 9)]), Some((vec![5], 6, 5)));
        assert_eq!(survey(&[("snap/2-2", 9), ("snap/10-7", 9)]), Some((vec![], 10, 7)));
        // A stack of the name of a deleted one begins where that ended.
        assert_eq!(survey(&[("log/3", 0), ("log/7", 0), ("log/8", 9)]), Some((vec![8], 9, 1)));
    }

    #[test]
    fn a_missing_place_is_found() {
        assert_eq!(survey(&[("log/0", 9), ("log/2", 9)]), None);
        assert_eq!(survey(&[("snap/5-4", 9), ("log/6", 9)]), None);
    }

    #[test]
    fn other_keys_are_passed_over() {
        for key in ["log/x", "log/1/2", "snap/1", "snap/1-x", "other/1", "log", "log/18446744073709551615"] {
            assert_eq!(parse_key(key), None, "{key}");
        }
    }
}
