use super::*;
use crate::value::Value;

fn saved() -> Saved {
    let resource = |size: i64| {
        let inputs = [
            ("size".to_owned(), Value::Int(size)),
            ("$odd".to_owned(), Value::Float(1.5)),
            ("password".to_owned(), Value::text("canary-4711-canary").into_secret()),
        ];
        Value::Map([("inputs".to_owned(), Value::Map(inputs.into_iter().collect()))].into_iter().collect())
    };
    let resources = Value::Map([("toy:core:Node::a".to_owned(), resource(3))].into_iter().collect());
    Saved {
        program: "shop".into(),
        stack: "dev".into(),
        position: u64::MAX,
        fingerprint: "x".into(),
        options: PlanOptions { replace: vec!["a".into()], max_deletes: Some(3), ..PlanOptions::default() },
        refresh: true,
        config: vec![("key".into(), "canary-4712-canary".into())],
        declared: Value::Map([("resources".to_owned(), resources)].into_iter().collect()),
        plan: Value::Null,
    }
}

#[test]
fn it_comes_back_as_it_was_and_nothing_of_it_is_readable() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plan");
    let sealer = Sealer::ephemeral().expect("random bytes");
    let saved = saved();
    saved.write(&path, &sealer).expect("it is written");
    assert_eq!(Saved::read(&path, &sealer).expect("it opens"), saved);
    let text = std::fs::read_to_string(&path).expect("text");
    let (header, token) = text.split_once('\n').expect("two lines");
    assert_eq!(header, format!("stackkit-plan 1 {}", sealer.key_id()));
    assert!(token.starts_with("sk1."), "{token}");
    for word in ["canary", "shop", "toy:", "size", "replace"] {
        assert!(!token.contains(word), "{word}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn every_flipped_byte_and_every_cut_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plan");
    let sealer = Sealer::ephemeral().expect("random bytes");
    saved().write(&path, &sealer).expect("it is written");
    let whole = std::fs::read(&path).expect("bytes");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        let error = Saved::read(&path, &sealer).expect_err("it is refused").into_diagnostic();
        assert_eq!(error.kind, crate::diagnostic::DiagnosticKind::Refused, "{error}");
        error.to_string()
    };
    for at in 0..whole.len() {
        let mut edited = whole.clone();
        edited[at] ^= 1;
        refused(&edited);
    }
    for end in 0..whole.len() {
        refused(&whole[..end]);
    }
    assert!(refused(&whole[..whole.len() - 1]).contains("cut short"));
    assert!(refused(b"stackkit-plan 2 abc\n").contains("version 2"));
    let other = Sealer::ephemeral().expect("random bytes");
    saved().write(&path, &other).expect("it is written");
    let error = Saved::read(&path, &sealer).expect_err("another key").to_string();
    assert!(error.contains("another stack"), "{error}");
}

#[test]
fn the_first_difference_is_named_without_its_secret() {
    let change = |field: &str, value: Value| {
        let mut other = saved().declared;
        let mut place = &mut other;
        for step in ["resources", "toy:core:Node::a", "inputs"] {
            let Value::Map(fields) = place else { panic!("a map") };
            place = fields.get_mut(step).expect("it is there");
        }
        let Value::Map(fields) = place else { panic!("a map") };
        fields.insert(field.into(), value);
        compare::declared(&saved().declared, &other)
    };
    assert_eq!(change("size", Value::Int(3)), None);
    assert_eq!(change("size", Value::Int(4)).as_deref(), Some("toy:core:Node::a: `size` is 4, and was 3"));
    assert_eq!(
        change("password", Value::text("canary-other").into_secret()).as_deref(),
        Some("toy:core:Node::a: `password` is another secret")
    );
    assert_eq!(change("new", Value::text("x")).as_deref(), Some("toy:core:Node::a: `new` is \"x\", and was unset"));
}
