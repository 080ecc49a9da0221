//! Every crate that is built in may be shipped under Apache-2.0: no copyleft, nothing unknown.

use std::process::Command;

/// Licences that ask for no more than their text (dependencies sheet §1).
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "BSL-1.0",
    "Unicode-3.0",
    "Unlicense",
    "MIT-0",
];

#[test]
fn every_crate_may_be_shipped() {
    let run = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "the metadata lists too few crates to be whole");
    let unfit: Vec<String> = packages.iter().filter_map(unfit).collect();
    assert!(unfit.is_empty(), "\n{}", unfit.join("\n"));
}

fn unfit(package: &serde_json::Value) -> Option<String> {
    let licence = package["license"].as_str().unwrap_or("none stated");
    (!allows(licence)).then(|| format!("{} {}: {licence}", package["name"], package["version"]))
}

/// Whether an SPDX expression can be met: every part of an AND, one part of an OR. Older crates write `/` for OR.
fn allows(expression: &str) -> bool {
    let bare = expression.replace(['(', ')'], "").replace('/', " OR ");
    bare.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[test]
fn expressions_are_read_right() {
    assert!(allows("MIT OR GPL-3.0-only"));
    assert!(allows("MIT/Apache-2.0"));
    assert!(allows("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allows("MIT AND GPL-3.0-only"));
    assert!(!allows("none stated"));
}
