//! A program whose stack several keys open, as its users run it. This process is the program too, so it has no harness.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use acceptance::{Canary, Moment, Sandbox};
use secrecy::ExposeSecret as _;
use stackkit::prelude::*;
use stackkit_age::Age;

#[stackkit::program(keys(Age))]
async fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let password = stack.add("password", local::RandomPassword::new(40).special(false));
    for number in 0..40 {
        stack.add(format!("more-{number}"), local::RandomPassword::new(40));
    }
    stack.output("password", &password.value);
    stack.output("token", text!("{}", config.token));
    Ok(())
}

#[derive(Debug, Clone, Properties)]
struct Config {
    token: Secret<String>,
}

/// How often a change of the data key is killed.
const KILLS: u32 = 25;

/// Somebody with a key pair of age.
struct Person {
    private: String,
    public: String,
}

impl Person {
    fn new() -> Self {
        let key = age::x25519::Identity::generate();
        Self { private: key.to_string().expose_secret().to_owned(), public: key.to_public().to_string() }
    }

    fn env(&self) -> [(&str, &str); 1] {
        [("STACKKIT_AGE_IDENTITY", &self.private)]
    }
}

fn main() -> ExitCode {
    acceptance::itself(shop(), test)
}

fn test() {
    team();
    rotation_survives_kills();
    println!("stacks that several keys open");
}

fn team() {
    let (ada, bob, ci) = (Person::new(), Person::new(), Person::new());
    let sandbox = Sandbox::itself();
    let canary = Canary::new();
    let write = |name: &str, text: String| {
        fs::write(sandbox.stack().join(name), text).unwrap_or_else(|error| panic!("{error}"));
    };
    // The team's keys stand in Git, and the first stack is sealed with them.
    write(
        "stackkit.toml",
        format!("[secrets]\nkeys = [{{ key = \"age:{}\", label = \"Ada\" }}, \"age:team.pub\"]\n", ada.public),
    );
    write("team.pub", format!("# Bob\n{}\n", bob.public));
    let set = ["config", "set", "token", "-", "--secret"];
    let stranger = sandbox.run_with_input(&set, canary.reveal()).expect(1);
    assert!(stranger.stderr.contains("STACKKIT_AGE_IDENTITY"), "{}", stranger.stderr);
    assert!(!sandbox.stack().join("stackkit.dev.toml").exists(), "a stack was made that its maker cannot open");

    // Ada's key lies where it is looked for by itself.
    let home = sandbox.root().join("home/config/stackkit");
    fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{error}"));
    private(&home.join("age.txt"), &ada.private);
    sandbox.run_with_input(&set, canary.reveal()).expect(0);
    sandbox.run(&["up", "--yes"]).expect(0);
    let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    let made = Canary::of(password.trim());
    let opens = |who: &Person| {
        let shown = sandbox.run_with_env(&["outputs", "token", "--show-secrets"], &who.env()).expect(0);
        assert_eq!(shown.stdout.trim(), canary.reveal());
    };
    opens(&ada);
    let header = || fs::read_to_string(sandbox.stack().join("stackkit.dev.toml")).unwrap_or_default();
    assert!(!header().contains("key-file"), "{}", header());

    // CI joins, and is listed.
    sandbox.run(&["secrets", "add", &format!("age:{}", ci.public), "--label", "CI"]).expect(0);
    let list = sandbox.run(&["secrets", "list", "--json"]).expect(0).stdout;
    assert!(
        list.contains("\"label\":\"Ada\"") && list.contains("\"label\":\"CI\"") && list.contains(&bob.public),
        "{list}"
    );
    let unknown = sandbox.run(&["secrets", "remove", "Carol"]).expect(1);
    assert!(unknown.stderr.contains("secrets list"), "{}", unknown.stderr);

    // Everybody who is listed opens it without Ada's file, and a stranger is told whose keys do.
    fs::remove_file(home.join("age.txt")).unwrap_or_else(|error| panic!("{error}"));
    for who in [&ada, &bob, &ci] {
        opens(who);
    }
    let stranger = Person::new();
    let refused = sandbox.run_with_env(&["outputs"], &stranger.env()).expect(1);
    assert!(refused.stderr.contains("not at hand"), "{}", refused.stderr);

    // Nobody shuts themselves out by a slip.
    let slip = sandbox.run_with_env(&["secrets", "remove", "CI"], &ci.env()).expect(3);
    assert!(slip.stderr.contains("would not open here any more"), "{}", slip.stderr);

    // Bob leaves: taking him out says what is still to do, and a new data key shuts him out.
    let before = header();
    let removed = sandbox.run_with_env(&["secrets", "remove", &bob.public], &ada.env()).expect(0);
    assert!(removed.stderr.contains("secrets rotate"), "{}", removed.stderr);
    sandbox.run_with_env(&["secrets", "rotate"], &ci.env()).expect(0);
    for who in [&ada, &ci] {
        opens(who);
    }
    sandbox.run_with_env(&["outputs"], &bob.env()).expect(1);
    let after = header();
    assert!(after.contains("\"Ada\"") && after.contains("\"CI\"") && !after.contains(&bob.public), "{after}");
    // Not even with the header that version control still has.
    write("stackkit.dev.toml", before);
    let old = sandbox.run_with_env(&["outputs"], &bob.env()).expect(1);
    assert!(old.stderr.contains("secrets rotate"), "{}", old.stderr);
    write("stackkit.dev.toml", after);
    let same = sandbox.run_with_env(&["up", "--yes", "--json"], &ada.env()).expect(0);
    assert_eq!((same.count("same"), same.count("create") + same.count("update") + same.count("replace")), (41, 0));

    // To another kind of key and back; what cannot be proved from here leaves the old ones.
    let carol = Person::new();
    let kept =
        sandbox.run_with_env(&["secrets", "change-provider", &format!("age:{}", carol.public)], &ada.env()).expect(0);
    assert!(kept.stderr.contains("The old keys stay"), "{}", kept.stderr);
    for who in [&ada, &carol] {
        opens(who);
    }
    sandbox.run_with_env(&["secrets", "change-provider", "key-file"], &carol.env()).expect(0);
    let list = sandbox.run(&["secrets", "list"]).expect(0).stdout;
    assert!(list.starts_with("key-file") && list.lines().count() == 1, "{list}");
    assert_eq!(sandbox.run(&["outputs", "token", "--show-secrets"]).expect(0).stdout.trim(), canary.reveal());
    sandbox.run_with_env(&["outputs"], &ada.env()).expect(0);
    let lonely = sandbox.run(&["secrets", "remove", list.split_whitespace().nth(1).unwrap_or_default()]).expect(3);
    assert!(lonely.stderr.contains("the only key"), "{}", lonely.stderr);
    let passphrase = [("STACKKIT_NEW_PASSPHRASE", "four common words here")];
    sandbox.run_with_env(&["secrets", "change-provider", "passphrase"], &passphrase).expect(0);
    let opened = [("STACKKIT_PASSPHRASE", "four common words here")];
    let shown = sandbox.run_with_env(&["outputs", "token", "--show-secrets"], &opened).expect(0);
    assert_eq!(shown.stdout.trim(), canary.reveal());

    for secret in [&ada.private, &bob.private, &ci.private, &carol.private] {
        assert_eq!(sandbox.traces(&Canary::of(secret), &[]), Vec::<String>::new());
    }
    // Both were printed above, because that was asked for.
    for canary in [&canary, &made] {
        let found = sandbox.traces(canary, &[]);
        assert!(found.iter().all(|place| place.starts_with("what was printed")), "{found:?}");
    }
}

