//! What is there in the mocked cloud, what is seen of it, and what requests do to it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::event::Verb;
use crate::resource::Values;
use crate::schema::{Role, Schema};
use crate::testing::cloud::{CloudCall, Inner};
use crate::testing::mocked::{flat, made_up};
use crate::urn::Urn;
use crate::value::Value;

/// Something that exists in the mocked cloud.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) type_name: &'static str,
    pub(super) urn: Urn,
    pub(super) token: String,
    pub(super) values: Values,
    /// Whether it is none of any stack's business.
    pub(super) stranger: bool,
    /// Since when it is seen; always where nothing is said.
    seen: Option<Instant>,
    /// What is seen of it until then.
    before: Option<(Instant, Values)>,
}

impl Thing {
    /// Something that no stack made.
    pub(super) fn found(schema: &Schema, urn: Urn, values: Values, stranger: bool) -> Self {
        Self { type_name: schema.type_name, urn, token: String::new(), values, stranger, seen: None, before: None }
    }

    /// What is seen of it.
    pub(super) fn shown(&self, now: Instant) -> Option<&Values> {
        match &self.before {
            _ if self.seen.is_some_and(|seen| seen > now) => None,
            Some((until, before)) if *until > now => Some(before),
            _ => Some(&self.values),
        }
    }
}

/// A create, update or delete on its way.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) schema: &'static Schema,
    pub(super) urn: Urn,
    pub(super) what: What,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) enum What {
    Create { token: String, args: Values },
    Update { id: String, prior: Values, args: Values },
    Delete { id: String },
}

