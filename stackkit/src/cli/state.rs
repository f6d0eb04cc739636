//! `state …`: lists, shows and mends what is recorded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::cli::args::{Reading, StateCommand};
use crate::cli::error::Failure;
use crate::cli::{App, note, print, prompt};
use crate::engine::{Repaired, RunError};
use crate::state::model::{ResourceRecord, State, Status};
use crate::ui::{Paint, Secrets, clean, count, to_json};
use crate::urn::Urn;
use crate::value::Value;

impl App {
    pub(super) async fn state_command(&self, command: &StateCommand) -> Result<(), Failure> {
        match command {
            StateCommand::List { reading } => {
                let state = self.read_state(*reading).await?;
                if self.json {
                    let list: Vec<_> = sorted(&state).into_iter().map(listed).collect();
                    print(&format!("{}\n", Json::Array(list)));
                } else {
                    print(&render_list(&state, Paint::stdout()));
                    if state.resources.is_empty() {
                        note(&format!("The stack `{}` has no resources", self.stack));
                    }
                }
                Ok(())
            }
            StateCommand::Show { resource, reading } => {
                let state = self.read_state(*reading).await?;
                let urn = find(&state, resource)?;
                let records: Vec<_> = sorted(&state).into_iter().filter(|record| record.urn == urn).collect();
                if self.json {
                    let list: Vec<_> = records.iter().map(|record| shown(record, &state)).collect();
                    print(&format!("{}\n", Json::Array(list)));
                } else {
                    for record in records {
                        print(&render_record(record, &state, Paint::stdout()));
                    }
                }
                Ok(())
            }
            StateCommand::Rm { resource, yes } => {
                self.require_consent(*yes, "drop it from the state")?;
                let deployment = self.deployment()?;
                let urn = find(&deployment.state().await?, resource)?;
                let question = format!("Drop {urn} from the state? What it stands for stays and is no longer managed.");
                if !yes && !prompt::confirm(&question, &self.signals) {
                    return Err(Failure::declined(self.signals.cancelled()));
                }
                deployment.remove(&urn).await?;
                note(&format!("Dropped {} from the state; the real one was left alone", clean(urn.as_str())));
                Ok(())
            }
            StateCommand::Mv { resource, to, yes } => {
                self.require_consent(*yes, "rename it in the state")?;
                let deployment = self.deployment()?;
                let urn = find(&deployment.state().await?, resource)?;
                let new = Urn::parse(to).unwrap_or_else(|| Urn::new(urn.type_name(), to));
                let question = format!("Rename {urn} to {new} in the state? What it stands for stays as it is.");
                if !yes && !prompt::confirm(&question, &self.signals) {
                    return Err(Failure::declined(self.signals.cancelled()));
                }
                deployment.rename(&urn, &new).await?;
                note(&format!(
                    "Renamed {} to {}; the program has to declare it so, or the next `up` deletes it",
                    clean(urn.as_str()),
                    clean(new.as_str())
                ));
                Ok(())
            }
            StateCommand::Repair => {
                tell_repaired(&self.deployment()?.repair().await?);
                Ok(())
            }
            StateCommand::Accept { yes } => {
                self.require_consent(*yes, "go on from the state as it is")?;
                let question = "Go on from the state as it is, though this machine has seen it otherwise?";
                if !yes && !prompt::confirm(question, &self.signals) {
                    return Err(Failure::declined(self.signals.cancelled()));
                }
                let (seen, now) = self.deployment()?.accept().await?;
                match seen {
                    Some(seen) => {
                        note(&format!("This machine had seen position {seen}, and goes on from position {now}"))
                    }
                    None => note(&format!("This machine goes on from position {now}, and had seen none before")),
                }
                Ok(())
            }
            StateCommand::History => self.history(&self.deployment()?).await,
            StateCommand::Diff { id } => self.diff(&self.deployment()?, id).await,
            StateCommand::Rollback { id, yes } => self.rollback(&self.deployment()?, id, *yes).await,
            StateCommand::Export { file } => self.export(&self.deployment()?, file.as_deref()).await,
            StateCommand::Import { file, yes } => self.import_state(&self.deployment()?, file, *yes).await,
            StateCommand::Move { url, yes } => self.move_state(&self.deployment()?, url, *yes).await,
            StateCommand::Unlock { id } => {
                self.deployment()?.unlock(id).await?;
                note(&format!("The stack `{}` is unlocked", self.stack));
                Ok(())
            }
        }
    }
}