/// Rules: 15, 35.
fn rotation_survives_kills() {
    let ada = Person::new();
    let sandbox = Sandbox::itself().with_env([("STACKKIT_AGE_IDENTITY", ada.private.as_str())]);
    let canary = Canary::new();
    sandbox.run_with_input(&["config", "set", "token", "-", "--secret"], canary.reveal()).expect(0);
    sandbox.run(&["secrets", "change-provider", &format!("age:{}", ada.public)]).expect(0);
    sandbox.run(&["up", "--yes"]).expect(0);
    let password = sandbox.run(&["outputs", "password", "--show-secrets"]).expect(0).stdout;
    let begun = std::time::Instant::now();
    sandbox.run(&["secrets", "rotate"]).expect(0);
    let usual = begun.elapsed();
    let file = sandbox.stack().join("stackkit.dev.toml");
    let mut half = 0;
    for round in 0..KILLS {
        let then = usual * round / KILLS + std::time::Duration::from_millis(1);
        let cut = sandbox.kill_at(&["secrets", "rotate"], Moment { line: 0, then });
        half += u32::from(fs::read_to_string(&file).unwrap_or_default().contains("[seal.next]"));
        // Whatever is there opens as it is: the state, and the configuration.
        for (name, value) in [("password", password.trim()), ("token", canary.reveal())] {
            let shown = sandbox.run(&["outputs", name, "--show-secrets"]).expect(0).stdout;
            assert_eq!(shown.trim(), value, "round {round}, {:?}", cut.code);
        }
        assert_eq!(sandbox.run(&["config", "get", "token", "--show-secrets"]).expect(0).stdout.trim(), canary.reveal());
        if round % 5 == 0 {
            sandbox.run(&["secrets", "rotate"]).expect(0);
            assert!(!fs::read_to_string(&file).unwrap_or_default().contains("[seal.next]"), "round {round}");
        }
    }
    println!("{half} of {KILLS} kills left a change half-way");
    sandbox.run(&["secrets", "rotate"]).expect(0);
    let same = sandbox.run(&["up", "--yes", "--json"]).expect(0);
    assert_eq!(same.count("same"), 41);
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{error}"));
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap_or_else(|error| panic!("{error}"));
}
