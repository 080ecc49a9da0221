//! The shipped rules against payloads, logs and verdicts that others collected: how much they see, whom they accuse.
//!
//! Reads the data folder (`SEKISHO_DATA`, else `../shared/data`); without it the tests say so and pass. The rules are
//! read from `rules/`, so that a figure can be had without a build. `SEKISHO_SHOW=<class>` prints what was missed. I/O.

#![expect(clippy::disallowed_methods, reason = "these tests read files that others wrote")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bumpalo::Bump;
use ipnet::IpNet;
use sekisho::catalog::{Catalog, File, Files, KeepExtras, Maker, PipelineIndex, built_in};
use sekisho::config;
use sekisho::detect::Scratch;
use sekisho::event::{Address, Event, Outcome, Time};
use sekisho::fold::rehearse::{self, Line};
use serde_json::Value;

/// What counts as one probe; `injection_probes` blocks for several of them.
const PROBES: [&str; 4] = ["sql_injection_probe", "xss_probe", "path_traversal_probe", "command_injection_probe"];

/// Of the payloads of a class, this share must be seen.
const RECALL_MIN: f64 = 0.9;
/// A tenth of the commands in that set are bare words such as `id`, or `a|id`, which field lists of programs hold too.
const COMMANDS_MIN: f64 = 0.8;
/// A fifth of the traversals in that set are mutilated (`....etcpasswd`) or do not climb (`//{file}`).
const TRAVERSALS_MIN: f64 = 0.75;
/// A fifth of these are whole statements or bare operators between quotes, which developers search for.
const SQL_LIBRARY_MIN: f64 = 0.75;
/// Of ordinary values, this share may be taken for a payload.
const ACCUSED_MAX: f64 = 0.001;

fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SEKISHO_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(folder);
    if path.exists() {
        return Some(path);
    }
    println!("not run: {} is not there", path.display());
    None
}

fn text_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("a whole gzip file");
    } else {
        text = bytes;
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn rows(path: &Path) -> Vec<Value> {
    text_of(path).lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// The built-in pipelines with the rules as they lie in the folder.
fn catalog(config: &str) -> Arc<Catalog> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &str| {
        let mut files = Vec::new();
        let mut open = vec![root.join(folder)];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let text = std::fs::read_to_string(&path).expect("a rule");
                    files.push(File { path: path.display().to_string(), text, maker: Maker::Sekisho });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    };
    let files = Files { rules: read("rules"), pipelines: read("pipelines"), ..built_in() };
    let config = config::parse("config", config, &|_| None).expect("a config");
    let built = Catalog::build(&config, &files, KeepExtras::Named);
    Arc::new(built.unwrap_or_else(|faults| panic!("{:#?}", faults.list)))
}

/// The rules that one line matches.
struct Judge {
    catalog: Arc<Catalog>,
    pipeline: PipelineIndex,
    scratch: Scratch,
}

impl Judge {
    fn new() -> Judge {
        let catalog = catalog("");
        let pipeline = catalog.pipeline_named("nginx").expect("nginx");
        Judge { catalog, pipeline, scratch: Scratch::default() }
    }

    /// The probe rules that fit a request for `target`.
    fn probes(&mut self, target: &str) -> Vec<String> {
        let line = format!(
            "203.0.113.9 - - [23/Nov/2026:17:02:03 +0000] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0 Firefox/126.0\""
        );
        let pipeline = self.catalog.pipeline(self.pipeline);
        let arena = Bump::new();
        let mut event: Event<'_> = pipeline.decoder.decode(line.as_bytes(), rehearse::START, &arena);
        pipeline.enricher.enrich(&mut event, &mut pipeline.enricher.cache());
        let mut matched = Vec::new();
        pipeline.matcher.matches(&event, &mut self.scratch, &mut matched);
        let names = matched.iter().map(|index| self.catalog.rules[index.0 as usize].name.clone());
        names.filter(|name| PROBES.contains(&name.as_str())).collect()
    }
}

/// Percent-encodes everything but letters, digits and `-_.~`, and what `kept` names.
fn encoded(text: &str, kept: &[u8]) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if kept.contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn search(payload: &str) -> String {
    format!("/search?q={}", encoded(payload, b""))
}

/// Seen and all, by class.
#[derive(Default)]
struct Tally(BTreeMap<String, (usize, usize)>);

impl Tally {
    fn add(&mut self, class: &str, seen: &[String], payload: &str, attack: bool) {
        let entry = self.0.entry(class.to_owned()).or_default();
        entry.0 += usize::from(!seen.is_empty());
        entry.1 += 1;
        let shown = std::env::var("SEKISHO_SHOW").is_ok_and(|wanted| wanted == class);
        if shown && seen.is_empty() == attack {
            println!("{class}: {payload:?} {seen:?}");
        }
    }

    fn share(&self, class: &str) -> f64 {
        let (seen, all) = self.0[class];
        seen as f64 / all as f64
    }

    fn print(&self, title: &str) {
        for (class, (seen, all)) in &self.0 {
            println!("{title} {class}: {seen} of {all} ({:.4})", *seen as f64 / *all as f64);
        }
    }
}

/// The rows of a CSV file whose fields are all quoted; quotes inside are doubled and may hold line ends.
fn quoted_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut field)),
            ('\n', false) => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            ('\r', false) => {}
            (other, _) => field.push(other),
        }
    }
    rows
}

