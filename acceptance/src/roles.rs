//! The roles of a stack, as a store enforces them: somebody of each, with credentials of their own, does what they may and
//! is refused the rest by the store.

use stackkit::prelude::*;

use crate::remote::Config;
use crate::{Ran, Sandbox};

/// No key of any stack lies there.
const NO_KEY: (&str, &str) = ("XDG_CONFIG_HOME", "/nowhere");

/// A program with outputs that anybody may read, and one that not everybody may.
///
/// # Errors
/// When its configuration makes no sense.
pub fn shop(stack: &mut Stack) -> Result<()> {
    let config: Config = stack.config()?;
    let password = stack.add("password", local::RandomPassword::new(40).special(false));
    let path = format!("{}.txt", stack.name());
    stack.add("page", local::File::new(path, format!("generation {}", config.generation)));
    stack.output("password", &password.value);
    stack.output("url", "https://shop.example.com");
    Ok(())
}

/// What `access` prints for the place of the state of a stack.
///
/// # Panics
/// When it prints no grant.
pub fn grant(sandbox: &Sandbox, stack: &str, role: &str) -> String {
    let run = sandbox.run(&["access", role, "--json", "-s", stack]).expect(0);
    let grants: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    match grants[0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no grant: {}", run.told()),
    }
}

/// What the stack `dev` is worth to each role, where `dev` and `other` are up, by the program [`shop`]. `environments` are
/// those of a viewer, a deployer and an admin of `dev`, who have the rights that `access` printed. The stack is gone at
/// the end.
///
/// # Panics
/// When somebody may do more than their role, or less.
pub fn enforced(sandbox: &Sandbox, environments: [(&str, &str); 3]) {
    let [viewer, deployer, admin] = environments;
    let refused = |run: Ran| {
        let run = run.expect(3);
        assert!(run.stderr.contains("run `access` to see which rights that takes"), "{}", run.told());
    };

    // A viewer has no key, sees what is not secret, and is told that nothing vouches for it.
    let view = |args: &[&str]| sandbox.run_with_env(args, &[viewer, NO_KEY]);
    let list = view(&["state", "list", "--unverified"]).expect(0);
    assert!(list.stdout.contains("local:RandomPassword") && list.stderr.contains("Not verified"), "{}", list.told());
    let outputs = view(&["outputs", "--unverified"]).expect(0);
    assert!(outputs.stdout.contains("password  (sealed)"), "{}", outputs.told());
    assert!(!outputs.stdout.contains("url  (sealed)"), "{}", outputs.told());
    let shown = view(&["state", "show", "password", "--unverified", "--json"]).expect(0);
    assert!(shown.stdout.contains("(sealed)"), "{}", shown.told());
    let secret = view(&["outputs", "password", "--show-secrets", "--unverified"]).expect(1);
    assert!(secret.stdout.is_empty() && secret.stderr.contains("is sealed"), "{}", secret.told());
    let without = view(&["outputs"]).expect(1);
    assert!(without.stderr.contains("--unverified reads without a key"), "{}", without.told());
    view(&["up", "--yes"]).expect(1);
    // With a key, the store refuses all the same.
    refused(sandbox.run_with_env(&["up", "--yes"], &[viewer]));
    refused(sandbox.run_with_env(&["destroy", "--yes"], &[viewer]));
    sandbox.run_with_env(&["preview"], &[viewer]).expect(0);

    sandbox.run(&["config", "set", "generation", "2"]).expect(0);
    let up = sandbox.run_with_env(&["up", "--yes", "--json"], &[deployer]).expect(0);
    assert!(up.count("update") + up.count("replace") > 0, "{}", up.told());
    sandbox.run_with_env(&["up", "--yes", "--expect-no-changes"], &[deployer]).expect(0);

    sandbox.run_with_env(&["destroy", "--yes"], &[admin]).expect(0);
    sandbox.run_with_env(&["stack", "rm", "dev", "--yes"], &[admin]).expect(0);
}
