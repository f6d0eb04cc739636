//! Two stacks of two programs, side by side, and what one adopts that was there before it.

use acceptance::Sandbox;

const DATABASE: &str = env!("CARGO_BIN_EXE_database");
const SERVICE: &str = env!("CARGO_BIN_EXE_service");

#[test]
fn a_service_uses_what_others_have_made() {
    let sandbox = Sandbox::new(SERVICE);
    let notice = sandbox.stack().join("NOTICE");
    let up = ["-s", "service", "up", "--yes", "--json"];

    // Nothing that it needs is there, and all of it is said.
    let refused = sandbox.run(&up).expect(1);
    assert!(refused.stdout.contains("there is no stack `database`"), "{}", refused.stdout);
    let database = sandbox.with_program(DATABASE);
    database.run(&["stack", "new", "database"]).expect(0);
    database.run(&["-s", "database", "up", "--yes"]).expect(0);
    let sandbox = database.with_program(SERVICE);
    let refused = sandbox.run(&up).expect(1);
    assert!(refused.stdout.contains("there is nothing with the id `NOTICE`"), "{}", refused.stdout);

    std::fs::write(&notice, "be kind\n").expect("written");
    let made = sandbox.run_with_env(&up, &[("SERVICE_INSTANCES", "2")]).expect(0);
    assert_eq!(made.count("create"), 4);
    let folder = sandbox.stack().join("service");
    let settings = std::fs::read_to_string(folder.join("instance-1.env")).expect("the settings");
    assert!(settings.starts_with("DATABASE_URL=postgres://app:") && settings.contains("@db.internal:5432/service"));
    assert_eq!(std::fs::read_to_string(folder.join("NOTICE")).expect("the notice"), "be kind\n");

    // Its own stack has nothing of what it only reads.
    let listed = sandbox.run(&["-s", "service", "state", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains("local:File::notice"), "{}", listed.stdout);
    let again = sandbox.run_with_env(&up, &[("SERVICE_INSTANCES", "2")]).expect(0);
    assert_eq!((again.count("create"), again.count("update"), again.count("delete")), (0, 0, 0));
    let fewer = sandbox.run(&up).expect(0);
    assert_eq!(fewer.count("delete"), 1);
    sandbox.run(&["-s", "service", "destroy", "--yes"]).expect(0);
    assert_eq!(std::fs::read_to_string(&notice).expect("it is left alone"), "be kind\n");
}

#[test]
fn what_was_there_before_is_adopted_with_its_declaration() {
    let sandbox = Sandbox::new(DATABASE);
    std::fs::write(sandbox.stack().join("motd"), "hello\n").expect("written");
    let import = ["-s", "database", "import", "local:File", "motd", "motd"];
    let asked = sandbox.run(&import).expect(64);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    let with_yes: Vec<&str> = import.into_iter().chain(["--yes"]).collect();
    let adopted = sandbox.run(&with_yes).expect(0);
    assert_eq!(adopted.stdout, "    let motd = stack.add(\"motd\", local::File::new(\"motd\", \"hello\\n\"));\n");
    assert!(adopted.stderr.contains("protected"), "{}", adopted.stderr);
    let again = sandbox.run(&with_yes).expect(3);
    assert!(again.stderr.contains("has a resource of this name already"), "{}", again.stderr);
    let missing = ["-s", "database", "import", "aws:ec2:Vpc", "main", "vpc-1", "--yes"];
    assert!(sandbox.run(&missing).expect(1).stderr.contains("provider `aws`"));
    // The program does not declare it yet, and an `up` in between does not delete it.
    sandbox.run(&["-s", "database", "up", "--yes"]).expect(3);
    assert!(sandbox.stack().join("motd").exists());
}
