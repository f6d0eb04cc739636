//! Keys, headers and sealed values, as a user and an attacker meet them.

use std::fs;
use std::path::Path;

use secrecy::SecretString;
use stackkit::Value;
use stackkit::seal::{
    Cost, DataKey, Header, KeyFile, KeyOptions, KeyProvider as _, Passphrase, Place, SealError, Sealer, Section,
    Setting, create, create_with, unlock,
};
use stackkit::state::model::Instance;

fn key_options(path: &Path) -> KeyOptions {
    KeyOptions { default_key_file: Some(path.to_owned()), ..KeyOptions::default() }
}

fn passphrase(text: &str) -> KeyOptions {
    KeyOptions::default().passphrase(SecretString::from(text))
}

/// A derivation that is fast enough for a test.
fn cheap(text: &str) -> Passphrase {
    Passphrase::new(SecretString::from(text)).cost(Cost { memory: 64, passes: 1, lanes: 1 })
}

/// Whether two sealers have the same keys.
fn same(a: &Sealer, b: &Sealer) -> bool {
    let token = a.seal(Place::config("/x"), &Value::text("v")).unwrap();
    b.open(Place::config("/x"), &token).is_ok()
}

const PLACE: Place<'static> =
    Place { owner: "test:Thing::a", instance: Some(Instance(1)), section: Section::Inputs, path: "/password" };

#[test]
fn a_value_opens_at_its_place_and_nowhere_else() {
    let key = DataKey::generate().unwrap();
    let sealer = Sealer::new(&key, "lineage");
    let value = Value::text("correct horse");
    let token = sealer.seal(PLACE, &value).unwrap();
    assert!(token.starts_with("sk1."));
    assert_eq!(sealer.open(PLACE, &token).unwrap(), value.clone().into_secret());
    assert_ne!(token, sealer.seal(PLACE, &value).unwrap(), "every seal has a nonce of its own");
    let others = [
        Place { owner: "test:Thing::b", ..PLACE },
        Place { owner: "", ..PLACE },
        Place { instance: Some(Instance(2)), ..PLACE },
        Place { instance: None, ..PLACE },
        Place { section: Section::Outputs, ..PLACE },
        Place { section: Section::Config, ..PLACE },
        Place { path: "/passwor", ..PLACE },
        Place { path: "", ..PLACE },
        Place { owner: "test:Thing::a0000000000000001", instance: None, ..PLACE },
    ];
    for place in others {
        let error = sealer.open(place, &token).unwrap_err();
        assert!(matches!(&error, SealError::Opened { place: named } if *named == place.to_string()), "{error}");
    }
    assert!(Sealer::new(&key, "other lineage").open(PLACE, &token).is_err());
    assert!(Sealer::new(&DataKey::generate().unwrap(), "lineage").open(PLACE, &token).is_err());
    assert!(same(&sealer, &Sealer::new(&DataKey::from_bytes(*key.reveal()), "lineage")));
    let message = sealer.open(others[0], &token).unwrap_err().to_string();
    assert!(message.contains("inputs/password of test:Thing::b (0000000000000001)"), "{message}");
}

#[test]
fn every_changed_character_of_a_seal_is_detected() {
    let sealer = Sealer::ephemeral().unwrap();
    let token = sealer.seal(PLACE, &Value::Int(7)).unwrap();
    for at in 0..token.len() {
        for other in ["A", "B", "_", "1", "=", " "] {
            let mut edited = token.clone();
            edited.replace_range(at..=at, other);
            assert!(edited == token || sealer.open(PLACE, &edited).is_err(), "{at} {other}");
        }
        assert!(sealer.open(PLACE, &token[..at]).is_err());
    }
    assert!(sealer.open(PLACE, &format!("{token}A")).is_err());
    let newer = sealer.open(PLACE, &token.replacen("sk1.", "sk2.", 1)).unwrap_err();
    assert!(matches!(newer, SealError::Newer { found: 2, .. }), "{newer}");
}

