//! Reading a state without a key: what stands there in plain text, with every secret sealed and no code checked. Whoever
//! can edit the state can make it say anything here; nothing of it may be acted on.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::backend::Loaded;
use super::codec::Codec;
use super::error::StateError;
use super::model::{Change, Key, State};
use super::{format, records};
use crate::seal::Sealer;

/// The version of the format that this reads.
const VERSION: u64 = 1;

/// What a snapshot says in plain text.
#[derive(Deserialize)]
struct Snapshot<'a> {
    stackkit: u64,
    lineage: String,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// What an entry says in plain text.
#[derive(Deserialize)]
struct Entry<'a> {
    stackkit: u64,
    lineage: String,
    n: u64,
    #[serde(borrow)]
    put: Vec<&'a RawValue>,
    del: Vec<String>,
}

/// The records of a log that claims to be this stack's. `place` names it in errors.
pub(crate) fn read(loaded: &Loaded, lineage: &str, place: &str) -> Result<State, StateError> {
    // It opens nothing: the codec takes every seal for one that stays shut.
    let nothing = Sealer::ephemeral()?;
    let codec = Codec::shut(&nothing);
    let mut state = State::default();
    let mut position = 0;
    if let Some(bytes) = &loaded.snapshot {
        let place = || format!("the snapshot in {place}");
        let snapshot: Snapshot<'_> = parse(bytes, &place)?;
        check(snapshot.stackkit, &snapshot.lineage, lineage, &place)?;
        for raw in snapshot.records {
            state.apply(Change::Put(records::decode_unverified(&codec, raw.get(), &place)?));
        }
        position = format::snapshot_position(bytes).unwrap_or_default();
    }
    for (index, bytes) in loaded.entries.iter().enumerate() {
        let place = || format!("journal entry {} of {} in {place}", index + 1, loaded.entries.len());
        let entry: Entry<'_> = parse(bytes, &place)?;
        check(entry.stackkit, &entry.lineage, lineage, &place)?;
        // A crash may leave entries that the snapshot holds.
        if entry.n <= position {
            continue;
        }
        position = entry.n;
        for raw in entry.put {
            state.apply(Change::Put(records::decode_unverified(&codec, raw.get(), &place)?));
        }
        for name in &entry.del {
            let key = Key::parse(name).ok_or_else(|| StateError::EntryEdited { place: place() })?;
            state.apply(Change::Remove(key));
        }
    }
    Ok(state)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], place: &dyn Fn() -> String) -> Result<T, StateError> {
    serde_json::from_slice(bytes).map_err(|error| StateError::Malformed { place: place(), detail: error.to_string() })
}

fn check(version: u64, found: &str, lineage: &str, place: &dyn Fn() -> String) -> Result<(), StateError> {
    if version != VERSION {
        return Err(StateError::Newer { place: place(), found: version, known: VERSION });
    }
    if found != lineage {
        let found = found.escape_debug().to_string();
        return Err(StateError::ForeignLineage { place: place(), found, expected: lineage.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::backend::{Backend as _, Holder};
    use crate::state::model::{OutputRecord, Record};
    use crate::state::{MemoryBackend, Store};
    use crate::value::Value;

    fn put(name: &str, value: Value) -> Change {
        Change::Put(Record::Output(OutputRecord { name: name.into(), value }))
    }

    async fn written() -> (MemoryBackend, String) {
        let backend = MemoryBackend::default();
        let sealer = Arc::new(Sealer::ephemeral().expect("random bytes"));
        let (mut store, _) = Store::open(Arc::new(backend.clone()), Arc::clone(&sealer)).await.expect("it opens");
        store.lock(Holder::new("test").expect("random bytes")).await.expect("nobody holds it");
        let nested = Value::List(vec![Value::Int(1), Value::text("hunter2").into_secret()]);
        store.commit(&[put("url", Value::text("https://a")), put("gone", Value::Int(1))]).await.expect("it is kept");
        store.fold().await.expect("it folds");
        let more = [put("password", Value::text("hunter2").into_secret()), put("nested", nested)];
        store.commit(&more).await.expect("it is kept");
        store.commit(&[Change::Remove(Key::Output("gone".into()))]).await.expect("it is kept");
        (backend, sealer.lineage().to_owned())
    }

    #[tokio::test]
    async fn what_is_plain_is_read_and_what_is_sealed_stays_so() {
        let (backend, lineage) = written().await;
        let loaded = backend.load().await.expect("it is in memory");
        let state = read(&loaded, &lineage, "memory").expect("it reads");
        assert_eq!(state.outputs.keys().collect::<Vec<_>>(), ["nested", "password", "url"]);
        assert_eq!(state.outputs["url"], Value::text("https://a"));
        assert!(state.outputs["password"].has_sealed() && state.outputs["nested"].has_sealed());
        assert_eq!(crate::ui::show(&state.outputs["nested"]), "[1, (sealed)]");
        // No code is checked: that is what it says on every screen.
        let mut edited = loaded.clone();
        edited.snapshot =
            loaded.snapshot.map(|text| String::from_utf8_lossy(&text).replace("https://a", "https://b").into());
        let state = read(&edited, &lineage, "memory").expect("it reads");
        assert_eq!(state.outputs["url"], Value::text("https://b"));
    }

    #[tokio::test]
    async fn another_stacks_state_and_garbage_are_refused() {
        let (backend, lineage) = written().await;
        let loaded = backend.load().await.expect("it is in memory");
        assert!(matches!(read(&loaded, "another", "memory"), Err(StateError::ForeignLineage { .. })));
        for garbage in ["", "{}", "[[[[", "{\"stackkit\":1,\"lineage\":\"x\",\"records\":[3]}"] {
            let loaded = Loaded { snapshot: Some(garbage.into()), ..Loaded::default() };
            assert!(read(&loaded, &lineage, "memory").is_err(), "{garbage}");
        }
    }
}
