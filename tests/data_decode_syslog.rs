//! The syslog decoder against logs and expectations that others wrote.
//!
//! Reads the data folder (`SEKISHO_DATA`, else `../shared/data`); without it the tests say so and pass. I/O.

#![expect(clippy::disallowed_methods, reason = "these tests read files that others wrote")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::Value;

use sekisho::decode::{Context, Keep, SyslogDecoder};
use sekisho::event::{Event, Login, Number, Scalar, Text, Time};

/// 2026-11-24T00:00:00Z, a few hours after the recorded scenario.
const REFERENCE: Time = Time(1_795_478_400_000);

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: {} is not there", folder.display());
    None
}

fn lines(path: PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

fn objects(path: PathBuf) -> Vec<Value> {
    lines(path).iter().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// Decodes one line and hands its event on; `None` where it is no syslog line.
fn with_event<T>(line: &str, judge: impl FnOnce(&Event<'_>) -> T) -> Option<T> {
    let arena = Bump::new();
    let mut event = Event::new(line.as_bytes(), &arena);
    let context = Context { reference: REFERENCE, zone: &TimeZone::UTC };
    SyslogDecoder::new(&Keep::All).decode(line.as_bytes(), &context, &mut event).then(|| judge(&event))
}

/// The client's address in its canonical form, or its name.
fn client(event: &Event<'_>) -> Option<String> {
    let address = event.text(Text::SourceAddress).map(canonical);
    address.or_else(|| event.text(Text::SourceDomain).map(str::to_owned))
}

fn canonical(text: &str) -> String {
    text.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |address| address.to_canonical().to_string())
}

/// Whether an event says that somebody failed to get in.
fn failure(event: &Event<'_>) -> bool {
    event.login == Some(Login::Failure) || event.text(Text::EventOutcome) == Some("failure")
}

/// The value of an upstream field in our event, as text; upstream's names and values of 2019 are put into today's.
fn ours(name: &str, event: &Event<'_>) -> Option<String> {
    let text = |field| event.text(field).map(str::to_owned);
    let number = |field| event.number(field).map(|number| number.to_string());
    match name {
        "@timestamp" => event.occurred_at.map(|time| time.to_string()),
        "message" => text(Text::Message),
        "event.action" => text(Text::EventAction),
        "event.outcome" => text(Text::EventOutcome),
        "event.category" => event.categories.first().map(|category| (*category).to_owned()),
        "event.type" => text(Text::EventOutcome).map(|outcome| format!("authentication_{outcome}")),
        "host.hostname" => text(Text::HostName),
        "process.name" => text(Text::ProcessName),
        "process.pid" => number(Number::ProcessPid),
        "source.ip" => text(Text::SourceAddress),
        "source.port" => number(Number::SourcePort),
        "user.name" => text(Text::UserName),
        _ => match event.extra(name) {
            Some(Scalar::Text(text)) => Some(text.to_owned()),
            Some(Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::List(_)) | None => None,
        },
    }
}

/// Fields that do not come from the line: upstream's database, its agent, and what the dispatcher sets.
fn is_not_the_lines(name: &str) -> bool {
    ["source.geo.", "source.as.", "log.file.path", "event.dataset", "event.module"].iter().any(|p| name.starts_with(p))
}

#[test]
fn filebeat_expects_the_same_fields() {
    let Some(folder) = folder() else { return };
    let (mut equal, mut differences) = (0, Vec::new());
    for pair in objects(folder.join("ecs_oracle/pairs.jsonl")) {
        if pair["dataset"] != "system.auth" {
            continue;
        }
        let line = pair["line"].as_str().expect("a line");
        let expected = pair["expected"].as_object().expect("fields");
        for (name, value) in expected.iter().filter(|(name, _)| !is_not_the_lines(name)) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match with_event(line, |event| ours(name, event)).expect("a syslog line") {
                Some(found) if found == value => equal += 1,
                found => differences.push(format!("{name}: theirs {value:?}, ours {found:?}: {line}")),
            }
        }
    }
    let total = equal + differences.len();
    println!("system.auth: {equal} of {total} asserted fields equal; differences:\n{}", differences.join("\n"));
    assert!(total > 500 && equal * 100 >= total * 95);
}

#[test]
fn every_line_of_a_server_under_attack_decodes() {
    let Some(folder) = folder() else { return };
    let failed = Regex::new(r"Failed (?:password|keyboard-interactive\S*) for .* from (\S+) port \d+").unwrap();
    let (mut theirs, mut ours) = (BTreeMap::<String, u32>::new(), BTreeMap::<String, u32>::new());
    let (mut addresses, mut read) = (0, 0);
    let lines = lines(folder.join("loghub/OpenSSH/OpenSSH_2k.log"));
    for line in &lines {
        if let Some(found) = failed.captures(line) {
            *theirs.entry(found[1].to_owned()).or_default() += 1;
        }
        let (login, client, action) =
            with_event(line, |event| (event.login, client(event), event.text(Text::EventAction).is_some()))
                .unwrap_or_else(|| panic!("not decoded: {line}"));
        addresses += usize::from(client.is_some());
        read += usize::from(action);
        if login == Some(Login::Failure) {
            *ours.entry(client.expect("a failure has a client")).or_default() += 1;
        }
    }
    let failures: u32 = ours.values().sum();
    println!("loghub: {} lines, {read} understood, {addresses} with a client", lines.len());
    println!("loghub: {failures} failures of {} clients", ours.len());
    assert_eq!((lines.len(), &ours), (2_000, &theirs));
}

/// Lines that upstream counts only because of what it remembers of earlier lines of the connection: the line itself
/// names no client, or tells of no failure.
const NEEDS_MEMORY: &[&str] = &[
    "Disconnecting: Too many authentication failures",
    "Accepted password for known from",
    "fatal: Read from socket failed: Connection reset by peer",
    "error: kex_exchange_identification: ",
    "Connection closed by 192.0.2.15 port 35352",
    "fatal: Unable to negotiate a key exchange method",
    "fatal: no matching mac found",
];

/// Lines that can be read in two ways, one of them an injection: upstream decides for one, we for the other or for none.
const TWO_READINGS: &[&str] = &[
    // sshd writes nothing of the client's behind a password's `ssh2`, so the last address is the true one.
    "Failed password for invalid user test from 127.0.0.1 port 58946 ssh2: from 10.10.1.2 port 55555 ssh2",
    // `ruser` and `user` are both the client's words here.
    "tty=xxx ruser= rhost=192.0.2.2 user=test rhost=192.0.2.152",
];

/// Upstream does not know this form of tag; the line is a failure all the same, as OSSEC says of its like.
const NOT_KNOWN_UPSTREAM: &str = "webmail pop(pam_unix)[4920]: authentication failure;";

#[test]
fn fail2ban_agrees_on_what_a_failure_is() {
    let Some(folder) = folder() else { return };
    let (mut found, mut missed, mut wrong, mut quiet) = (0, Vec::new(), Vec::new(), 0);
    for object in objects(folder.join("fail2ban/annotated.jsonl")) {
        let line = object["line"].as_str().expect("a line");
        let listed = |list: &[&str]| list.iter().any(|part| line.contains(part));
        if !["sshd", "pam-generic", "dropbear"].iter().any(|filter| object["filter"] == *filter) {
            continue;
        }
        let seen = with_event(line, |event| (event.login, failure(event), client(event)));
        let (login, failure, client) = seen.unwrap_or_default();
        if object["expect"]["match"] == true {
            let host = object["expect"]["host"].as_str().map(canonical);
            match failure && client == host {
                true => found += 1,
                false => missed.push((line.to_owned(), listed(NEEDS_MEMORY), listed(TWO_READINGS))),
            }
        } else if login == Some(Login::Failure) {
            wrong.push(line.to_owned());
        } else {
            quiet += 1;
        }
    }
    let memory = missed.iter().filter(|(_, memory, _)| *memory).count();
    let total = found + missed.len();
    println!("fail2ban: {found} failures of {total} found, {memory} of the others need memory; {quiet} others quiet");
    missed.iter().for_each(|(line, memory, two)| println!("  missed (memory {memory}, two readings {two}): {line}"));
    println!("counted though fail2ban does not:\n  {}", wrong.join("\n  "));
    assert!(found * 10 >= (total - memory) * 9, "recall on lines that say it themselves");
    assert!(missed.iter().all(|(_, memory, two)| *memory || *two));
    assert!(wrong.iter().all(|line| line.contains(NOT_KNOWN_UPSTREAM)));
}

#[test]
fn ossec_agrees_on_sudo_su_and_pam() {
    let Some(folder) = folder() else { return };
    let mut checked = 0;
    for object in objects(folder.join("ossec/lines.jsonl")) {
        let line = object["line"].as_str().expect("a line");
        let rule = object["rule"].as_str().expect("a rule");
        let expected = match rule {
            "5501" => ("session_opened", "success"),
            "5502" => ("session_closed", ""),
            "5503" => ("pam_failure", "failure"),
            "5504" => ("pam_user_unknown", "failure"),
            "2502" => ("pam_more_failures", "failure"),
            "5301" | "5302" => ("su", "failure"),
            "5305" => ("su", "success"),
            "5401" | "5404" | "5405" => ("sudo", "failure"),
            "5403" => ("sudo", "success"),
            _ => continue,
        };
        let words = |event: &Event<'_>| {
            let word = |field| event.text(field).unwrap_or_default().to_owned();
            (word(Text::EventAction), word(Text::EventOutcome))
        };
        let (action, outcome) = with_event(line, words).expect("a syslog line");
        assert_eq!((action.as_str(), outcome.as_str()), expected, "{line}");
        checked += 1;
    }
    println!("ossec: {checked} lines of pam, su and sudo read alike");
    assert!(checked >= 20);
}