#[test]
fn the_length_of_a_secret_shows_only_in_steps_of_sixteen() {
    let sealer = Sealer::ephemeral().unwrap();
    let length = |text: &str| sealer.seal(PLACE, &Value::text(text)).unwrap().len();
    assert_eq!(length(""), length("fourteen chars"));
    assert!(length("fifteen charact") > length("fourteen chars"));
    assert_eq!(length("fifteen charact"), length(&"x".repeat(30)));
}

#[test]
fn values_of_every_kind_survive_a_seal() {
    let sealer = Sealer::ephemeral().unwrap();
    let deep = (0..90).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let values = [
        Value::Null,
        Value::Int(i64::MIN),
        Value::UInt(u64::MAX),
        Value::Float(-0.0),
        Value::Float(5e-324),
        Value::Float(0.1 + 0.2),
        Value::Float(1e16),
        Value::Float(f64::MAX),
        Value::Float(f64::NEG_INFINITY),
        Value::Float(f64::from_bits(0x7ff8_0000_0000_0123)),
        Value::text("\u{0}\u{7f}\u{1b}[31m\"\\ \u{2028}é𝄞"),
        Value::Map([("$sealed".to_owned(), Value::text("x")), ("$$".to_owned(), Value::Int(1))].into()),
        Value::List(vec![Value::text("inner").into_secret(), Value::Map(Default::default())]),
        Value::text("x".repeat(100_000)),
        deep,
    ];
    for value in values {
        let token = sealer.seal(PLACE, &value).unwrap();
        assert_eq!(sealer.open(PLACE, &token).unwrap().reveal(), &value);
    }
    let unknown = Value::List(vec![Value::Int(1), Value::Unknown { secret: true }]);
    let error = sealer.seal(PLACE, &unknown).unwrap_err().to_string();
    assert!(error.contains("/password/1") && error.contains("not resolved"), "{error}");
    let deeper = (0..101).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(sealer.seal(PLACE, &deeper).unwrap_err().to_string().contains("100 levels"));
}