#[test]
fn labelled_parameter_values() {
    let Some(folder) = data("payloads") else { return };
    let mut judge = Judge::new();
    let mut tally = Tally::default();
    for row in quoted_rows(&text_of(&folder.join("httpparams_train.csv.gz"))).iter().skip(1) {
        let [payload, _, class, _] = row.as_slice() else { continue };
        let seen = judge.probes(&search(payload));
        tally.add(class, &seen, payload, class != "norm");
    }
    tally.print("httpparams");
    let least = [("sqli", RECALL_MIN), ("xss", RECALL_MIN), ("path-traversal", TRAVERSALS_MIN), ("cmdi", COMMANDS_MIN)];
    for (class, least) in least {
        assert!(tally.share(class) >= least, "{class}");
    }
    assert!(tally.share("norm") <= ACCUSED_MAX);
}

#[test]
fn real_world_injections() {
    let Some(folder) = data("payloads/libinjection") else { return };
    let mut judge = Judge::new();
    let mut tally = Tally::default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("a folder").flatten().map(|e| e.path()).collect();
    files.sort();
    for path in files {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let class = if name.contains("sqli-") { "sqli-lib" } else { "xss-lib" };
        if name == "COPYING" {
            continue;
        }
        for line in text_of(&path).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // The SQL files are percent-encoded as they were sent; the script files are not.
            let kept: &[u8] = if class == "sqli-lib" { b"%+=()'*/,;:@!$?&|" } else { b"%" };
            let seen = judge.probes(&format!("/search?q={}", encoded(line, kept)));
            tally.add(class, &seen, line, true);
        }
    }
    tally.print("libinjection");
    assert!(tally.share("sqli-lib") >= SQL_LIBRARY_MIN);
    assert!(tally.share("xss-lib") >= RECALL_MIN);
}

#[test]
fn payloads_that_pass_and_that_do_not() {
    let Some(folder) = data("gotestwaf") else { return };
    let mut judge = Judge::new();
    let mut tally = Tally::default();
    for case in rows(&folder.join("cases.jsonl")) {
        let payload = case["payload"].as_str().expect("a payload");
        let class = case["expect"].as_str().expect("a verdict");
        let kind = case["case"].as_str().expect("a case");
        // What travels in bodies alone is in no access log.
        if kind.starts_with("graphql") {
            continue;
        }
        let seen = judge.probes(&search(payload));
        tally.add(class, &seen, payload, class == "block");
    }
    tally.print("gotestwaf");
    assert_eq!(tally.0["pass"].0, 0);
    assert!(tally.share("block") >= RECALL_MIN);
}

#[test]
fn requests_of_the_core_rule_set() {
    let Some(folder) = data("crs_tests") else { return };
    let mut judge = Judge::new();
    let mut tally = Tally::default();
    for case in rows(&folder.join("requests.jsonl.gz")) {
        let Some(uri) = case["uri"].as_str().filter(|_| case["in_query"] == true) else { continue };
        let rule = case["rule_id"].as_u64().unwrap_or(0);
        let family = match rule / 1000 {
            930 => "crs-traversal",
            932 => "crs-command",
            941 => "crs-xss",
            942 => "crs-sqli",
            _ => continue,
        };
        let wanted = case["expect_ids"].as_array().is_some_and(|ids| !ids.is_empty());
        let class = format!("{family}-{}", if wanted { "attack" } else { "ordinary" });
        let seen = judge.probes(&encoded(uri, b"%+=()'*/,;:@!$?&|#"));
        tally.add(&class, &seen, uri, wanted);
    }
    tally.print("crs");
}

/// Who was named by an alert and who was blocked.
#[derive(Debug, Default)]
struct Verdict {
    alerted: BTreeMap<String, BTreeSet<String>>,
    blocked: BTreeSet<String>,
}

