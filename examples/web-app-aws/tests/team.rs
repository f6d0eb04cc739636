//! The program as a team uses it, by the commands of README.md: state on S3, a key of KMS for CI, a key of age for each
//! person, and a viewer. Everybody has a machine of their own, and what Git carries between them is copied.
//!
//! One moto is the account: it keeps S3's conditions on writes, because it serves one request at a time, and the wrapper
//! around it judges the policies that `access` prints by action, resource and condition. It looks at no policy of the
//! bucket or the key, nor at signatures; see docs/security-team.md.

use std::path::PathBuf;

use acceptance::{Canary, Ran, Sandbox};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use test_servers::{Credentials, Moto};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-web-app-aws");

/// Where the state is; made by whoever is first.
const STATE: &str = "s3://acme-infra/web-app";

/// What CI may do in the account beside the state: what the program makes, and nothing else. No bucket but the uploads.
const CLOUD: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["ec2:*","rds:*"],"Resource":"*"},
    {"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*uploads*"}]}"#;

/// What Git carries.
const COMMITTED: [&str; 2] = ["stackkit.toml", "stackkit.dev.toml"];

/// Somebody with a machine of their own.
struct Person {
    sandbox: Sandbox,
    /// The public half of their key.
    public: String,
}

impl Person {
    /// Somebody who has made a key, as `age-keygen -o ~/.config/stackkit/age.txt` does.
    fn with_key(moto: &Moto, who: Option<&Credentials>) -> Self {
        let person = Self::new(moto, who);
        let key = age::x25519::Identity::generate();
        let folder = person.config().join("stackkit");
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("age.txt");
        std::fs::write(&file, format!("{}\n", key.to_string().expose_secret())).expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("closed");
        Self { public: key.to_public().to_string(), ..person }
    }

    fn new(moto: &Moto, who: Option<&Credentials>) -> Self {
        let sandbox = Sandbox::new(PROGRAM).with_env(moto.env());
        let sandbox = sandbox.with_env(who.map(Credentials::env).unwrap_or_default());
        Self { sandbox, public: String::new() }
    }

    fn config(&self) -> PathBuf {
        self.sandbox.root().join("home/config")
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.sandbox.run(args)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.sandbox.stack().join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.sandbox.stack().join(name), text).expect("written");
    }

    /// What somebody else has pushed.
    fn pull(&self, from: &Person) -> &Self {
        for name in COMMITTED {
            self.write(name, &from.file(name));
        }
        self
    }

    /// The policies that make IAM let somebody do what a role does.
    fn policies(&self, role: &str) -> Vec<String> {
        let grants = self.run(&["access", role, "--json"]).expect(0).stdout;
        let grants: Vec<Value> = serde_json::from_str(&grants).expect("JSON");
        let policies = grants.iter().filter(|grant| grant["language"] == "json");
        policies.filter_map(|grant| grant["text"].as_str()).map(str::to_owned).collect()
    }
}

/// That the store said no, in its own words, and nothing was touched.
#[track_caller]
fn denied(run: Ran, call: &str) {
    let run = run.expect(3);
    let said = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("is not authorized to perform: {call}")), "{call}: {}", run.told());
    assert!(said.contains("AccessDenied"), "{call}: {}", run.told());
}

/// Calls that were made since this was asked before, and what S3 or KMS answered.
fn answered(moto: &Moto, call: &str) -> Vec<Option<u16>> {
    let log = moto.call_log().unwrap_or_else(|error| panic!("{error}"));
    moto.clear_calls().unwrap_or_else(|error| panic!("{error}"));
    log.into_iter().filter(|made| made.name == call).map(|made| made.status).collect()
}