#[test]
fn nothing_that_holds_a_key_shows_it() {
    let key = DataKey::from_bytes(*b"0123456789abcdef0123456789abcdef");
    let shown = format!("{key:?} {:?} {:?} {:?}", Sealer::new(&key, "l"), cheap("hunter2"), passphrase("hunter2"));
    assert!(!shown.contains("0123456789abcdef0") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn the_first_run_makes_a_private_key_file_and_later_runs_use_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config/stackkit/key");
    let first = create(&key_options(&path)).await.unwrap();
    assert_eq!(first.new_key_file.as_deref(), Some(&*path));
    assert!(same(&first.sealer, &unlock(&first.header, &key_options(&path)).await.unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
    let second = create(&key_options(&path)).await.unwrap();
    assert_eq!(second.new_key_file, None);
    assert_eq!(first.header.keys[0].id, second.header.keys[0].id);
    assert!(!same(&first.sealer, &second.sealer), "each stack has a data key of its own");
    // A wrapped key of one stack in the header of another.
    let mut mixed = second.header.clone();
    mixed.keys = first.header.keys.clone();
    assert!(matches!(unlock(&mixed, &key_options(&path)).await, Err(SealError::WrappedKey { .. })));
    mixed.lineage = first.header.lineage.clone();
    assert!(matches!(unlock(&mixed, &key_options(&path)).await, Err(SealError::WrappedKey { .. })));
    mixed.data_key = first.header.data_key.clone();
    assert!(matches!(unlock(&mixed, &key_options(&path)).await, Err(SealError::HeaderEdited)));
    mixed.mac = first.header.mac.clone();
    unlock(&mixed, &key_options(&path)).await.unwrap();
}

#[tokio::test]
async fn every_trouble_with_a_key_file_has_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let header = create(&key_options(&path)).await.unwrap().header;
    let id = header.keys[0].id.clone();
    let refusal = async |path: &Path| unlock(&header, &key_options(path)).await.unwrap_err().to_string();

    let missing = refusal(&dir.path().join("nowhere")).await;
    for part in [id.as_str(), "nowhere", "STACKKIT_KEY_FILE"] {
        assert!(missing.contains(part), "{missing}");
    }
    let other = dir.path().join("other");
    KeyFile::at(&other).ensure().unwrap();
    let wrong = refusal(&other).await;
    assert!(wrong.contains(&id) && wrong.contains("other"), "{wrong}");
    assert!(matches!(unlock(&header, &KeyOptions::default()).await, Err(SealError::NoKeyPlace)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let open = refusal(&path).await;
            assert!(
                open.contains(&format!("chmod 600 '{}'", path.display())) && open.contains(&format!("{mode:03o}")),
                "{open}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let key = text.lines().last().unwrap().to_owned();
    for (bad, part) in [
        (String::new(), "no key"),
        (format!("{text}{key}\n"), "more than one"),
        (text.replace("stackkit-key-1", "stackkit-key-2"), "does not begin"),
        (text.replace(&key, &key[..key.len() - 2]), "32 bytes"),
    ] {
        fs::write(&path, bad).unwrap();
        let message = refusal(&path).await;
        assert!(message.contains(part) && !message.contains(&key["stackkit-key-1 ".len()..]), "{message}");
    }
    fs::write(&path, format!("\r\n# note\n  {key}\r\n")).unwrap();
    unlock(&header, &key_options(&path)).await.unwrap();
    assert!(refusal(dir.path()).await.contains("not a regular file"));
}

#[test]
fn of_many_that_make_the_key_file_at_once_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/key");
    let made: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| KeyFile::at(&path).ensure().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["key"], "no temporary file is left");
}

#[tokio::test]
async fn a_passphrase_opens_and_a_wrong_one_says_so() {
    let created = create_with(&[&cheap("correct horse")]).await.unwrap();
    let header = created.header;
    assert!(same(&created.sealer, &unlock(&header, &passphrase("correct horse")).await.unwrap()));
    assert!(matches!(unlock(&header, &passphrase("wrong")).await, Err(SealError::WrongPassphrase)));
    assert!(matches!(unlock(&header, &KeyOptions::default()).await, Err(SealError::NoPassphrase)));
    assert!(KeyOptions::default().lacks_passphrase_for(&header));
    assert!(matches!(create(&passphrase(" ")).await, Err(SealError::EmptyPassphrase)));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("passphrase");
    fs::write(&file, "correct horse\nnot this line\n").unwrap();
    let from_file = KeyOptions { passphrase_file: Some(file), ..KeyOptions::default() };
    unlock(&header, &from_file).await.unwrap();
    let absent = KeyOptions { passphrase_file: Some("/nowhere/passphrase".into()), ..KeyOptions::default() };
    assert!(unlock(&header, &absent).await.unwrap_err().to_string().contains("/nowhere/passphrase"));

    // An edited cost is neither obeyed without bounds nor mistaken for the right one.
    let mut edited = header.clone();
    edited.keys[0].settings.insert("memory".into(), Setting::Number(1 << 30));
    assert!(matches!(unlock(&edited, &passphrase("correct horse")).await, Err(SealError::WrappedKey { .. })));
    edited.keys[0].settings.insert("memory".into(), Setting::Number(128));
    assert!(matches!(unlock(&edited, &passphrase("correct horse")).await, Err(SealError::WrongPassphrase)));
}

#[tokio::test]
async fn the_default_cost_is_the_documented_one() {
    let created = create(&passphrase("correct horse")).await.unwrap();
    let key = &created.header.keys[0];
    assert_eq!((key.number("memory"), key.number("passes"), key.number("lanes")), (Some(65536), Some(3), Some(1)));
    assert!(same(&created.sealer, &unlock(&created.header, &passphrase("correct horse")).await.unwrap()));
}

#[tokio::test]
async fn any_one_of_several_keys_opens() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (KeyFile::at(dir.path().join("ours")), KeyFile::at(dir.path().join("theirs")));
    ours.ensure().unwrap();
    theirs.ensure().unwrap();
    let created = create_with(&[&theirs, &ours, &cheap("shared words")]).await.unwrap();
    for options in [key_options(ours.path()), key_options(theirs.path()), passphrase("shared words")] {
        assert!(same(&created.sealer, &unlock(&created.header, &options).await.unwrap()));
    }
    // A wrong passphrase does not stand in the way of a key file that fits.
    let both = passphrase("wrong").key_file(ours.path());
    unlock(&created.header, &both).await.unwrap();
    assert_eq!(ours.kind(), "key-file");
}

#[tokio::test]
async fn a_header_leaves_the_rest_of_its_file_as_people_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stackkit.dev.toml");
    assert_eq!(Header::read(&path).unwrap(), None);
    let people = "# our configuration\nregion   = 'eu-central-1' # Frankfurt\n\n[database]\nsize = 3 # small\n";
    fs::write(&path, people).unwrap();
    let mut header = create_with(&[&cheap("x y z")]).await.unwrap().header;
    header.write(&path).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.starts_with(people), "{written}");
    assert_eq!(Header::read(&path).unwrap(), Some(header.clone()));
    header.write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), written, "writing it again changes nothing");

    // A key is added; what people wrote around it meanwhile stays.
    let edited = format!("{}\n[tags]\nteam = \"a\" # ours\n", written.replace("size = 3", "size = 4"));
    fs::write(&path, &edited).unwrap();
    header.keys.push(header.keys[0].clone());
    header.write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("size = 4 # small") && text.contains("[tags]\nteam = \"a\" # ours"), "{text}");
    assert_eq!(Header::read(&path).unwrap(), Some(header.clone()));

    let fresh = dir.path().join("stackkit.new.toml");
    header.write(&fresh).unwrap();
    assert_eq!(Header::read(&fresh).unwrap(), Some(header));
}

