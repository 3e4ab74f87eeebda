//! Every dependency, of tests too, may be used under a licence that fits ours.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

/// Licences under which anybody may use, change and pass on the whole, with a notice at most.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn every_dependency_has_an_allowed_licence() {
    let metadata = metadata();
    let ours: HashSet<&str> = array(&metadata["workspace_members"]).iter().filter_map(Value::as_str).collect();
    let packages = array(&metadata["packages"]);
    assert!(packages.len() > ours.len(), "there are dependencies");
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["id"].as_str().is_some_and(|id| ours.contains(id)))
        .filter(|package| !package["license"].as_str().is_some_and(allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "not allowed by tests/licences.rs:\n{}", refused.join("\n"));
}

#[test]
fn our_own_packages_state_our_licence() {
    let metadata = metadata();
    let ours: HashSet<&str> = array(&metadata["workspace_members"]).iter().filter_map(Value::as_str).collect();
    for package in array(&metadata["packages"]) {
        if package["id"].as_str().is_some_and(|id| ours.contains(id)) {
            assert_eq!(package["license"], "MIT OR Apache-2.0", "{}", package["name"]);
        }
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for right in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "GPL-3.0-only OR MIT",
        "MIT/GPL-3.0",
        "MIT AND Zlib",
        "(MIT OR GPL-3.0) AND ISC",
        "MIT OR GPL-3.0-only AND GPL-2.0-only",
        "GPL-3.0-only WITH Classpath-exception-2.0 OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(right), "{right}");
    }
    for wrong in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR ISC) AND GPL-3.0-only",
        "MIT OR",
        "MIT ISC",
        "(MIT",
        "mit)",
        "GPL-3.0-only WITH Classpath-exception-2.0",
    ] {
        assert!(!allowed(wrong), "{wrong}");
    }
}

/// What cargo says of the workspace, as built for this machine.
fn metadata() -> Value {
    let host = run("rustc", &["-vV"]);
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
    serde_json::from_str(&run(env!("CARGO"), &arguments)).expect("cargo writes JSON")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("its output is text")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether an SPDX expression leaves a choice that is allowed. `/` is the old way to write `OR`.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) == Some(true) && rest.is_empty()
}

/// Terms joined by `OR`. None where the expression is broken.
fn any(words: &mut &[&str]) -> Option<bool> {
    let mut fits = all(words)?;
    while take(words, "OR") {
        fits |= all(words)?;
    }
    Some(fits)
}

/// Terms joined by `AND`, which binds more closely.
fn all(words: &mut &[&str]) -> Option<bool> {
    let mut fits = term(words)?;
    while take(words, "AND") {
        fits &= term(words)?;
    }
    Some(fits)
}

fn term(words: &mut &[&str]) -> Option<bool> {
    if take(words, "(") {
        let fits = any(words)?;
        return take(words, ")").then_some(fits);
    }
    let (licence, rest) = words.split_first()?;
    *words = rest;
    if take(words, "WITH") {
        // An exception only ever permits more.
        *words = words.split_first()?.1;
    }
    Some(ALLOWED.contains(licence))
}

fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}
