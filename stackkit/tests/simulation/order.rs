//! The oracle of order: it knows the program and the state before a run, and judges the calls that the cloud saw. It knows
//! nothing of plans.

use std::collections::{BTreeMap, BTreeSet};

use stackkit::Urn;
use stackkit::event::Verb;
use stackkit::state::model::{Instance, ResourceRecord, State, Status};
use stackkit::testing::CloudCall;

use crate::program::{How, Item, Ty};

/// A program, as the oracle sees it.
pub struct Judge<'a> {
    pub(crate) items: BTreeMap<&'a str, &'a Item>,
    /// Names of what was ever to be retained, or to go with another: the cloud holds on to what the state forgot.
    loose: &'a BTreeSet<String>,
}

impl<'a> Judge<'a> {
    pub fn new(items: &'a [Item], loose: &'a BTreeSet<String>) -> Self {
        Self { items: items.iter().map(|item| (item.name, item)).collect(), loose }
    }

    /// The declaration of a resource, by its name of today or of before.
    pub(crate) fn declared(&self, urn: &Urn) -> Option<&'a Item> {
        let same = |item: &&&Item| item.urn() == *urn;
        let of_before = || self.items.values().find(|item| item.former().contains(urn)).copied();
        self.items.get(urn.name()).filter(same).copied().or_else(of_before)
    }

    /// Whether one needs the other, directly or through others.
    fn needs(&self, item: &Item, other: &Item) -> bool {
        let mut open = vec![item];
        let mut seen = BTreeSet::new();
        while let Some(item) = open.pop() {
            for (of, _) in &item.uses {
                if *of == other.name {
                    return true;
                }
                if seen.insert(*of) {
                    open.extend(self.items.get(of).copied());
                }
            }
        }
        false
    }

    /// Whether its old instance may go before its new one is there: it says so, or its name does, or it follows from
    /// something that it needs.
    fn may_go_first(&self, item: &Item) -> bool {
        let by_itself = |item: &Item| {
            item.fixed || item.delete_first == Some(true) || item.ty == Ty::First && item.delete_first.is_none()
        };
        by_itself(item) || self.items.values().any(|other| by_itself(other) && self.needs(item, other))
    }

    /// Judges a run by the calls that it made.
    pub fn check(&self, before: &State, calls: &[CloudCall]) -> Result<(), String> {
        let ids: BTreeMap<&str, &ResourceRecord> = before
            .resources
            .values()
            .filter(|record| !record.id.is_empty())
            .map(|record| (record.id.as_str(), record))
            .collect();
        let mut users: BTreeMap<Instance, Vec<&ResourceRecord>> = BTreeMap::new();
        for record in before.resources.values() {
            for used in &record.dependencies {
                users.entry(*used).or_default().push(record);
            }
        }
        let own: Vec<(usize, &CloudCall)> = calls.iter().enumerate().filter(|(_, call)| !call.late).collect();
        for (at, call) in &own {
            let later = |urn: &Urn, verbs: &[Verb]| {
                own.iter().any(|(then, other)| then > at && other.urn == *urn && verbs.contains(&other.verb))
            };
            if call.verb != Verb::Delete {
                let Some(item) = self.declared(&call.urn) else {
                    return Err(format!("{} was made or changed, and the program does not declare it", call.urn));
                };
                for (of, _) in &item.uses {
                    let Some(used) = self.items.get(of) else { continue };
                    if later(&used.urn(), &[Verb::Create, Verb::Update]) {
                        return Err(format!("{} came before {}, which it needs", call.urn, used.urn()));
                    }
                }
                continue;
            }
            let Some(record) = call.id.as_deref().and_then(|id| ids.get(id)) else { continue };
            // An old name says nothing where something has the new one already.
            let taken = |item: &Item| before.resources.values().any(|record| record.urn == item.urn());
            let item = self.declared(&record.urn).filter(|item| item.urn() == record.urn || !taken(item));
            self.may_be_deleted(before, record, item)?;
            let first = item.filter(|item| self.may_go_first(item));
            // What was replaced by an earlier run has its successor.
            if let (Some(item), None) = (item, first)
                && record.status != Status::PendingDelete
                && !before.intents.values().any(|intent| intent.replaces == Some(record.instance))
                && later(&item.urn(), &[Verb::Create])
            {
                return Err(format!("{} was deleted before its successor was made", record.urn));
            }
            let exempt = |urn: &Urn| {
                self.loose.contains(urn.name())
                    || first.zip(self.declared(urn)).is_some_and(|(first, user)| self.needs(user, first))
            };
            // What was adopted has its name of before in the cloud.
            let owner = |urn: &'_ Urn| ids.get(urn.name()).map_or_else(|| urn.clone(), |record| record.urn.clone());
            if let Some(user) = call.used_by.iter().map(owner).find(|urn| !exempt(urn)) {
                return Err(format!("{} was deleted while {user} still referred to it", record.urn));
            }
            for user in users.get(&record.instance).into_iter().flatten() {
                let touched = own.iter().find(|(then, other)| {
                    then > at && other.id.as_deref() == Some(user.id.as_str()) && other.verb != Verb::Create
                });
                let Some((_, touched)) = touched else { continue };
                if touched.verb == Verb::Update && exempt(&user.urn) || self.loose.contains(user.urn.name()) {
                    continue;
                }
                return Err(format!(
                    "{} was deleted before the {} of {}, which was recorded to use it",
                    record.urn,
                    touched.verb.name(),
                    user.urn
                ));
            }
        }
        Ok(())
    }

    fn may_be_deleted(&self, before: &State, record: &ResourceRecord, item: Option<&Item>) -> Result<(), String> {
        // Of an instance that was replaced, the program has decided that replaced it.
        let successor = before.intents.values().find(|intent| intent.replaces == Some(record.instance));
        let (protected, retained) = match (item, successor) {
            (_, Some(intent)) => (false, intent.options.retain_on_delete),
            _ if record.status == Status::PendingDelete => (false, record.options.retain_on_delete),
            (Some(item), None) => (item.protect.unwrap_or(item.ty == Ty::Vault), item.retain),
            (None, None) => (record.options.protect, record.options.retain_on_delete),
        };
        match (protected, retained) {
            (true, _) => Err(format!("{} is protected, and was deleted", record.urn)),
            (_, true) => Err(format!("{} is to be retained, and was deleted", record.urn)),
            _ => Ok(()),
        }
    }
}

/// Which of the outputs of what it uses a thing must show in its inputs.
pub fn shows(how: How) -> Option<(&'static str, &'static str)> {
    match how {
        How::HardId => Some(("hard", "id")),
        How::SoftId => Some(("soft", "id")),
        How::HardAddress => Some(("hard", "address")),
        How::SoftAddress => Some(("soft", "address")),
        How::HardRevision => Some(("hard", "revision")),
        How::SoftRevision => Some(("soft", "revision")),
        How::Constant | How::After => None,
    }
}
