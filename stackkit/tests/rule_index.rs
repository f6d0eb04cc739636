//! The index of rules, docs/rules.md, is complete and up to date: every rule has tests, and its list of them is what the
//! markers above the tests say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rules by number.
fn rules() -> Vec<String> {
    let mut all: Vec<String> = (1..=36).map(|rule| rule.to_string()).collect();
    all.insert(6, "6a".into());
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace, in order, without what builds and tools leave there.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "generator" {
                open.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The numbers of a marker: `/// Rules: 9, 14.`
fn marker(line: &str) -> Option<Vec<String>> {
    let list = line.trim().strip_prefix("/// Rules:")?;
    let list = list.trim().trim_end_matches('.');
    Some(list.split(',').map(|rule| rule.trim().to_owned()).collect())
}

/// The name of the function that a line declares.
fn function(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("pub ").unwrap_or(line.trim());
    let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// Of each rule, the tests by file.
type Index = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn index(root: &Path, problems: &mut Vec<String>) -> Index {
    let (known, mut index) = (rules(), Index::new());
    for path in sources(root) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(numbers) = marker(line) else { continue };
            let place = format!("{file}:{}", at + 1);
            let Some(name) = lines[at..].iter().take(20).find_map(|line| function(line)) else {
                problems.push(format!("{place}: no test follows the marker"));
                continue;
            };
            for number in numbers {
                if !known.contains(&number) {
                    problems.push(format!("{place}: there is no rule `{number}`"));
                }
                index.entry(number).or_default().entry(file.clone()).or_default().insert(name.to_owned());
            }
        }
    }
    index
}

/// The page with its lists of tests made anew.
fn rewritten(page: &str, index: &Index, problems: &mut Vec<String>) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    for (at, section) in page.split("\n## ").enumerate() {
        if at == 0 {
            text.push_str(section.trim_end());
            text.push('\n');
            continue;
        }
        let number = section.split('.').next().unwrap_or_default().to_owned();
        let words = section.split("\nTests:\n").next().unwrap_or_default().trim_end();
        let _ = write!(text, "\n## {words}\n\nTests:\n\n");
        for (file, tests) in index.get(&number).into_iter().flatten() {
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let _ = writeln!(text, "- {file}: {}", tests.join(", "));
        }
        if !index.contains_key(&number) {
            problems.push(format!("rule {number} has no test"));
        }
        seen.push(number);
    }
    if seen != rules() {
        problems.push(format!("the page has the rules {seen:?}"));
    }
    text
}

#[test]
fn every_rule_has_tests_and_the_page_says_which() {
    let (root, mut problems) = (root(), Vec::new());
    let path = root.join("docs/rules.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let index = index(&root, &mut problems);
    let text = rewritten(&page, &index, &mut problems);
    if std::env::var_os("STACKKIT_UPDATE").is_some() {
        std::fs::write(&path, &text).expect("the page");
    } else if text != page {
        problems.push(
            "docs/rules.md is not up to date: run STACKKIT_UPDATE=1 cargo test -p stackkit --test rule_index".into(),
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn markers_and_functions_are_read() {
    assert_eq!(marker("    /// Rules: 9, 6a."), Some(vec!["9".to_owned(), "6a".to_owned()]));
    assert_eq!(marker("// Rules: 9"), None);
    assert_eq!(function("    async fn it_works() {"), Some("it_works"));
    assert_eq!(function("#[test]"), None);
}
