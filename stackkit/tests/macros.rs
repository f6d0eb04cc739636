//! What the macros make, used as a downstream crate uses it.

use std::collections::BTreeMap;

use stackkit::property::{DecodeError, Property, PropertyField, Sampler};
use stackkit::resource::{Fields, Resource};
use stackkit::schema::Role;
use stackkit::{Output, Properties, Secret, Value, resource};

/// A record in a zone.
///
/// More about it.
#[resource(
    "acme:dns:Record",
    stateful,
    delete_before_replace,
    version = 3,
    settle = 30,
    create_timeout = "90s",
    update_timeout = "40m",
    delete_timeout = "2h"
)]
#[derive(PartialEq)]
pub struct Record {
    /// The zone it is in.
    #[resource(replace)]
    pub zone: String,
    /// Its name.
    #[resource(name, replace)]
    pub name: Option<String>,
    /// Seconds.
    #[resource(default = 300)]
    pub ttl: u32,
    /// A token.
    #[resource(write_only)]
    pub api_token: Secret<String>,
    /// Where it lies.
    #[resource(computed)]
    pub region: Option<String>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its type, a keyword.
    pub r#type: Option<Kind>,
    /// Full name.
    #[resource(output)]
    pub fqdn: String,
    /// Changes with every update.
    #[resource(output, volatile)]
    pub serial: u64,
}

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Properties)]
#[property(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// An address.
    A,
    /// A name.
    CanonicalName,
    /// Text.
    #[property(rename = "TXT")]
    Text,
}

/// Storage of something.
#[derive(Clone, Debug, PartialEq, Properties)]
pub struct Storage {
    /// Gibibytes.
    size: u32,
    /// Operations a second.
    iops: Option<u32>,
    #[property(default = Kind::A, rename = "recordKind")]
    kind: Kind,
    password: Option<Secret<String>>,
    tags: Vec<String>,
    parts: Option<Vec<Part>>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Properties)]
pub struct Part {
    label: Option<String>,
}

/// A disk.
#[resource("acme:Disk", immutable, pure, at_least_once)]
pub struct Disk {
    /// How it is stored.
    storage: Option<Storage>,
    /// Hidden as a whole.
    hidden: Option<Secret<Part>>,
}

fn record() -> Record {
    Record::new("example.org", "hunter2").ttl(60).r#type(Kind::CanonicalName).labels([("a", "b")])
}

#[test]
fn the_schema_says_what_the_struct_says() {
    let schema = Record::SCHEMA;
    assert_eq!(schema.type_name, "acme:dns:Record");
    assert_eq!(schema.docs, "A record in a zone.\n\nMore about it.");
    assert_eq!((schema.version, schema.settle.as_secs()), (3, 30));
    let limits = [schema.create_timeout, schema.update_timeout, schema.delete_timeout];
    assert_eq!(limits.map(|limit| limit.map(|limit| limit.as_secs())), [Some(90), Some(40 * 60), Some(2 * 60 * 60)]);
    assert!(schema.stateful && schema.delete_before_replace && !schema.pure && !schema.at_least_once);
    let line = |name: &str| {
        let field = &schema.fields[schema.index(name).unwrap()];
        let marks = [
            ("required", field.required),
            ("replace", field.replace),
            ("name", field.name_mark),
            ("computed", field.computed),
            ("write_only", field.write_only),
            ("volatile", field.volatile),
            ("output", field.role == Role::Output),
            ("default", field.default.is_some()),
            ("secret", field.ty.secret),
        ];
        let marks: Vec<_> = marks.iter().filter(|(_, on)| *on).map(|(mark, _)| *mark).collect();
        format!("{} {}: {}", field.docs, (field.ty.name)(), marks.join(" "))
    };
    assert_eq!(line("zone"), "The zone it is in. String: required replace");
    assert_eq!(line("name"), "Its name. Option<String>: replace name");
    assert_eq!(line("ttl"), "Seconds. u32: default");
    assert_eq!(line("api_token"), "A token. Secret<String>: required write_only secret");
    assert_eq!(line("region"), "Where it lies. Option<String>: computed");
    assert_eq!(line("type"), "Its type, a keyword. Option<Kind>: ");
    assert_eq!(line("serial"), "Changes with every update. u64: volatile output");
    assert_eq!(schema.fields[2].default.unwrap()(), Value::Int(300));
    assert!(Disk::SCHEMA.fields.iter().all(|field| field.replace));
    assert!(Disk::SCHEMA.pure && Disk::SCHEMA.at_least_once);
}