impl Inner {
    /// Lets everything land that is due by now.
    pub(super) fn catch_up(&mut self) {
        if self.due.is_empty() && self.ghosts.is_empty() {
            return;
        }
        let now = Instant::now();
        self.due.sort_by_key(|(at, _)| *at);
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let (at, request) = self.due.remove(0);
            // Nobody is left to hear of a failure.
            let _ = self.effect(&request, at, true);
        }
        self.ghosts.retain(|(until, ..)| *until > now);
    }

    /// What is seen of a thing.
    pub(super) fn shown(&self, id: &str) -> Option<&Values> {
        let now = Instant::now();
        let ghost = || self.ghosts.iter().find(|(_, ghost, _)| ghost == id).and_then(|(.., thing)| thing.shown(now));
        self.things.get(id).and_then(|thing| thing.shown(now)).or_else(ghost)
    }

    /// Whether something holds the name that these inputs ask for. Names are unique within a type, as in most clouds.
    pub(super) fn name_taken(&self, schema: &Schema, args: &[Value]) -> bool {
        let Some(index) = schema.name_field() else { return false };
        let Some(name) = args.get(index).filter(|name| !name.is_null()) else { return false };
        let ghosts = self.ghosts.iter().map(|(.., thing)| thing);
        self.things
            .values()
            .chain(ghosts)
            .any(|thing| thing.type_name == schema.type_name && thing.values.get(index) == Some(name))
    }

    /// What a stranger has of this name is lost to it.
    fn give_way(&mut self, schema: &Schema, args: &[Value]) {
        let Some(index) = schema.name_field() else { return };
        let Some(name) = args.get(index).filter(|name| !name.is_null()) else { return };
        let same = |thing: &Thing| thing.type_name == schema.type_name && thing.values.get(index) == Some(name);
        self.things.retain(|_, thing| !thing.stranger || !same(thing));
    }

    /// Who names a thing in any of its inputs.
    fn users(&self, id: &str) -> Vec<Urn> {
        // What several things answered alike names none of them.
        let gave = |text: &str| {
            self.given.get(text).is_some_and(|of| {
                of.contains(id) && of.iter().all(|other| other == id || !self.things.contains_key(other))
            })
        };
        let names_it = |thing: &Thing| {
            let mut found = false;
            let mut look = |text: &str| {
                found |= text == id || self.weather.strict && gave(text);
            };
            thing.values.iter().for_each(|value| value.texts(&mut look));
            found
        };
        let others = self.things.iter().filter(|(other, thing)| *other != id && !thing.stranger && names_it(thing));
        others.map(|(_, thing)| thing.urn.clone()).collect()
    }

    /// A request has its effect. What was asked for by a process that is dead is `late`.
    pub(super) fn effect(
        &mut self,
        request: &Request,
        now: Instant,
        late: bool,
    ) -> Result<(String, Values, Instant), Error> {
        let Request { schema, urn, what } = request;
        // What lands late is seen at once: within the settle time all of it is over.
        let of = |longest| if late { Duration::ZERO } else { longest };
        let (lag, slow) = (of(self.weather.lag), of(self.weather.slow_deletes));
        let seen = now + self.dice.within(lag, schema.settle);
        let (verb, id, values, used_by) = match what {
            What::Create { token, args } => {
                self.leads_somewhere(schema, urn, args)?;
                if self.weather.takes_over {
                    self.give_way(schema, args);
                }
                if self.name_taken(schema, args) {
                    return Err(Error::new(ErrorKind::Conflict, "something of this name is there already"));
                }
                let (id, values) = self.make(schema, urn, token, args, now, seen);
                (Verb::Create, id, values, Vec::new())
            }
            What::Update { id, prior, args } => {
                self.leads_somewhere(schema, urn, args)?;
                let values = self.change(schema, urn, id, prior, args, seen)?;
                (Verb::Update, id.clone(), values, Vec::new())
            }
            What::Delete { id } => {
                let users = self.users(id);
                if self.refuses_while_used && !users.is_empty() {
                    let users: Vec<_> = users.iter().map(ToString::to_string).collect();
                    let message = format!("`{id}` is still used by {}", users.join(", "));
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                let thing = self.things.remove(id).ok_or_else(|| Error::not_found(format!("there is no `{id}`")))?;
                let until = now + self.dice.within(slow, schema.settle);
                if until > now {
                    self.ghosts.push((until, id.clone(), thing));
                }
                (Verb::Delete, id.clone(), Values::new(), users)
            }
        };
        self.calls.push(CloudCall { verb, urn: urn.clone(), id: Some(id.clone()), used_by, late });
        Ok((id, values, seen))
    }

    /// Refuses what refers to something that was there once and is not any more.
    fn leads_somewhere(&mut self, schema: &Schema, urn: &Urn, args: &[Value]) -> Result<(), Error> {
        if !self.weather.strict {
            return Ok(());
        }
        let mut lost = Vec::new();
        for (_, field) in schema.inputs().filter(|(_, field)| !field.name_mark) {
            let Some(value) = schema.index(field.name).and_then(|index| args.get(index)) else { continue };
            value.texts(&mut |text| {
                if self.given.get(text).is_some_and(|of| !of.iter().any(|id| self.things.contains_key(id))) {
                    lost.push(format!("`{}` of {urn} refers to `{text}`, which is not there", field.name));
                }
            });
        }
        let Some(first) = lost.first().cloned() else { return Ok(()) };
        self.dangling.extend(lost);
        Err(Error::invalid(first))
    }

    fn make(
        &mut self,
        schema: &'static Schema,
        urn: &Urn,
        token: &str,
        args: &[Value],
        now: Instant,
        seen: Instant,
    ) -> (String, Values) {
        // No cloud gives an id out twice.
        let short = schema.type_name.rsplit(':').next().unwrap_or("thing").to_lowercase();
        let mut id = format!("{short}-{}", flat(urn));
        let first = self.born.insert(urn.clone()) && !self.things.contains_key(&id);
        self.made += u64::from(!first);
        let version = if first { 0 } else { self.made };
        if version > 0 {
            id.push_str(&format!("-{version}"));
        }
        let mut values = made_up(schema, urn, &id, args, version);
        self.answered(schema, urn, &mut values);
        if self.weather.strict {
            self.given.entry(id.clone()).or_default().insert(id.clone());
            for (index, _) in schema.outputs().filter(|(_, field)| !field.volatile) {
                if let Some(value) = values.get(index) {
                    value.texts(&mut |text| {
                        self.given.entry(text.to_owned()).or_default().insert(id.clone());
                    });
                }
            }
        }
        let thing = Thing {
            type_name: schema.type_name,
            urn: urn.clone(),
            token: token.to_owned(),
            values: values.clone(),
            stranger: false,
            seen: (seen > now).then_some(seen),
            before: None,
        };
        self.things.insert(id.clone(), thing);
        (id, values)
    }

    fn change(
        &mut self,
        schema: &'static Schema,
        urn: &Urn,
        id: &str,
        prior: &[Value],
        args: &[Value],
        seen: Instant,
    ) -> Result<Values, Error> {
        self.made += 1;
        let fresh = made_up(schema, urn, id, args, self.made);
        let Some(thing) = self.things.get(id) else {
            return Err(Error::not_found(format!("there is no `{id}`")));
        };
        let mut values: Values = schema
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| match field.role {
                Role::Output if !field.volatile => prior.get(index).cloned().unwrap_or_default(),
                Role::Input if field.computed && args.get(index).is_some_and(Value::is_null) => {
                    thing.values.get(index).cloned().unwrap_or_default()
                }
                _ => fresh.get(index).cloned().unwrap_or_default(),
            })
            .collect();
        self.answered(schema, urn, &mut values);
        if let Some(thing) = self.things.get_mut(id) {
            let before = std::mem::replace(&mut thing.values, values.clone());
            thing.before = Some((seen, before));
            thing.urn = urn.clone();
        }
        Ok(values)
    }
}
