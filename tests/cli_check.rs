//! The commands over files that people write, run as a person runs them: what is wrong is said once, clearly, with its
//! place and what to do, and the exit status is that of the outputs sheet. I/O.
#![expect(clippy::disallowed_methods, reason = "the test writes files and starts the program")]
#![expect(clippy::unwrap_used, reason = "a test ends where a step of it fails")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a run ended, and what it said.
struct Run {
    status: i32,
    out: String,
    err: String,
}

fn sekisho() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    command
}

fn run(arguments: &[&str]) -> Run {
    let output = sekisho().args(arguments).output().unwrap();
    Run {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with one file in it.
fn folder(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn check(path: &Path) -> Run {
    run(&["check", path.to_str().unwrap()])
}

/// Checking a file of this content fails once, and says all of `expected`.
fn refused(name: &str, bytes: &[u8], expected: &[&str]) {
    let (_folder, path) = folder(name, bytes);
    let run = check(&path);
    assert_eq!(run.status, 1, "{}{}", run.out, run.err);
    assert_eq!(run.err.matches("error: ").count(), 1, "one message\n{}", run.err);
    for text in expected.iter().chain(&[name]) {
        assert!(run.err.contains(text), "{text:?} is missing in\n{}", run.err);
    }
    assert_eq!(run.out, "");
}

const RULE: &str = "title: A rule
id: 6d8f3b8e-5c5b-4a5e-9a53-3f2f6f6c1a01
name: a_rule
status: test
logsource: { category: webserver }
detection:
  selection: { url.path: /x }
  condition: selection
level: low
";

const PIPELINE: &str = "name: mine
dataset: mine.access
decoders: [combined]
";

#[test]
fn what_is_built_in_is_sound() {
    let run = run(&["check"]);
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    assert!(run.out.starts_with("ok: 6 pipelines, "), "{}", run.out);
}

#[test]
fn good_files_of_a_user_pass_beside_what_is_built_in() {
    let (folder, path) = folder("rule.yml", RULE.as_bytes());
    fs::write(folder.path().join("mine.yaml"), PIPELINE).unwrap();
    let alone = check(&path);
    assert_eq!(alone.status, 0, "{}", alone.err);
    let both = check(folder.path());
    assert_eq!(both.status, 0, "{}", both.err);
    assert!(both.out.contains("7 pipelines"), "{}", both.out);
}

#[test]
fn unknown_keys() {
    let rule = RULE.replace("level: low", "level: low\nsekisho: { respnse: { level: alert } }");
    refused("rule.yml", rule.as_bytes(), &["rule.yml:10:12", "unknown key `respnse`", "did you mean `response`?"]);
    let pipeline = format!("{PIPELINE}decodrs: [json]\n");
    refused("p.yml", pipeline.as_bytes(), &["p.yml:4:1", "unknown key `decodrs`", "  | decodrs: [json]", "decoders"]);
    refused("sekisho.yaml", b"netwroks: {}\ndata: /x\n", &["sekisho.yaml:1:1", "did you mean `networks`?"]);
}

#[test]
fn two_rules_with_one_id() {
    let twice = format!("{RULE}---\n{}", RULE.replace("a_rule", "b_rule"));
    refused("rules.yml", twice.as_bytes(), &["two rules have the id `6d8f3b8e", "the other is", "give one of them"]);
}

#[test]
fn rules_that_are_not_understood() {
    let modifier = RULE.replace("url.path: /x", "url.path|expand: /x");
    refused("rule.yml", modifier.as_bytes(), &["rule.yml:7:", "expand"]);
    let regex = RULE.replace("url.path: /x", "url.path|re: '(a'");
    refused("rule.yml", regex.as_bytes(), &["rule.yml:7:"]);
}

#[test]
fn pipelines_that_are_not_understood() {
    let decoder = PIPELINE.replace("combined", "combind");
    refused("p.yml", decoder.as_bytes(), &["p.yml:3:12", "no decoder `combind`", "did you mean `combined`?"]);
    let zone = format!("{PIPELINE}zone: Mars/Olympus\n");
    refused("p.yml", zone.as_bytes(), &["p.yml:4:7", "time zone", "Mars/Olympus"]);
    let login = format!("{PIPELINE}logins: [{{ request: POST, failure: [401] }}]\n");
    refused("p.yml", login.as_bytes(), &["\"POST /login\""]);
    let status = format!("{PIPELINE}logins: [{{ request: POST /x, failure: [9] }}]\n");
    refused("p.yml", status.as_bytes(), &["statuses from 100 to 599"]);
    let twice = format!("{PIPELINE}---\n{PIPELINE}");
    refused("p.yml", twice.as_bytes(), &["two pipelines have the name `mine`"]);
    refused("p.yml", b"name: mine\ndecoders: [combined]\n", &["key `dataset` is missing"]);
}

#[test]
fn correlations_that_cannot_count() {
    let correlation = |counted: &str| {
        format!(
            "{RULE}---
title: Many
id: 6d8f3b8e-5c5b-4a5e-9a53-3f2f6f6c1a02
name: many
status: test
level: low
correlation:
  type: event_count
  rules: [{counted}]
  group-by: [client.ip]
  timespan: 1m
  condition: {{ gte: 5 }}
"
        )
    };
    let (_folder, path) = folder("good.yml", correlation("a_rule").as_bytes());
    let good = check(&path);
    assert_eq!(good.status, 0, "{}", good.err);
    refused(
        "rules.yml",
        correlation("a_rul").as_bytes(),
        &["rules.yml:18:11", "no rule `a_rul`", "did you mean `a_rule`?"],
    );
    refused("rules.yml", correlation("many").as_bytes(), &["`many` is a correlation"]);
}

#[test]
fn examples_of_an_unknown_pipeline() {
    let example = "sekisho: { examples: { fires: [{ pipeline: ngnix, line: x }] } }";
    let rule = format!("{RULE}{example}\n");
    refused("rule.yml", rule.as_bytes(), &["rule.yml:10:", "no pipeline `ngnix`", "did you mean `nginx`?"]);
}

#[test]
fn yaml_that_grows_or_breaks() {
    let bomb = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n";
    refused("bomb.yml", bomb.as_bytes(), &["bomb.yml:1:", "anchors are not allowed"]);
    refused("deep.yml", "[".repeat(100_000).as_bytes(), &["deep.yml:1:"]);
    refused("large.yml", "# x\n".repeat(100_000).as_bytes(), &["larger than the limit"]);
    refused("open.yml", b"title: [a\n", &["not valid YAML"]);
    refused("empty.yml", b"# nothing\n", &["the file is empty"]);
}

#[test]
fn files_that_are_none() {
    refused("binary.yml", b"\x7fELF\x00\x01", &["not a text file", "byte 4", "YAML in UTF-8"]);
    refused("latin1.yml", b"title: caf\xe9\n", &["not a text file", "byte 10"]);
    let empty = TempDir::new().unwrap();
    let run = check(empty.path());
    assert_eq!(run.status, 1);
    assert!(run.err.contains("holds no .yml or .yaml file"), "{}", run.err);
    let (_folder, path) = folder("guessing.yml", RULE.as_bytes());
    let missing = check(&path.with_file_name("guesing.yml"));
    assert_eq!(missing.status, 1);
    assert!(missing.err.contains("there is no such file or folder"), "{}", missing.err);
    assert!(missing.err.contains("did you mean") && missing.err.contains("guessing.yml"), "{}", missing.err);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = folder("secret.yml", RULE.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        println!("not run: this user may read every file");
        return;
    }
    let run = check(&path);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("permission denied") && run.err.contains("let the user"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    let run = check(Path::new("/dev/zero"));
    assert_eq!(run.status, 1);
    assert!(run.err.contains("neither a file nor a folder"), "{}", run.err);
}

#[test]
fn corrupt_and_missing_databases() {
    let (folder, config) = folder("sekisho.yaml", b"geoip: { country: c.mmdb }\n");
    let config = config.to_str().unwrap();
    let missing = run(&["check", "--config", config]);
    assert_eq!(missing.status, 1);
    assert!(missing.err.contains("sekisho.yaml:1:19") && missing.err.contains("no such file"), "{}", missing.err);
    fs::write(folder.path().join("c.mmdb"), b"not a database").unwrap();
    let corrupt = run(&["check", "--config", config]);
    assert_eq!(corrupt.status, 1);
    assert_eq!(corrupt.err.matches("error: ").count(), 1, "{}", corrupt.err);
    assert!(corrupt.err.contains("sekisho.yaml:1:19") && corrupt.err.contains("c.mmdb"), "{}", corrupt.err);
    assert!(corrupt.err.contains("fetch the file again"), "{}", corrupt.err);
}

#[test]
fn the_configuration_names_what_is_there() {
    let text =
        b"rules: { disable: [nothing_such], level: { nor_this: observe } }\ncollect: [{ file: x, pipeline: ngnix }]\n";
    let (_folder, path) = folder("sekisho.yaml", text);
    let run = run(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(run.status, 1);
    for text in ["no rule `nothing_such`", "no rule `nor_this`", "no pipeline `ngnix`", "did you mean `nginx`?"] {
        assert!(run.err.contains(text), "{text} is missing in\n{}", run.err);
    }
}

#[test]
fn every_fault_of_every_file_at_once_as_text_and_as_json() {
    let (folder, _) = folder("a.yml", RULE.replace("selection: {", "selection: { url.path|base32: x, ").as_bytes());
    fs::write(folder.path().join("b.yml"), format!("{PIPELINE}zone: Nowhere\ntime: never\n")).unwrap();
    fs::write(folder.path().join("c.yml"), b"\x00").unwrap();
    let path = folder.path().to_str().unwrap();
    let text = run(&["check", path]);
    assert_eq!((text.status, text.err.matches("error: ").count()), (1, 4), "{}", text.err);
    assert!(text.err.ends_with("4 faults found\n"), "{}", text.err);
    let json = run(&["check", path, "--format", "json"]);
    assert_eq!((json.status, json.err.as_str()), (1, ""));
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 4);
    assert!(faults.iter().any(|fault| fault["line"] == 4 && fault["text"] == "zone: Nowhere"), "{}", json.out);
}

#[test]
fn what_a_file_says_cannot_command_the_terminal() {
    let rule = RULE.replace("url.path: /x", "\"url.path|\\e[2Jx\\u202e\": /x");
    let (_folder, path) = folder("rule.yml", rule.as_bytes());
    let run = check(&path);
    assert_eq!(run.status, 1);
    assert!(!run.err.contains('\u{1b}') && !run.err.contains('\u{202e}'), "{:?}", run.err);
}

#[test]
fn usage_and_help() {
    assert_eq!(run(&["chekc"]).status, 2);
    assert_eq!(run(&["check", "--nonsense"]).status, 2);
    assert_eq!(run(&[]).status, 2);
    for command in ["check", "test", "rules", "pipelines", "config"] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.status, 0);
        assert!(help.out.contains("Usage: sekisho"), "{}", help.out);
    }
}

#[test]
fn built_in_files_are_listed_shown_and_written_out() {
    let list: serde_json::Value = serde_json::from_str(&run(&["pipelines", "list", "-o", "json"]).out).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 6);
    let shown = run(&["pipelines", "show", "nginx"]);
    assert!(shown.out.starts_with("name: nginx\n"), "{}", shown.out);
    let unknown = run(&["pipelines", "show", "ngnix"]);
    assert_eq!(unknown.status, 1);
    assert!(unknown.err.contains("did you mean `nginx`?"), "{}", unknown.err);
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("out");
    let path = target.to_str().unwrap();
    assert_eq!(run(&["pipelines", "export", path]).status, 0);
    assert_eq!(fs::read_to_string(target.join("nginx.yml")).unwrap(), shown.out);
    let again = run(&["pipelines", "export", path]);
    assert_eq!(again.status, 1);
    assert!(again.err.contains("is there already"), "{}", again.err);
    assert_eq!(run(&["pipelines", "export", path, "--force"]).status, 0);
    let copy = check(&target);
    assert_eq!(copy.status, 0, "what is written out stands in for what is built in\n{}", copy.err);
}

#[test]
fn samples_of_the_built_in_pipelines_hold() {
    let good = run(&["test"]);
    assert_eq!((good.status, good.err.as_str()), (0, ""), "{}", good.out);
}

#[test]
fn a_sample_that_does_not_hold_is_told() {
    let sample = "samples:\n  - line: '203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] \"GET /a HTTP/1.1\" 200 5'\n    fields: { url.path: /b }\n";
    let (_folder, path) = folder("p.yml", format!("{PIPELINE}{sample}").as_bytes());
    let wrong = run(&["test", path.to_str().unwrap()]);
    assert_eq!(wrong.status, 1);
    assert!(wrong.err.contains("p.yml:5: sample of `mine`: url.path is /a, expected /b"), "{}", wrong.err);
}

#[test]
fn configuration_is_shown_with_origins() {
    let (_folder, path) = folder("sekisho.yaml", b"data: \"${SEKISHO_TEST_FOLDER}/x\"\nresponse: { shadow: true }\n");
    let mut command = sekisho();
    command.args(["config", "show", "-o", "json", "-c"]).arg(&path).env("SEKISHO_TEST_FOLDER", "/srv");
    let settings: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(settings["data"], serde_json::json!({ "value": "/srv/x", "origin": "environment" }));
    assert_eq!(settings["http.listen"]["origin"], "default");
    let origin = settings["response.shadow"]["origin"].as_str().unwrap();
    assert!(origin.ends_with("sekisho.yaml:2"), "{origin}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child =
        sekisho().args(["pipelines", "show", "nginx"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
