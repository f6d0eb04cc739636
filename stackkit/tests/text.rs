//! `text!`, `json!` and `cidr!`: what they give, and that secrets stay secret through them.

use stackkit::resource::Resource;
use stackkit::value::Lookup;
use stackkit::{Cidr, Id, Json, JsonPolicy, Output, Secret, Value, cidr, json, list, map, resource, text};

/// Takes text.
#[resource("acme:Sink")]
struct Sink {
    /// Plain.
    plain: Option<String>,
    /// Secret.
    hidden: Option<Secret<String>>,
    /// Plain texts.
    list: Option<Vec<String>>,
    /// Plain texts by name.
    map: Option<std::collections::BTreeMap<String, String>>,
}

struct Fixed;
impl Lookup for Fixed {
    fn attr(&self, resource: u32, field: u16) -> Value {
        match field {
            0 => Value::text(format!("plain-{resource}")),
            1 => Value::text("hunter2").into_secret(),
            _ => Value::Unknown { secret: false },
        }
    }
}

struct Handle(SinkOutputs);
impl std::ops::Deref for Handle {
    type Target = SinkOutputs;
    fn deref(&self) -> &SinkOutputs {
        &self.0
    }
}

fn plain(text: Output<String>) -> Value {
    Sink::new().plain(text).into_values()[0].resolve(&Fixed).unwrap()
}

fn hidden(text: Output<Secret<String>>) -> Value {
    let value = Sink::new().hidden(text).into_values()[1].resolve(&Fixed).unwrap();
    assert!(matches!(value, Value::Secret(_)), "{value:?}");
    value.reveal().clone()
}

#[test]
fn parts_of_every_kind() {
    let a = Handle(Sink::outputs(1));
    let plain_output = Output::known("x".to_owned());
    let (name, owned, port, block) = ("name", "owned".to_owned(), 5432_u16, cidr!("10.0.0.0/8"));
    assert_eq!(plain(text!("{}-{name}-{owned}-{port}-{}", plain_output, 1.5)), Value::text("x-name-owned-5432-1.5"));
    assert_eq!(plain(text!("{}{block}{{}}", &plain_output)), Value::text("x10.0.0.0/8{}"));
    assert_eq!(plain(text!("{}{}{}", true, 7, Id::<Sink>::new("id"))), Value::text("true7id"));
    assert_eq!(plain(text!("none")), Value::text("none"));
    assert_eq!(plain(text!("{}", &owned)), Value::text("owned"));
    assert_eq!(hidden(text!("{}:{}", a.hidden, plain_output)), Value::text("hunter2:x"));
    let secret = Secret::new("s".to_owned());
    assert_eq!(hidden(text!("{secret}/{}", secret)), Value::text("s/s"));
}

#[test]
fn a_text_is_unknown_while_a_part_is() {
    let unknown = Sink::outputs(1).list.map(|list| list.unwrap_or_default().join(","));
    assert!(matches!(plain(text!("{unknown}")), Value::Unknown { secret: false }));
}

#[test]
fn an_optional_part_that_is_unset_is_empty() {
    assert_eq!(plain(text!("{}", Sink::outputs(3).plain)), Value::text("plain-3"));
}

#[test]
fn lists_and_maps_of_mixed_elements() {
    let out = Output::known("x".to_owned());
    let id = Output::known(Id::<Sink>::new("id"));
    let values = Sink::new().list(list![&out, "y", format!("z"), &id]).map(map! { "a" => &out, "b" => "text" });
    assert_eq!(format!("{values:?}"), r#"Sink { list: ["x", "y", "z", "id"], map: {"a": "x", "b": "text"} }"#);
}

#[test]
fn blocks_are_values() {
    let blocks: [Cidr; 2] = [cidr!("10.0.0.0/16"), cidr!("2001:DB8::/32")];
    assert_eq!(blocks.map(|block| block.to_string()), ["10.0.0.0/16", "2001:db8::/32"]);
}

/// Takes documents.
#[resource("acme:Policy")]
struct Policy {
    /// Plain.
    document: Option<JsonPolicy>,
    /// Secret.
    hidden: Option<Secret<Json>>,
}

#[test]
fn documents_hold_outputs_as_what_they_are() {
    let sink = Sink::outputs(1);
    let quoted = Output::known("a \"quoted\" one".to_owned());
    let actions = Output::known(vec!["s3:Get*".to_owned()]);
    let document = json!({
        "Version": "2012-10-17",
        "Sta\"tement": [
            { "Resource": sink.plain, "Action": actions, "Note": &quoted },
            { "Count": 1 + 1, "On": 1 < 2, "Off": null, "Text": text!("{}/*", sink.plain) },
            [],
            {},
        ],
    });
    let value = Policy::new().document(&document).into_values()[0].resolve(&Fixed).unwrap();
    assert_eq!(
        value,
        Value::text(
            r#"{"Version":"2012-10-17","Sta\"tement":[{"Resource":"plain-1","Action":["s3:Get*"],"Note":"a \"quoted\" one"},{"Count":2,"On":true,"Off":null,"Text":"plain-1/*"},[],{}]}"#
        )
    );
    let hidden: Output<Secret<Json>> = json!({ "password": sink.hidden });
    let value = Policy::new().hidden(hidden).into_values()[1].resolve(&Fixed).unwrap();
    assert!(matches!(&value, Value::Secret(_)), "{value:?}");
    assert_eq!(value.reveal(), &Value::text(r#"{"password":"hunter2"}"#));
    let _ = Policy::new().document(json!([])).document(r#"{"Statement": []}"#).hidden(json!("x"));
}
