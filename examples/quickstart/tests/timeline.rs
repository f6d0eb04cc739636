//! `--timeline`: a page of the run, whatever became of it, and a file that cannot be written is said before anything.

use acceptance::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-quickstart");

/// Rules: 34.
#[test]
fn every_run_is_drawn_and_what_cannot_be_drawn_is_refused_before_it() {
    let sandbox = Sandbox::new(PROGRAM);
    let refused = sandbox.run(&["up", "--yes", "--timeline", "nowhere/run.html"]).expect(3);
    assert!(refused.stderr.contains("nowhere/run.html"), "{}", refused.stderr);
    assert!(!sandbox.stack().join("stackkit.dev.toml").exists(), "nothing was touched");
    let refused = sandbox.run(&["up", "--yes", "--json", "--timeline", "."]).expect(3);
    assert_eq!(refused.summary()["type"], "summary");

    let file = sandbox.stack().join("run.html");
    let page = || std::fs::read_to_string(&file).expect("the page");
    sandbox.run(&["up", "--yes", "--timeline", "run.html"]).expect(0);
    assert!(page().contains("\"outcome\":\"done\"") && page().contains("local:File::"), "{}", page());
    let first = page().len();
    // A shorter one takes its place as a whole.
    sandbox.run(&["up", "--yes", "--timeline", "run.html"]).expect(0);
    assert!(page().ends_with("</html>\n") && page().len() < first);
    assert!(page().contains("\"outcome\":\"nothing to do\""), "{}", page());
    sandbox.run(&["destroy", "--yes", "--timeline", "run.html"]).expect(0);
    assert!(page().contains("\"operation\":\"destroy\"") && page().contains("\"verb\":\"delete\""), "{}", page());

    // What earlier runs took is in the cache, and a broken cache is nobody's concern.
    let cache = sandbox.root().join("home/.cache/stackkit/durations.json");
    let known = std::fs::read_to_string(&cache).expect("the cache");
    assert!(known.contains("local:File create") && known.contains("local:File delete"), "{known}");
    std::fs::write(&cache, "broken").expect("written");
    sandbox.run(&["up", "--yes"]).expect(0);
    sandbox.run(&["destroy", "--yes"]).expect(0);
    assert!(std::fs::read_to_string(&cache).expect("the cache").contains("local:File create"));
}