impl App {
    /// The state, as it is wanted. That it was not checked is said with it, every time.
    pub(super) async fn read_state(&self, reading: Reading) -> Result<State, Failure> {
        if !reading.unverified {
            let state = self.deployment()?.state().await;
            if let Err(RunError::Seal(_)) = &state {
                note("--unverified reads without a key what is not secret");
            }
            return Ok(state?);
        }
        self.require_stack()?;
        let state = self.keyless().unverified_state().await?;
        note("Not verified: whoever can write the state can make it say this; secrets stay sealed");
        Ok(state)
    }
}

fn tell_repaired(repaired: &Repaired) {
    if let Some(merged) = repaired.merged {
        note(&format!("Merged what an earlier run could not write: {}; run `up` to go on", count(merged, "change")));
    }
    if repaired.dropped > 0 {
        note(&format!(
            "Dropped the last {} of the journal: the beginning of an entry that was never confirmed",
            count(repaired.dropped, "byte")
        ));
    }
    if repaired.folded > 0 {
        note(&format!("Took {} of the journal into the snapshot", of_entries(repaired.folded)));
    }
    if repaired.is_nothing() {
        note("There is nothing to repair");
    }
}

fn of_entries(count: usize) -> String {
    if count == 1 { "1 entry".into() } else { format!("{count} entries") }
}

/// The URN that was meant: a whole one, or the name of exactly one resource.
fn find(state: &State, wanted: &str) -> Result<Urn, Failure> {
    let urns = || state.resources.values().map(|record| &record.urn).chain(state.intents.values().map(|i| &i.urn));
    if let Some(urn) = urns().find(|urn| urn.as_str() == wanted) {
        return Ok(urn.clone());
    }
    let mut named: Vec<&Urn> = urns().filter(|urn| urn.name() == wanted || urn.path() == wanted).collect();
    named.sort();
    named.dedup();
    match named.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let failure = Failure::failed(format!("the state has no resource `{}`", clean(wanted)));
            let near = crate::ui::nearest(wanted, urns().flat_map(|urn| [urn.name(), urn.as_str()]));
            Err(match near {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help("`state list` shows what there is"),
            })
        }
        several => {
            let all: Vec<_> = several.iter().map(ToString::to_string).collect();
            Err(Failure::failed(format!("{} are called `{wanted}`", count(several.len(), "resource")))
                .help(format!("name one of {}", all.join(", "))))
        }
    }
}

fn sorted(state: &State) -> Vec<&ResourceRecord> {
    let mut all: Vec<_> = state.resources.values().collect();
    all.sort_by(|a, b| (&a.urn, a.instance).cmp(&(&b.urn, b.instance)));
    all
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Live => "live",
        Status::Incomplete => "incomplete",
        Status::PendingDelete => "pending_delete",
        Status::PendingReplacement => "pending_replacement",
    }
}

fn listed(record: &ResourceRecord) -> Json {
    json!({
        "urn": record.urn.as_str(),
        "type": record.urn.type_name(),
        "name": record.urn.name(),
        "path": record.urn.path(),
        "id": record.id,
        "status": status(record.status),
        "provider": record.provider,
        "instance": record.instance.to_string(),
        "protected": record.options.protect,
        "hooks_due": record.options.hook_due.is_some(),
    })
}

fn shown(record: &ResourceRecord, state: &State) -> Json {
    let fields = |map: &BTreeMap<String, Value>| -> Json {
        Json::Object(map.iter().map(|(name, value)| (name.clone(), to_json(value, Secrets::Hidden))).collect())
    };
    let mut object = listed(record);
    if let Json::Object(map) = &mut object {
        map.insert("inputs".into(), fields(&record.inputs));
        map.insert("outputs".into(), fields(&record.outputs));
        map.insert("seen".into(), fields(&record.seen));
        map.insert("drifted".into(), record.drifted.iter().cloned().collect());
        map.insert("dependencies".into(), dependencies(record, state).into_iter().collect());
        map.insert("schema_version".into(), record.schema_version.into());
    }
    object
}

fn dependencies(record: &ResourceRecord, state: &State) -> Vec<String> {
    let mut urns: Vec<_> =
        record.dependencies.iter().filter_map(|to| state.resources.get(to)).map(|to| to.urn.to_string()).collect();
    urns.sort();
    urns
}