#[test]
fn crowdsec_reads_the_same_clients_and_users() {
    let Some(folder) = folder() else { return };
    let hub = folder.join("crowdsec_hub");
    let lines = lines(hub.join("logs/sshd-logs.log"));
    let mut checked = 0;
    for object in objects(hub.join("parser_expect.jsonl")) {
        let ours = object["test"] == "sshd-logs" && object["stage"] == "s01-parse" && object["success"] == true;
        if !ours || object["parser"] != "crowdsecurity/sshd-logs" {
            continue;
        }
        let message = object["parsed"]["message"].as_str().expect("a message").trim_end();
        let line = lines.iter().find(|line| line.trim_end().ends_with(message)).expect("its line");
        let user = |event: &Event<'_>| event.text(Text::UserName).map(str::to_owned);
        let seen = with_event(line, |event| (failure(event), client(event), user(event))).expect("a syslog line");
        let text = |name: &str| object["meta"][name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        assert_eq!(seen, (true, text("source_ip"), text("target_user")), "{line}");
        checked += 1;
    }
    println!("crowdsec: {checked} messages of sshd with the same client and user");
    assert!(checked >= 20);
}

/// One actor of the scenario, with what its clients did over ssh.
struct Actor {
    name: String,
    clients: Vec<String>,
    failed: u32,
    succeeded: u32,
}

/// The rows of `labels.csv` with any ssh in them. Quoted cells hold no line ends.
fn actors(folder: &Path) -> Vec<Actor> {
    let rows = lines(folder.join("scenario_nginx_modsec/labels.csv"));
    let rows: Vec<Vec<String>> = rows.iter().map(|row| cells(row)).collect();
    let column = |name: &str| rows[0].iter().position(|cell| cell == name).expect("a column");
    let (clients, failed, succeeded) = (column("client_ip"), column("ssh_fail"), column("ssh_ok"));
    let number = |cell: &str| cell.parse().unwrap_or(0);
    let actor = |row: &Vec<String>| Actor {
        name: row[0].clone(),
        clients: row[clients].split(';').map(str::to_owned).collect(),
        failed: number(&row[failed]),
        succeeded: number(&row[succeeded]),
    };
    rows[1..].iter().map(actor).filter(|actor| actor.failed + actor.succeeded > 0).collect()
}

fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for character in row.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().expect("one at least").push(character),
        }
    }
    cells
}

#[test]
fn failures_per_actor_are_those_of_the_labels() {
    let Some(folder) = folder() else { return };
    for file in ["auth.log", "auth_rfc5424.log"] {
        let mut counts = BTreeMap::<String, [u32; 2]>::new();
        for line in lines(folder.join("scenario_nginx_modsec").join(file)) {
            let (login, client) = with_event(&line, |event| (event.login, client(event))).expect("a syslog line");
            let Some(login) = login else { continue };
            counts.entry(client.expect("a login has a client")).or_default()[usize::from(login == Login::Success)] += 1;
        }
        let actors = actors(&folder);
        for Actor { name, clients, failed, succeeded } in &actors {
            let sum = |at: usize| clients.iter().filter_map(|client| Some(counts.get(client)?[at])).sum::<u32>();
            println!("{file} {name}: {} failed of {failed}, {} succeeded of {succeeded}", sum(0), sum(1));
            assert_eq!((sum(0), sum(1)), (*failed, *succeeded), "{file} {name}");
        }
        let total: u32 = counts.values().flatten().sum();
        let labelled: u32 = actors.iter().map(|actor| actor.failed + actor.succeeded).sum();
        assert_eq!((actors.len(), total), (6, labelled), "{file}: nobody else logs in");
    }
}