#[test]
fn a_team_shares_a_stack() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let key = moto.kms_key("alias/web-app").unwrap_or_else(|error| panic!("{error}"));
    let password = Canary::new();

    // Ada, who owns the account, makes the stack.
    let ada = Person::with_key(&moto, None);
    let keys = format!(
        "[secrets]\nkeys = [\n    {{ key = \"aws-kms:alias/web-app\", label = \"CI\" }},\n    \
         {{ key = \"age:{}\", label = \"Ada\" }},\n]\n",
        ada.public
    );
    ada.write("stackkit.toml", &keys);
    ada.write("stackkit.dev.toml", &format!("[config]\n\n[state]\nbackend = \"{STATE}\"\n"));
    ada.sandbox.run_with_input(&["config", "set", "db_password", "-", "--secret"], password.reveal()).expect(0);
    let first = format!("{STATE}?create=true");
    let up = ada.run(&["up", "--yes", "--json", "--backend", &first]).expect(0);
    assert!(up.count("create") >= 12, "{}", up.told());
    assert!(ada.file("stackkit.dev.toml").contains(&key), "the header names the key, not its alias");

    // Two people, with keys of their own.
    let viewer = ada.policies("viewer");
    assert_eq!(viewer.len(), 2, "one for S3 and one for KMS: {viewer:?}");
    let viewer: Vec<&str> = viewer.iter().map(String::as_str).collect();
    let user = |name: &str, policies: &[&str]| moto.user(name, policies).unwrap_or_else(|error| panic!("{error}"));
    let alice = Person::with_key(&moto, Some(&user("alice", &viewer)));
    let bob = Person::with_key(&moto, Some(&user("bob", &viewer)));
    for (person, name) in [(&alice, "Alice"), (&bob, "Bob")] {
        ada.run(&["secrets", "add", &format!("age:{}", person.public), "--label", name]).expect(0);
    }

    // The roles. From here on Ada is no more than an admin of the stack.
    let (deployer, admin) = (ada.policies("deployer"), ada.policies("admin"));
    let all: Vec<&str> = deployer.iter().map(String::as_str).chain([CLOUD]).collect();
    let ci = Person::new(&moto, Some(&moto.role("web-app-ci", &all).unwrap_or_else(|error| panic!("{error}"))));
    let admin: Vec<&str> = admin.iter().map(String::as_str).collect();
    let ada = Person { sandbox: ada.sandbox.with_env(user("ada", &admin).env()), ..ada };
    let vera = Person::new(&moto, Some(&user("vera", &viewer)));
    moto.enforce_iam().unwrap_or_else(|error| panic!("{error}"));

    // CI deploys. It has no key but that of KMS.
    ada.run(&["config", "set", "environment", "staging"]).expect(0);
    let up = ci.pull(&ada).run(&["up", "--yes", "--json"]).expect(0);
    assert!(up.count("update") >= 8 && up.count("replace") == 0, "{}", up.told());
    ci.run(&["up", "--yes", "--expect-no-changes"]).expect(0);
    assert!(answered(&moto, "kms:Decrypt").contains(&Some(200)));

    // Alice reads secrets by her own key: KMS says no to her, and S3 lets her read alone.
    let shown = alice.pull(&ada).run(&["outputs", "url", "--show-secrets"]).expect(0);
    assert!(shown.stdout.contains(password.reveal()), "{}", shown.told());
    assert!(shown.stderr.contains("audit log"), "that it could not be noted is said: {}", shown.told());
    alice.run(&["state", "list"]).expect(0);
    assert!(bob.pull(&ada).run(&["outputs", "url", "--show-secrets"]).expect(0).stdout.contains(password.reveal()));
    assert!(!answered(&moto, "kms:Decrypt").contains(&Some(200)), "KMS opened the stack for a viewer");
    denied(alice.run(&["up", "--yes"]), "s3:PutObject");
    denied(alice.run(&["state", "rm", "uploads", "--yes"]), "s3:PutObject");
    let puts = answered(&moto, "s3:PutObject");
    assert!(!puts.is_empty() && puts.iter().all(|status| *status == Some(403)), "{puts:?}");

    // Vera has no key. What is not secret she sees; everything else the stores refuse.
    vera.pull(&ada);
    let outputs = vera.run(&["outputs", "--unverified"]).expect(0);
    let sealed = outputs.stdout.lines().any(|line| line.split_whitespace().eq(["url", "(sealed)"]));
    assert!(sealed && outputs.stdout.contains("rds.amazonaws.com"), "{}", outputs.told());
    let list = vera.run(&["state", "list", "--unverified"]).expect(0);
    assert!(list.stdout.contains("aws:rds:Instance") && list.stderr.contains("Not verified"), "{}", list.told());
    vera.run(&["state", "show", "orders", "--unverified", "--json"]).expect(0);
    vera.run(&["outputs", "url", "--show-secrets", "--unverified"]).expect(1);
    for command in [&["outputs"][..], &["up", "--yes"], &["state", "rm", "uploads", "--yes"], &["destroy", "--yes"]] {
        denied(vera.run(command), "kms:Decrypt");
    }
    assert!(answered(&moto, "s3:PutObject").is_empty(), "somebody without a key came as far as writing");
    assert_eq!(vera.sandbox.traces(&password, &[]), Vec::<String>::new());

    // Bob leaves.
    let old = bob.file("stackkit.dev.toml");
    let rotated = ada.run(&["secrets", "rotate", "--without", "Bob"]).expect(0);
    assert!(rotated.stderr.contains("Left out age") && rotated.stderr.contains("Bob"), "{}", rotated.told());
    let read = ["outputs", "url", "--show-secrets"];
    denied(bob.pull(&ada).run(&read), "kms:Decrypt");
    bob.write("stackkit.dev.toml", &old);
    let stale = bob.run(&read).expect(1);
    assert!(stale.stdout.is_empty() && stale.stderr.contains("data key"), "{}", stale.told());
    assert!(alice.pull(&ada).run(&read).expect(0).stdout.contains(password.reveal()));
    ci.pull(&ada).run(&["up", "--yes", "--expect-no-changes"]).expect(0);
    let told = ada.run(&["audit", "show"]).expect(0);
    for command in ["secrets add", "secrets rotate"] {
        assert!(told.stdout.contains(command), "{command}: {}", told.told());
    }
    ada.run(&["audit", "verify"]).expect(0);

    // Changing keys and removing the stack is an admin's, not CI's.
    denied(ci.run(&["secrets", "rotate"]), "kms:Encrypt");
    ada.run(&["config", "set", "protected", "false"]).expect(0);
    ci.pull(&ada).run(&["up", "--yes"]).expect(0);
    ci.run(&["destroy", "--yes"]).expect(0);
    ada.run(&["stack", "rm", "dev", "--yes"]).expect(0);
    for person in [&ada, &ci] {
        assert_eq!(person.sandbox.traces(&password, &[]), Vec::<String>::new());
    }
}