fn render_list(state: &State, paint: Paint) -> String {
    let rows: Vec<[String; 4]> = sorted(state)
        .into_iter()
        .map(|record| {
            let status = match record.status {
                Status::Live if record.options.hook_due.is_some() => "hooks_due",
                Status::Live => "",
                other => status(other),
            };
            let urn = &record.urn;
            [clean(urn.type_name()), clean(urn.path()), clean(&record.id), status.into()].map(|cell| cell.into_owned())
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (types, names, ids) = (width(0), width(1).min(48), width(2).min(64));
    let mut out = String::new();
    for [type_name, name, id, status] in &rows {
        let name = paint.bold(format!("{name:<names$}"));
        let line = format!("{type_name:<types$}  {name}  {id:<ids$}  {}", paint.yellow(status));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn render_record(record: &ResourceRecord, state: &State, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(clean(record.urn.as_str())));
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<12}  {text}");
    };
    line("id", &clean(&record.id));
    line("status", status(record.status));
    line("provider", &clean(&record.provider));
    line("instance", &record.instance.to_string());
    line("protected", if record.options.protect { "yes" } else { "no" });
    for (title, map) in [("Inputs", &record.inputs), ("Outputs", &record.outputs), ("Seen", &record.seen)] {
        if map.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}", paint.dim(title));
        let width = map.keys().map(|name| name.chars().count()).max().unwrap_or_default();
        for (name, value) in map {
            let drifted = title == "Inputs" && record.drifted.contains(name);
            let note = if drifted { paint.yellow("  (changed from outside)") } else { String::new() };
            let _ = writeln!(out, "    {:<width$}  {}{note}", clean(name), crate::ui::show(value));
        }
    }
    let dependencies = dependencies(record, state);
    if !dependencies.is_empty() {
        let _ = writeln!(out, "  {}", paint.dim("Depends on"));
        dependencies.iter().for_each(|urn| {
            let _ = writeln!(out, "    {}", clean(urn));
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::state::model::{Change, Instance, Record, RecordedOptions};

    fn state() -> State {
        let mut state = State::default();
        let mut add = |instance: u64, urn: &str, status: Status, dependencies: &[u64]| {
            let record = ResourceRecord {
                instance: Instance(instance),
                urn: Urn::parse(urn).expect("the test's own URN"),
                id: format!("id-{instance}\u{1b}[1m"),
                provider: "acme".into(),
                status,
                schema_version: 1,
                inputs: BTreeMap::from([
                    ("size".into(), Value::Int(3)),
                    ("token".into(), Value::text("canary").into_secret()),
                ]),
                outputs: BTreeMap::new(),
                seen: BTreeMap::new(),
                drifted: BTreeSet::from(["size".to_owned()]),
                dependencies: dependencies.iter().map(|to| Instance(*to)).collect(),
                options: RecordedOptions::default(),
            };
            state.apply(Change::Put(Record::Resource(Box::new(record))));
        };
        add(1, "acme:Zone::web", Status::Live, &[]);
        add(2, "acme:Record::web", Status::Incomplete, &[1]);
        add(3, "acme:Record::db", Status::Live, &[]);
        state
    }

    #[test]
    fn a_list_is_a_table() {
        assert_eq!(
            render_list(&state(), Paint::PLAIN),
            "\
acme:Record  db   id-3\\u{1b}[1m
acme:Record  web  id-2\\u{1b}[1m  incomplete
acme:Zone    web  id-1\\u{1b}[1m
"
        );
    }

    #[test]
    fn a_record_hides_its_secrets() {
        let state = state();
        let record = &state.resources[&Instance(2)];
        let text = render_record(record, &state, Paint::PLAIN);
        assert_eq!(
            text,
            "\
acme:Record::web
  id            id-2\\u{1b}[1m
  status        incomplete
  provider      acme
  instance      0000000000000002
  protected     no
  Inputs
    size   3  (changed from outside)
    token  [secret]
  Depends on
    acme:Zone::web
"
        );
        assert!(!shown(record, &state).to_string().contains("canary"));
        assert_eq!(listed(record)["urn"], "acme:Record::web");
    }

    #[test]
    fn a_name_must_be_of_one_resource() {
        let state = state();
        assert_eq!(find(&state, "db").expect("one").as_str(), "acme:Record::db");
        assert_eq!(find(&state, "acme:Zone::web").expect("one").as_str(), "acme:Zone::web");
        assert!(find(&state, "web").is_err());
        assert!(find(&state, "nosuch").is_err());
    }
}
