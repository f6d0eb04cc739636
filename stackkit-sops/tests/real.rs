//! Files that the genuine sops wrote: what is read of them, and what edits of them are told.

use std::fs;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use stackkit::lookup::Lookup as _;
use stackkit::resource::{Fields as _, Resource};
use stackkit::{Context, ErrorKind, Urn, Value};
use stackkit_age::Identities;
use stackkit_sops::{Format, Sops, SopsFile};
use tempfile::TempDir;

/// Somebody with a key pair of age.
struct Person {
    private: SecretString,
    public: String,
}

impl Person {
    fn new() -> Self {
        let key = age::x25519::Identity::generate();
        Self { private: SecretString::from(key.to_string().expose_secret()), public: key.to_public().to_string() }
    }

    fn sops(&self) -> Sops {
        Sops::with_identities(Identities { text: Some(self.private.clone()), ..Identities::default() })
    }
}

/// A folder with files, and the command.
struct Folder {
    dir: TempDir,
    sops: test_servers::Sops,
    ann: Person,
}

impl Folder {
    fn new() -> Self {
        let sops = test_servers::Sops::new().unwrap_or_else(|error| panic!("{error}"));
        Self { dir: tempfile::tempdir().unwrap(), sops, ann: Person::new() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs the command with Ann's private key.
    fn run(&self, arguments: &[&str]) -> String {
        let key = [("SOPS_AGE_KEY", self.ann.private.expose_secret())];
        self.sops.run(self.path(), &key, arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A file that the command encrypts for Ann.
    fn encrypt(&self, name: &str, bytes: impl AsRef<[u8]>, options: &[&str]) {
        fs::write(self.path().join(name), bytes).unwrap();
        // Rules name their recipients themselves.
        let ruled = self.path().join(".sops.yaml").exists();
        let to: &[&str] = if ruled { &[] } else { &["--age", &self.ann.public] };
        self.run(&[&["encrypt"], options, to, &["--in-place", name]].concat());
    }

    async fn read(&self, question: SopsFile) -> Result<String, stackkit::Error> {
        self.read_as(&self.ann.sops(), question).await
    }

    async fn read_as(&self, sops: &Sops, question: SopsFile) -> Result<String, stackkit::Error> {
        let context = Context::detached_in(Urn::new("sops:SopsFile", "t"), "t", self.path());
        SopsFile::look_up(sops, &context, &args(question)).await.map(|found| found.value.reveal().clone())
    }

    async fn refusal(&self, question: SopsFile) -> String {
        self.read(question).await.unwrap_err().to_string()
    }
}

/// The arguments of a draft without references, as the engine resolves them.
fn args<R: Resource>(draft: R) -> R::Args {
    let fields = R::SCHEMA.fields.iter().zip(draft.into_values());
    let filled = fields.map(|(field, value)| match field.default {
        Some(default) if value.is_null() => default(),
        _ => value,
    });
    R::Args::from_values(&filled.collect::<Vec<Value>>()).unwrap()
}

const YAML: &str = "# of the shop\ndatabase:\n    user: app\n    password: \"hunter: 2\"\n    port: 5432\n    tls: true\n    \
                    share: 0.25\n    since: 2026-01-02T03:04:05Z\n    none: null\n    empty: \"\"\nkeys:\n    - name: k0\n      \
                    pem: |\n        line\n        line # not a comment\n    - [x, y]\nregion_unencrypted: eu\n\
                    counts_unencrypted:\n    - 1\n    - -2.50\n    - true\n    - 1e9\n    - ~\n    - 2026-01-02\n";

#[tokio::test]
async fn every_part_of_a_yaml_file_is_read_by_its_path() {
    let folder = Folder::new();
    folder.encrypt("s.yaml", YAML, &[]);
    assert!(!folder.text("s.yaml").contains("hunter"));
    for (field, wanted) in [
        ("database.user", "app"),
        ("database.password", "hunter: 2"),
        ("/database/password", "hunter: 2"),
        ("database.port", "5432"),
        ("database.tls", "true"),
        ("database.share", "0.25"),
        ("database.since", "2026-01-02T03:04:05Z"),
        ("keys[0].pem", "line\nline # not a comment\n"),
        ("keys.1[1]", "y"),
        ("keys[1]", r#"["x","y"]"#),
        ("region_unencrypted", "eu"),
        ("counts_unencrypted", r#"[1,-2.5,true,1000000000,null,"2026-01-02T00:00:00Z"]"#),
    ] {
        assert_eq!(folder.read(SopsFile::new("s.yaml").field(field)).await.unwrap(), wanted, "{field}");
    }
    // Everything, as the command says it.
    let all: serde_json::Value = serde_json::from_str(&folder.read(SopsFile::new("s.yaml")).await.unwrap()).unwrap();
    let told = folder.run(&["decrypt", "--output-type", "json", "s.yaml"]);
    assert_eq!(all, serde_json::from_str::<serde_json::Value>(&told).unwrap());
    for (field, said) in [
        ("database.pasword", "the file `s.yaml` has no `pasword` in `database`; it has `user`, `password`"),
        ("database.none", "has nothing in `database.none`"),
        ("database.empty", "has nothing in `database.empty`: give it the secret with `sops set`"),
        ("keys[2]", "it is a list of 2, counted from 0"),
    ] {
        let error = folder.read(SopsFile::new("s.yaml").field(field)).await.unwrap_err();
        assert!(error.to_string().contains(said) && error.kind() == ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn json_dotenv_ini_and_whole_files_are_read() {
    let folder = Folder::new();
    folder.encrypt("s.json", r#"{"a":{"b":["x",{"c":9007199254740993}]},"f":1.50,"t":true,"n":null,"ü":"ä\n"}"#, &[]);
    folder.encrypt("s.env", "# c\nPASSWORD=a=b c\nMULTI=one\\ntwo\n", &[]);
    folder.encrypt("s.ini", "top = 1\n\n; c\n[db]\npassword = a;b\nkey = x # y\n\n[other]\nn = 2\n", &[]);
    folder.encrypt("s.pem", "-----BEGIN-----\nx\n", &[]);
    folder.encrypt("s.bin", [0xff, 0x00, b'\n'], &[]);
    folder.encrypt("odd.txt", "a: b\n", &["--input-type", "yaml", "--output-type", "yaml"]);
    let read = async |question: SopsFile| folder.read(question).await.unwrap();
    assert_eq!(read(SopsFile::new("s.json").field("a.b[1].c")).await, "9007199254740993");
    assert_eq!(read(SopsFile::new("s.json").field("f")).await, "1.5");
    assert_eq!(read(SopsFile::new("s.json").field("ü")).await, "ä\n");
    assert_eq!(read(SopsFile::new("s.env").field("PASSWORD")).await, "a=b c");
    assert_eq!(read(SopsFile::new("s.env").field("MULTI")).await, "one\ntwo");
    let said = folder.run(&["decrypt", "--extract", r#"["db"]["password"]"#, "s.ini"]);
    assert_eq!(read(SopsFile::new("s.ini").field("db.password")).await, said.trim());
    assert_eq!(read(SopsFile::new("s.ini").field("DEFAULT.top")).await, "1");
    assert_eq!(read(SopsFile::new("s.ini").field("other.n")).await, "2");
    assert_eq!(read(SopsFile::new("s.pem")).await, "-----BEGIN-----\nx\n");
    assert_eq!(read(SopsFile::new("s.bin").base64(true)).await, "/wAK");
    assert_eq!(read(SopsFile::new("odd.txt").format(Format::Yaml).field("a")).await, "b");
    let said = folder.refusal(SopsFile::new("s.bin")).await;
    assert!(said.contains("no text in UTF-8: take its bytes with `.base64(true)`"), "{said}");
    let said = folder.refusal(SopsFile::new("odd.txt")).await;
    assert!(
        said.contains("the file `odd.txt` cannot be read as a whole file (binary): it is no JSON at line 1"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_encrypted_follows_the_rule_of_the_file() {
    let folder = Folder::new();
    let rule = "encrypted_regex: \"^(secret|password_.*)$\"\n    mac_only_encrypted: true\n";
    let text = "user: app\nsecret:\n    deep: x\npassword_enc: y\nplain: z\n";
    for (name, options) in [
        ("a.yaml", &["--encrypted-regex", "^(secret|password_.*)$"][..]),
        ("b.yaml", &["--unencrypted-regex", "^(user|plain)$"]),
        ("c.yaml", &["--encrypted-suffix", "_enc"]),
        ("d.yaml", &["--unencrypted-suffix", "user"]),
        ("e.yaml", &[]),
    ] {
        if name == "e.yaml" {
            folder.write(".sops.yaml", &format!("creation_rules:\n  - age: {}\n    {rule}", folder.ann.public));
        }
        folder.encrypt(name, text, options);
        assert_eq!(folder.read(SopsFile::new(name).field("password_enc")).await.unwrap(), "y", "{name}");
        let deep = folder.read(SopsFile::new(name).field("secret.deep")).await;
        let user = folder.read(SopsFile::new(name).field("user")).await;
        if name == "e.yaml" {
            // A value that nothing authenticates is not given out, alone or with others.
            let said = user.unwrap_err().to_string();
            assert!(said.contains("holds `user` in plain text, which its MAC does not cover"), "{said}");
            assert!(folder.refusal(SopsFile::new(name)).await.contains("name the part that is wanted"));
        } else {
            assert_eq!(user.unwrap(), "app", "{name}");
        }
        assert_eq!(deep.unwrap(), "x", "{name}");
    }
    let rule = format!("creation_rules:\n  - age: {}\n    encrypted_comment_regex: here\n", folder.ann.public);
    folder.write(".sops.yaml", &rule);
    folder.encrypt("f.yaml", "# here\na: x\nb: y\n", &[]);
    let said = folder.refusal(SopsFile::new("f.yaml").field("a")).await;
    assert!(said.contains("`encrypted_comment_regex`") && said.contains("encrypt it anew"), "{said}");
}

#[tokio::test]
async fn an_edit_by_hand_is_refused_by_file_path_and_way_out() {
    let folder = Folder::new();
    folder.encrypt(
        "s.yaml",
        "db:\n    password: first\n    other: second\nlist:\n    - a\n    - b\nplain_unencrypted: p\n",
        &[],
    );
    let genuine = folder.text("s.yaml");
    let value = |name: &str| {
        let line = genuine.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let (password, other, mac) = (value("password:"), value("other:"), value("mac:"));
    let items: Vec<&str> = genuine.lines().filter(|line| line.trim_start().starts_with("- ENC")).collect();
    let when = value("lastmodified:");
    let of_other = {
        folder.encrypt("o.yaml", "db:\n    password: first\n", &[]);
        let text = folder.text("o.yaml");
        text.lines().find(|line| line.contains("password: ENC")).unwrap().split_once(": ").unwrap().1.to_owned()
    };
    // The second letter of the ciphertext, and the type beside it.
    let (start, end) = password.split_at("ENC[AES256_GCM,data:".len() + 1);
    let changed = format!("{start}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    let moved = "has a value `db.password` that was changed by hand, or moved there from another place";
    for (what, edited, said) in [
        ("a value changed", genuine.replace(&password, &changed), moved),
        (
            "its type changed",
            genuine.replace(&password, &password.replace("type:str", "type:int")),
            "`db.password` of a type",
        ),
        (
            "two values exchanged",
            genuine.replace(&password, "\u{0}").replace(&other, &password).replace('\u{0}', &other),
            moved,
        ),
        ("that of another file", genuine.replace(&password, &of_other), moved),
        ("in plain text", genuine.replace(&password, "hunter2"), "has a value `db.password` in plain text"),
        ("a number", genuine.replace(&password, "12"), "has a value `db.password` in plain text"),
        ("a value taken away", genuine.replace(&format!("    other: {other}\n"), ""), "does not fit its MAC"),
        (
            "a plain value changed",
            genuine.replace("plain_unencrypted: p", "plain_unencrypted: q"),
            "does not fit its MAC",
        ),
        (
            "a plain value added",
            genuine.replace("plain_unencrypted: p", "plain_unencrypted: p\nx_unencrypted: q"),
            "does not fit its MAC",
        ),
        (
            "items of a list exchanged",
            genuine.replace(items[0], "\u{0}").replace(items[1], items[0]).replace('\u{0}', items[1]),
            "does not fit its MAC",
        ),
        (
            "the MAC taken away",
            genuine.replace(&format!("    mac: {mac}\n"), ""),
            "has no MAC (`mac` in its part `sops`)",
        ),
        ("the MAC empty", genuine.replace(&mac, "\"\""), "has no MAC"),
        ("the MAC changed", genuine.replace(&mac, &mac.replace("data:", "data:AA")), "has a MAC that was edited"),
        ("the MAC of a value", genuine.replace(&mac, &password), "has a MAC that was edited"),
        ("another time", genuine.replace(&when, "\"2020-01-01T00:00:00Z\""), "has a MAC that was edited"),
        (
            "the MAC over less",
            genuine.replace(&format!("    mac: {mac}\n"), &format!("    mac: {mac}\n    mac_only_encrypted: true\n")),
            "does not fit its MAC",
        ),
        (
            "not encrypted at all",
            "db:\n    password: x\n".to_owned(),
            "is not encrypted by SOPS, or not as YAML: encrypt it with `sops encrypt --in-place s.yaml`",
        ),
    ] {
        assert_ne!(edited, genuine, "{what}");
        folder.write("s.yaml", &edited);
        let refusal = folder.refusal(SopsFile::new("s.yaml").field("db.password")).await;
        assert!(refusal.starts_with("the file `s.yaml` ") && refusal.contains(said), "{what}: {refusal}");
        for secret in ["hunter2", "first", "second", &password] {
            assert!(!refusal.contains(secret), "{what}: {refusal}");
        }
    }
    folder.write("s.yaml", &genuine);
    assert_eq!(folder.read(SopsFile::new("s.yaml").field("db.password")).await.unwrap(), "first");
    // What sops itself changes, is well.
    folder.run(&["set", "s.yaml", r#"["db"]["password"]"#, r#""third""#]);
    assert_eq!(folder.read(SopsFile::new("s.yaml").field("db.password")).await.unwrap(), "third");
    let error = folder.read(SopsFile::new("none.yaml")).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::NotFound && error.to_string().contains("the file `none.yaml` is not there"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_opens_for_its_recipients_alone() {
    let folder = Folder::new();
    let (bob, eve) = (Person::new(), Person::new());
    fs::write(folder.path().join("s.json"), r#"{"a":"x"}"#).unwrap();
    folder.run(&["encrypt", "--age", &format!("{},{}", folder.ann.public, bob.public), "--in-place", "s.json"]);
    let question = || SopsFile::new("s.json").field("a");
    assert_eq!(folder.read_as(&bob.sops(), question()).await.unwrap(), "x");
    let error = folder.read_as(&eve.sops(), question()).await.unwrap_err();
    let said = error.to_string();
    for part in ["`s.json` is encrypted for `age1", &bob.public, "SOPS_AGE_KEY_FILE", "`sops updatekeys s.json`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(error.kind(), ErrorKind::Denied);
    // A recipient less: the file itself is as it was, but does not open for Bob any more.
    let mut json: serde_json::Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    json["sops"]["age"].as_array_mut().unwrap().pop();
    folder.write("s.json", &json.to_string());
    assert_eq!(folder.read(question()).await.unwrap(), "x");
    let said = folder.read_as(&bob.sops(), question()).await.unwrap_err().to_string();
    assert!(said.contains(&folder.ann.public) && !said.contains(&bob.public), "{said}");
    json["sops"]["age"][0]["enc"] = "nonsense".into();
    folder.write("s.json", &json.to_string());
    let said = folder.refusal(question()).await;
    assert!(said.contains("is damaged: its data key for the recipient") && said.contains("version control"), "{said}");
    json["sops"].as_object_mut().unwrap().remove("age");
    folder.write("s.json", &json.to_string());
    assert!(folder.refusal(question()).await.contains("names no key in its part `sops`"));
}

#[tokio::test]
async fn keys_of_ssh_and_of_several_groups_open_a_file() {
    let folder = Folder::new();
    let ssh = include_str!("../../stackkit-age/tests/keys/ed25519");
    let public = include_str!("../../stackkit-age/tests/keys/ed25519.pub").trim();
    fs::write(folder.path().join("s.env"), "A=x\n").unwrap();
    folder.run(&["encrypt", "--age", public, "--in-place", "s.env"]);
    let with_ssh = Sops::with_identities(Identities { text: Some(ssh.into()), ..Identities::default() });
    assert_eq!(folder.read_as(&with_ssh, SopsFile::new("s.env").field("A")).await.unwrap(), "x");

    let (bob, eve) = (Person::new(), Person::new());
    let keys = [&folder.ann.public, &bob.public, &eve.public].map(|key| format!("      - age: [{key}]\n")).concat();
    folder.write(".sops.yaml", &format!("creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n{keys}"));
    for (name, text) in [("s.yaml", "a: x\n"), ("t.env", "a=x\n"), ("t.ini", "[b]\na = x\n")] {
        folder.write(name, text);
        folder.run(&["encrypt", "--in-place", name]);
        let field = if name == "t.ini" { "b.a" } else { "a" };
        let both = format!("{} {}", folder.ann.private.expose_secret(), eve.private.expose_secret());
        let two = Sops::with_identities(Identities { text: Some(both.into()), ..Identities::default() });
        assert_eq!(folder.read_as(&two, SopsFile::new(name).field(field)).await.unwrap(), "x", "{name}");
        let said = folder.refusal(SopsFile::new(name).field(field)).await;
        assert!(said.contains("needs keys of 2 of its 3 key groups, and those of 1 are at hand"), "{said}");
    }
}

/// The corpus that `hostile` and the fuzzer start from is of the genuine sops, which opens it. `STACKKIT_UPDATE=1` writes
/// it anew.
#[test]
fn the_corpus_is_of_the_genuine_sops() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let key = fs::read_to_string(corpus.join("key.txt")).unwrap();
    let public = key.trim().parse::<age::x25519::Identity>().unwrap().to_public().to_string();
    let sops = test_servers::Sops::new().unwrap_or_else(|error| panic!("{error}"));
    let folder = corpus.join("sops");
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        let dir = tempfile::tempdir().unwrap();
        let rule = "encrypted_regex: ^(pass|list)\n    mac_only_encrypted: true\n";
        let rules = format!("creation_rules:\n  - age: {public}\n    {rule}");
        for (name, text) in [
            ("values.yaml", YAML),
            ("values.json", r#"{"a":{"b":["x",{"c":12}]},"f":1.5,"t":true,"n":null,"u_unencrypted":"p"}"#),
            ("values.env", "# c\nPASSWORD=a=b c\nMULTI=one\\ntwo\n"),
            ("values.ini", "top = 1\n[db]\npassword = a;b\n"),
            ("whole.pem", "-----BEGIN-----\nx\n"),
            ("only-some.yaml", "user: app\npassword: x\nlist:\n    - a\n    - 1\n"),
        ] {
            let ruled = name == "only-some.yaml";
            if ruled {
                fs::write(dir.path().join(".sops.yaml"), &rules).unwrap();
            }
            fs::write(dir.path().join(name), text).unwrap();
            let to: &[&str] = if ruled { &[] } else { &["--age", &public] };
            let arguments = [&["encrypt"], to, &["--in-place", name]].concat();
            sops.run(dir.path(), &[("", "")][..0], &arguments).unwrap_or_else(|error| panic!("{error}"));
            fs::create_dir_all(&folder).unwrap();
            fs::copy(dir.path().join(name), folder.join(name)).unwrap();
        }
    }
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let opened = sops.run(&folder, &[("SOPS_AGE_KEY", key.trim())], &["decrypt", file.to_str().unwrap()]);
        assert!(opened.is_ok(), "{opened:?}");
    }
}
