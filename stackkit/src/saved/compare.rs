//! The first difference between what was saved and what is now, in words. Secrets differ without being shown.

use std::collections::{BTreeMap, BTreeSet};

use crate::value::Value;

/// Values are shown up to this many characters.
const SHOWN: usize = 60;

static EMPTY: BTreeMap<String, Value> = BTreeMap::new();
static NULL: Value = Value::Null;

fn fields(value: &Value) -> &BTreeMap<String, Value> {
    match value {
        Value::Map(fields) => fields,
        _ => &EMPTY,
    }
}

fn part<'a>(value: &'a Value, name: &str) -> &'a Value {
    fields(value).get(name).unwrap_or(&NULL)
}

/// The first key under which two maps differ, with both values.
fn first<'a>(then: &'a Value, now: &'a Value) -> Option<(&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let (then, now) = (fields(then), fields(now));
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differs = |then: &Option<&Value>, now: &Option<&Value>| !then.unwrap_or(&NULL).fits(now.unwrap_or(&NULL));
    let mut all = keys.into_iter().map(|key| (key.as_str(), then.get(key), now.get(key)));
    all.find(|(_, then, now)| differs(then, now))
}

/// The first difference between two declarations of a program.
pub(super) fn declared(then: &Value, now: &Value) -> Option<String> {
    if let Some((urn, then, now)) = first(part(then, "resources"), part(now, "resources")) {
        return Some(match (then, now) {
            (Some(then), Some(now)) => match first(part(then, "inputs"), part(now, "inputs")) {
                Some((field, then, now)) => format!("{urn}: `{field}` {}", was_and_is(then, now)),
                None => format!("the options of {urn} are others"),
            },
            (None, _) => format!("{urn} is new in it"),
            (_, None) => format!("{urn} is not in it any more"),
        });
    }
    for (part_name, what) in [("providers", "the provider instance"), ("outputs", "the output")] {
        if let Some((name, then, now)) = first(part(then, part_name), part(now, part_name)) {
            return Some(format!("{what} `{name}` {}", was_and_is(then, now)));
        }
    }
    (!then.fits(now)).then(|| "it is not what was saved".to_owned())
}

/// The first difference between two plans.
pub(super) fn plan(then: &Value, now: &Value) -> Option<String> {
    if let Some((key, then, now)) = first(part(then, "resources"), part(now, "resources")) {
        // The instance tells nobody anything, unless there are two.
        let urn = key.split_once(" (").map_or(key, |(urn, _)| urn);
        let action = |node: &Value| part(node, "action").as_text().unwrap_or_default().to_owned();
        return Some(match (then, now) {
            (Some(then), Some(now)) if action(then) != action(now) => {
                format!("{urn} takes `{}` now, where the plan says `{}`", action(now), action(then))
            }
            (Some(then), Some(now)) => match first(part(then, "changes"), part(now, "changes")) {
                Some((field, Some(then), Some(now))) if !part(then, "before").fits(part(now, "before")) => {
                    format!("{urn}: `{field}` {}", was_and_is(Some(part(then, "before")), Some(part(now, "before"))))
                }
                Some((field, Some(then), Some(now))) => {
                    format!("{urn}: `{field}` {}", would(part(then, "after"), part(now, "after")))
                }
                Some((field, None, _)) => format!("{urn}: `{field}` changes now too"),
                Some((field, _, None)) => format!("{urn}: `{field}` does not change any more"),
                _ => format!("{urn}: what was certain is not any more, or the other way round"),
            },
            (None, Some(now)) => format!("{urn} takes `{}` now, where the plan leaves it as it is", action(now)),
            (Some(then), None) => format!("{urn} stays as it is now, where the plan says `{}`", action(then)),
            (None, None) => format!("{urn} is another one"),
        });
    }
    let (name, then, now) = first(part(then, "outputs"), part(now, "outputs"))?;
    let after = |value: Option<&Value>| value.map(|value| part(value, "after").clone()).unwrap_or_default();
    Some(format!("the output `{name}` {}", would(&after(then), &after(now))))
}

fn was_and_is(then: Option<&Value>, now: Option<&Value>) -> String {
    let (then, now) = (then.unwrap_or(&NULL), now.unwrap_or(&NULL));
    if then.has_secret() || now.has_secret() {
        return "is another secret".into();
    }
    match (then.is_null(), now.is_null()) {
        (true, _) => format!("is {}, and was unset", shown(now)),
        (_, true) => format!("is unset, and was {}", shown(then)),
        _ => format!("is {}, and was {}", shown(now), shown(then)),
    }
}

fn would(then: &Value, now: &Value) -> String {
    if then.has_secret() || now.has_secret() {
        return "becomes another secret".into();
    }
    format!("becomes {}, where the plan says {}", shown(now), shown(then))
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Map(fields) if fields.len() == 1 => match fields.first_key_value() {
            Some((mark, Value::Text(of))) if mark == "$reference" => of.clone(),
            Some((mark, _)) if mark == "$unknown" => "known after apply".into(),
            Some((mark, _)) if mark.starts_with("$computed") => "computed otherwise".into(),
            _ => format!("{value:?}"),
        },
        other => format!("{other:?}"),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