/// Runs a log through both folds; lines arrive when they say they were written.
fn judged(catalog: &Arc<Catalog>, pipeline: &str, text: &str) -> Verdict {
    let pipeline = catalog.pipeline_named(pipeline).expect("a pipeline");
    let decoder = &catalog.pipeline(pipeline).decoder;
    let mut time = rehearse::START;
    let mut lines = Vec::new();
    for text in text.lines() {
        let arena = Bump::new();
        time = decoder.decode(text.as_bytes(), time, &arena).occurred_at.unwrap_or(time);
        lines.push(Line { pipeline, time, text: text.to_owned() });
    }
    let mut verdict = Verdict::default();
    for outcome in rehearse::outcomes(catalog, &lines) {
        match outcome {
            Outcome::Alert(alert) => {
                let name = catalog.rules.iter().find(|rule| rule.id == alert.rule.id).map(|rule| rule.name.clone());
                let entity = alert.sekisho.entity.value.clone();
                verdict.alerted.entry(entity).or_default().extend(name);
            }
            Outcome::Block(block) => {
                verdict.blocked.insert(block.target.clone());
            }
            Outcome::Lift(_) | Outcome::Incident(_) | Outcome::DeadLetter(_) => {}
        }
    }
    verdict
}

/// What the hub calls an attack and we do not claim to see, with the reason.
const NOT_CLAIMED: &[(&str, &str)] = &[
    ("CVE-2024-38475", "two paths that only one server rewrites"),
    ("apiscp-bf", "seven forms answered with 200: they may be logins"),
    ("http-generic-test", "a line that tests the hub itself"),
    ("http-technology-probing", "one refused path of a product"),
    ("nginx-http-generic-bf", "lines of the error log, and six refusals"),
    ("nginx-mail-bf", "nginx as a mail proxy"),
    ("ssh-generic-test", "a line that tests the hub itself"),
    ("sshd-bad-keyexchange-bf", "lines that run backwards in time: late ones enter no window"),
    ("sshd-impossible-travel", "needs a profile of the user"),
    ("sshd-impossible-travel-user", "needs a profile of the user"),
    ("sshd-refused-conn", "one connection that hosts.deny refused"),
    ("thinkphp-cve-2018-20062", "one of eight has its backslash escaped twice"),
];