#[tokio::test]
async fn every_trouble_with_a_header_has_its_message() {
    let header = create_with(&[&cheap("x y z")]).await.unwrap().header;
    let text = header.set_in("", "here").unwrap();
    assert_eq!(Header::parse("a = 1", "here").unwrap(), None);
    for (bad, part) in [
        ("seal = 1".to_owned(), "not a table"),
        ("seal = [".to_owned(), "not TOML"),
        (text.replace("format = 1", "format = 0"), "`format`"),
        (text.replace("format = 1", "format = 2"), "use a newer program"),
        (text.replace(&header.lineage, "x"), "not a UUID"),
        (text.replace("lineage", "linage"), "no text `lineage`"),
        (text.replace("wrapped =", "wraped ="), "no text `wrapped`"),
        (text[..text.find("[[seal.key]]").unwrap()].to_owned(), "no [[seal.key]]"),
        (text.replace("memory = 64", "memory = [1]"), "`memory`"),
    ] {
        let message = Header::parse(&bad, "`stackkit.dev.toml`").unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("stackkit.dev.toml"), "{part}: {message}");
    }
    // No edit of the header makes a reader panic, or opens with what it did not open with before.
    let options = passphrase("x y z");
    for at in 0..text.len() {
        let mut edited = text.clone().into_bytes();
        edited[at] ^= 1;
        let Ok(edited) = String::from_utf8(edited) else { continue };
        let Ok(Some(edited)) = Header::parse(&edited, "here") else { continue };
        if edited
            .keys
            .iter()
            .all(|key| key.number("memory").unwrap_or(0) < 1000 && key.number("passes").unwrap_or(0) < 10)
        {
            let opened = unlock(&edited, &options).await.is_ok();
            assert_eq!(opened, edited == header, "byte {at}");
        }
    }
}