#[test]
fn a_draft_holds_what_it_was_given_and_hides_secrets() {
    let draft = record();
    let text = format!("{draft:?}");
    assert_eq!(
        text,
        r#"Record { zone: "example.org", ttl: 60, api_token: [secret], labels: {"a": "b"}, type: "CANONICAL_NAME" }"#
    );
    let outputs = Record::outputs(7);
    let name: Output<String> = outputs.name;
    let region: Output<String> = outputs.region;
    let draft = Record::new(&outputs.fqdn, &outputs.api_token).name(&name).region(region).ttl(None::<u32>);
    assert!(draft.into_values()[0].has_references());
    assert!(format!("{:?}", Disk::new()).starts_with("Disk"));
    assert!(Disk::default().into_values().iter().all(Value::is_null));
}

#[test]
fn args_and_state_come_back_as_they_were() {
    let mut values = record().into_values();
    values[2] = Value::Null;
    let args = RecordArgs::from_values(&values).unwrap();
    assert_eq!(args.ttl, 300, "an unset input has its default");
    assert_eq!(args.r#type, Some(Kind::CanonicalName));
    let state = RecordState { args: args.clone(), fqdn: "www.example.org".into(), serial: 1 };
    assert_eq!(state.zone, "example.org");
    let values = state.to_values();
    assert_eq!(values.len(), Record::SCHEMA.fields.len());
    assert_eq!(RecordState::from_values(&values).unwrap(), state);
    assert!(args.to_values()[7].is_null());
    let error = RecordState::from_values(&args.to_values()).unwrap_err();
    assert_eq!(error.to_string(), "`fqdn`: expected text, found nothing");
}

#[test]
fn a_nested_struct_is_built_of_literals_and_outputs() {
    let out = Output::known(5_u32);
    let storage = Storage::new(&out, ["a", "b"]).iops(5).password("hunter2").parts([Part::new().label("x")]);
    let values = Disk::new().storage(storage).hidden(Part::new()).into_values();
    assert_eq!(
        format!("{values:?}"),
        r#"[{"iops": 5, "parts": [{"label": "x"}], "password": [secret], "recordKind": "A", "size": 5, "tags": ["a", "b"]}, [secret]]"#
    );
    let args = DiskArgs::from_values(&values).unwrap();
    let storage = args.storage.unwrap();
    assert_eq!(storage.kind, Kind::A);
    assert_eq!(Storage::from_value(&storage.to_value()).unwrap(), storage);
    let _ = Disk::new().storage(storage.clone()).storage(Some(storage.clone()));
}

#[test]
fn a_struct_describes_its_fields_and_says_what_is_missing() {
    let fields: Vec<String> = Storage::describe()
        .unwrap()
        .iter()
        .map(|PropertyField { name, optional, secret, type_name, .. }| {
            format!("{name} {} {optional} {secret}", type_name())
        })
        .collect();
    assert_eq!(
        fields,
        [
            "size u32 false false",
            "iops Option<u32> true false",
            "recordKind Kind true false",
            "password Option<Secret<String>> true true",
            "tags Vec<String> false false",
            "parts Option<Vec<Part>> true false",
        ]
    );
    let error = Storage::from_value(&Value::Map(BTreeMap::new())).unwrap_err();
    assert_eq!(error.to_string(), "`size`: missing: a value of type `u32` is required");
    let unknown = Value::Map(BTreeMap::from([("size".to_owned(), Value::Unknown { secret: false })]));
    assert!(Storage::from_value(&unknown).unwrap_err().unknown);
}

#[test]
fn structs_compare_by_their_canonical_form() {
    let short = Value::Map(BTreeMap::from([("size".into(), Value::Int(1)), ("iops".into(), Value::Null)]));
    let long = Value::Map(BTreeMap::from([("size".into(), Value::Int(1)), ("recordKind".into(), Value::text("A"))]));
    assert_eq!(Storage::canonical(short), Storage::canonical(long));
}

#[test]
fn enums_are_texts() {
    assert_eq!(Kind::Text.to_value(), Value::text("TXT"));
    assert_eq!(Kind::from_value(&Value::text("CANONICAL_NAME")), Ok(Kind::CanonicalName));
    let error: DecodeError = Kind::from_value(&Value::text("B")).unwrap_err();
    assert_eq!(error.message, "expected one of `A`, `CANONICAL_NAME`, `TXT`, found `B`");
    let error = Secret::<Kind>::from_value(&Value::text("hunter2").into_secret()).unwrap_err();
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[test]
fn samples_fit_their_types() {
    let sampler = Sampler { seed: "acme:Disk/data".into() };
    let value = Storage::sample(&sampler);
    assert_eq!(
        Storage::from_value(&value).unwrap().parts.unwrap()[0].label.as_deref(),
        Some("acme:Disk/data.parts.label")
    );
}

#[stackkit::test]
async fn a_test_is_async() {
    tokio::time::timeout(std::time::Duration::from_secs(5), async {}).await.unwrap();
}

#[stackkit::test]
async fn a_test_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    let n: u32 = "5".parse()?;
    assert_eq!(n, 5);
    Ok(())
}