#[test]
fn behaviours_of_the_hub() {
    let Some(folder) = data("crowdsec_hub") else { return };
    let catalog = catalog("networks: { ordinary: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 127.0.0.0/8] }\n");
    let (mut seen, mut all, mut missed) = (0, 0, Vec::new());
    for test in rows(&folder.join("manifest.jsonl")) {
        let (name, kind) = (test["test"].as_str().expect("a name"), test["log_type"].as_str().expect("a type"));
        let pipeline = match (test["category"].as_str(), kind) {
            (Some("http"), "nginx") => "nginx",
            (Some("http"), "apache2") => "apache",
            (Some("ssh"), _) => "sshd",
            _ => continue,
        };
        if test["has_scenario_oracle"] != true {
            continue;
        }
        let log = text_of(&folder.join(test["log_file"].as_str().expect("a log")));
        let verdict = judged(&catalog, pipeline, &log);
        let sources = test["expect"].as_array().into_iter().flatten().filter_map(|e| e["source"].as_str());
        for source in sources.collect::<BTreeSet<&str>>() {
            let hit = verdict.alerted.contains_key(source);
            seen += usize::from(hit);
            all += 1;
            if !hit {
                missed.push(format!("{name} {source}"));
            }
        }
    }
    println!("hub: {seen} of {all} sources alerted; not: {missed:#?}");
    let claimed = |text: &String| !NOT_CLAIMED.iter().any(|(name, _)| text.split(' ').next() == Some(*name));
    let missed: Vec<&String> = missed.iter().filter(|text| claimed(text)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn guessing_on_a_real_ssh_server() {
    let Some(folder) = data("loghub/OpenSSH") else { return };
    let catalog = catalog("");
    let text = text_of(&folder.join("OpenSSH_2k.log"));
    let verdict = judged(&catalog, "sshd", &text);
    let pipeline = catalog.pipeline(catalog.pipeline_named("sshd").expect("sshd"));
    let mut clients: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in text.lines() {
        let arena = Bump::new();
        let mut event = pipeline.decoder.decode(line.as_bytes(), Time(1_512_864_000_000), &arena);
        pipeline.enricher.enrich(&mut event, &mut pipeline.enricher.cache());
        if let (Some(ip), Some(login)) = (event.address(Address::ClientIp), event.login) {
            let entry = clients.entry(ip.to_string()).or_default();
            match login {
                sekisho::event::Login::Failure => entry.0 += 1,
                sekisho::event::Login::Success => entry.1 += 1,
            }
        }
    }
    let (mut attackers, mut blocked) = (0, 0);
    for (ip, (failed, succeeded)) in &clients {
        let network = IpNet::from(ip.parse::<std::net::IpAddr>().expect("an address")).to_string();
        let is_blocked = verdict.blocked.contains(&network);
        println!("loghub {ip}: {failed} failed, {succeeded} succeeded, blocked {is_blocked}");
        assert!(!is_blocked || *failed >= 10, "{ip} is blocked for {failed} failures");
        assert!(*failed < 6 || verdict.alerted.contains_key(ip), "{ip} failed {failed} times, nobody was told");
        attackers += usize::from(*failed >= 10);
        blocked += usize::from(is_blocked);
    }
    println!("loghub: {blocked} of {attackers} clients with ten failures and more are blocked");
    assert_eq!(blocked, attackers);
}

/// What people search for, and what dashboards and programs send: none of it is a probe.
const ORDINARY: &[&str] = &[
    "/search?q=union+jack+from+the+drop+down",
    "/search?q=O%27Brien+select+table+lamps",
    "/search?q=credit+union+from+my+home",
    "/search?q=%22black%22+or+%22white%22+dress",
    "/search?q=rock+%27n%27+roll",
    "/search?q=dogs%27+%231+toy",
    "/search?q=how+to+drop+a+table+leg",
    "/search?q=insert+into+slot+bracket",
    "/search?q=select+the+best+order+by+mail",
    "/search?q=group+by+5+people",
    "/search?q=update+set+of+keys",
    "/search?q=delete+from+cart",
    "/search?q=or+1+to+1+tutoring",
    "/search?q=size+10+or+12",
    "/search?q=7+and+7+like+minded",
    "/search?q=brand(new)+belt(black)",
    "/search?q=%3Cb%3Ebold%3C%2Fb%3E+font%3F",
    "/search?q=how+to+center+a+%3Cdiv%3E",
    "/search?q=I+%3C3+you",
    "/search?q=script+kiddie+book",
    "/search?q=autofocus+lens+camera",
    "/search?q=animal+behavior%3A+a+study",
    "/search?q=powershell+course",
    "/search?q=java.lang.NullPointerException",
    "/search?q=what+is......+this",
    "/search?q=..%2F+vs+.%2F+in+linux",
    "/search?q=wait...+for+the+master...",
    "/jobs?location=Berlin&type=dir&id=5",
    "/products?laptop[brand]=x&document[id]=4&window[min]=2",
    "/api/items?fields=name|id|type&sort=-created",
    "/api/items?tags=dog|cat&page=2",
    "/list?id=5;sort=up;type=a",
    "/tx?hash=0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    "/redirect?next=https%3A%2F%2Fshop.example%2Fa%3Fb%3D1",
    "/img/${name}.png",
    "/img/{{image.url}}",
    "/files?name=v1..v2.diff",
    "/css?family=Open+Sans:400,700|Roboto",
    "/api/v1/query?query=up+==+1+and+on(instance)+rate(http_requests_total%5B5m%5D)+%3E+0.5+or+vector(0)",
    "/rest/api/2/search?jql=project+in+(A,B)+AND+status+%3D+%22Open%22+AND+(assignee+%3D+me)+ORDER+BY+created",
    "/odata/Orders?$filter=contains(name,'x')+and+(price+gt+5)+or+(status+eq+'open')+and+year+eq+2026",
    "/resource/a.json?$select=count(*),state&$where=amount+%3E+10+and+year=2026",
    "/logs/_search?q=status:%5B400+TO+499%5D+AND+%22not+found%22+OR+(level:error)",
    "/arcgis/query?where=1%3D1&outFields=*&f=json",
    "/graphql?query=%7Buser(id%3A1)%7Bname%7D%7D",
    "/feathers?age[$gt]=5&name[$ne]=x&$sort[created]=-1",
];

#[test]
fn ordinary_requests_are_no_probes() {
    let mut judge = Judge::new();
    let accused: Vec<String> = ORDINARY
        .iter()
        .map(|target| (target, judge.probes(target)))
        .filter(|(_, seen)| !seen.is_empty())
        .map(|(target, seen)| format!("{target} {seen:?}"))
        .collect();
    assert!(accused.is_empty(), "{accused:#?}");
}
