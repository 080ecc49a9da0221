//! The catalog as a whole: what its name depends on, and what must hold among files. Pure.

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::event::outcome::Level;

const PIPELINE: &str = "name: web
dataset: web.access
logsources: [{ category: webserver, product: nginx }, { category: authentication }]
decoders: [combined]
service: { from: url.domain, known: [shop.example], default: web }
";

const BLOCK: &str = "title: Failed login
id: 00000000-0000-4000-8000-000000000001
name: failed_login
logsource: { category: authentication }
detection: { selection: { sekisho.login: failure, app.tenant: a }, condition: selection }
level: low
sekisho: { counted: failed logins, response: { level: observe } }
";

const CORRELATION: &str = "title: Guessing
id: 00000000-0000-4000-8000-000000000002
name: guessing
level: high
tags: [attack.t1110.001]
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [client.ip]
  timespan: 1m
  condition: { gt: 19 }
sekisho: { entity: client, response: { level: block, ttl: 4h, because: x } }
";

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned(), maker: Maker::User }
}

fn files(rules: &[&str]) -> Files {
    let rules = rules.iter().enumerate().map(|(number, text)| file(&format!("r{number}.yml"), text)).collect();
    Files { pipelines: vec![file("web.yml", PIPELINE)], rules, country: None, asn: None }
}

fn settings(text: &str) -> Config {
    config::parse("sekisho.yaml", text, &|_| None).unwrap()
}

fn build_with(config: &Config, files: &Files) -> Result<Catalog, String> {
    let built = Catalog::build(config, files, KeepExtras::Named);
    built.map_err(|faults| faults.list.iter().map(|fault| format!("{fault}\n")).collect())
}

/// Building fails with exactly one fault, which says all of `expected`.
fn refused(config: &str, rules: &[&str], expected: &[&str]) {
    let built = Catalog::build(&settings(config), &files(rules), KeepExtras::Named);
    let faults = built.err().expect("must be refused");
    assert_eq!(faults.list.len(), 1, "{:#?}", faults.list);
    let said = faults.list[0].to_string();
    expected.iter().for_each(|text| assert!(said.contains(text), "{text:?} is missing in {said}"));
}

#[test]
fn each_room_gets_its_settings() {
    let config = settings("networks: { own: [192.0.2.0/24] }\nrules: { level: { guessing: alert } }\n");
    let catalog = build_with(&config, &files(&[CORRELATION, BLOCK])).unwrap();
    let index = catalog.rule_named("guessing").unwrap();
    let rule = &catalog.respond.rules[usize::from(index.0)];
    assert_eq!((rule.threshold, rule.timespan, rule.level), (20, 60_000, Level::Alert));
    assert_eq!((rule.counted.as_str(), rule.techniques.as_slice()), ("failed logins", &["T1110.001".to_owned()][..]));
    assert_eq!(rule.category, ["authentication"]);
    assert_eq!(catalog.respond.protected, ["192.0.2.0/24".parse().unwrap()]);
    let pipeline = catalog.pipeline(catalog.pipeline_named("web").unwrap());
    assert_eq!(pipeline.detections, [catalog.rule_named("failed_login").unwrap()]);
    assert_eq!(&*catalog.services, ["shop.example", "web"]);
    assert_eq!(pipeline.service_index(Some("shop.example")), ServiceIndex(0));
    assert_eq!(pipeline.service_index(Some("attacker.example")), ServiceIndex(1));
    let decode::Keep::Named(names) = &pipeline.decoder_settings.keep else { panic!("named were asked for") };
    assert_eq!(names.iter().collect::<Vec<_>>(), ["app.tenant"]);
}

#[test]
fn the_name_follows_what_judges_and_nothing_else() {
    let hash = |config: &str, files: &Files| build_with(&settings(config), files).unwrap().hash;
    let first = hash("", &files(&[BLOCK, CORRELATION]));
    let mut other = files(&[CORRELATION, BLOCK]);
    other.rules[0].path = "elsewhere/x.yml".to_owned();
    other.pipelines[0].text.push_str("description: told otherwise\nsamples: []\n");
    assert_eq!(hash("data: /elsewhere\nhttp: { listen: '[::1]:1' }\n", &other), first);
    let judged_otherwise = [
        hash("networks: { own: [192.0.2.0/24] }", &files(&[BLOCK, CORRELATION])),
        hash("networks: { protected: [192.0.2.0/24] }", &files(&[BLOCK, CORRELATION])),
        hash("time: { lateness: 6s }", &files(&[BLOCK, CORRELATION])),
        hash("response: { hold: 1h }", &files(&[BLOCK, CORRELATION])),
        hash("rules: { level: { guessing: alert } }", &files(&[BLOCK, CORRELATION])),
        hash("rules: { disable: [guessing] }", &files(&[BLOCK, CORRELATION])),
        hash("", &files(&[BLOCK, &CORRELATION.replace("gt: 19", "gt: 20")])),
        first,
    ];
    let distinct: BTreeSet<CatalogHash> = judged_otherwise.into_iter().collect();
    assert_eq!(distinct.len(), judged_otherwise.len());
}

#[test]
fn what_must_hold_among_rules() {
    let correlation = |from: &str, to: &str| CORRELATION.replace(from, to);
    refused("", &[CORRELATION], &["r0.yml:8:11", "no rule `failed_login`"]);
    refused(
        "",
        &[BLOCK, &correlation("rules: [failed_login]", "rules: [failed_logni]")],
        &["did you mean `failed_login`?"],
    );
    refused("", &[BLOCK, &correlation("0002", "0001")], &["r1.yml:2:5", "two rules have the id", "r0.yml:1"]);
    refused("", &[BLOCK, &correlation("name: guessing", "name: failed_login")], &["two rules have the name"]);
    refused("", &[BLOCK, &correlation("entity: client", "entity: user")], &["r1.yml:12:", "user.name"]);
    refused(
        "",
        &[BLOCK, &correlation("[client.ip]", "[client.ip, tags]")],
        &["r1.yml:9:", "`tags` cannot be grouped by"],
    );
    refused("", &[BLOCK, &correlation("entity: client", "entity: client, after: nothing")], &["no rule `nothing`"]);
    refused("", &[BLOCK, &correlation("entity: client", "entity: client, after: guessing")], &["after itself"]);
}

#[test]
fn what_comes_after_groups_by_at_least_the_same() {
    let second = |group: &str, after: &str| {
        CORRELATION
            .replace("0002", "0003")
            .replace("name: guessing", "name: second")
            .replace("[client.ip]", group)
            .replace("entity: client", &format!("entity: client, after: {after}"))
    };
    let all = |second: &str, first: &str| build_with(&Config::default(), &files(&[BLOCK, first, second]));
    assert!(all(&second("[client.ip]", "guessing"), CORRELATION).is_ok());
    assert!(all(&second("[client.ip, user.name]", "guessing"), CORRELATION).is_ok());
    let swapped = second("[user.name, client.ip]", "guessing");
    refused(
        "",
        &[BLOCK, CORRELATION, &swapped],
        &["r2.yml:12:", "`after` waits for `guessing`, which groups by [client.ip]", "this rule groups by [user.name,"],
    );
    let longer = CORRELATION.replace("[client.ip]", "[client.ip, user.name]");
    refused(
        "",
        &[BLOCK, &longer, &second("[client.ip]", "guessing")],
        &["groups by [client.ip, user.name]; its group-by"],
    );
    refused(
        "",
        &[&BLOCK.replace("counted:", "entity: client, counted:"), CORRELATION, &second("[client.ip]", "failed_login")],
        &["which is a plain rule"],
    );
}

#[test]
fn a_rule_with_faults_of_its_own_is_not_called_missing() {
    let broken = BLOCK.replace("condition: selection", "condition: selektion");
    refused("", &[&broken, CORRELATION], &["r0.yml:5:", "selektion"]);
}

#[test]
fn tuning_names_rules_that_are_there_and_not_needed() {
    let both = [BLOCK, CORRELATION];
    refused("rules: { disable: [gessing] }", &both, &["sekisho.yaml:1:20", "did you mean `guessing`?"]);
    refused("rules: { disable: [failed_login] }", &both, &["`guessing` builds on it"]);
    let off = settings("rules: { disable: [failed_login, 00000000-0000-4000-8000-000000000002] }");
    assert!(build_with(&off, &files(&both)).unwrap().rules.is_empty());
}

#[test]
fn rules_of_ours_carry_examples() {
    let mut ours = files(&[BLOCK]);
    ours.rules[0].maker = Maker::Sekisho;
    let said = build_with(&Config::default(), &ours).err().unwrap();
    assert!(said.contains("needs examples that fire and examples that stay quiet"), "{said}");
}

#[test]
fn databases_that_are_none_are_one_fault() {
    let mut given = files(&[]);
    given.pipelines.push(file("b.yml", &PIPELINE.replace("name: web", "name: b")));
    given.asn = Some(GeoDatabase::Bytes(Arc::from(&b"not a database"[..])));
    let config = settings("geoip: { asn: a.mmdb }");
    let faults = Catalog::build(&config, &given, KeepExtras::All).err().unwrap();
    assert_eq!(faults.list.len(), 1);
    assert_eq!((faults.list[0].line, faults.list[0].column), (1, 15));
    assert!(faults.list[0].message.contains("a.mmdb"), "{}", faults.list[0]);
}

#[test]
fn what_is_built_in_builds_and_its_samples_hold() {
    let catalog = Catalog::build(&Config::default(), &built_in(), KeepExtras::All).unwrap_or_else(|f| panic!("{f:#?}"));
    for pipeline in &catalog.pipelines {
        assert!(pipeline.samples.len() >= 3, "{} has too few samples", pipeline.name);
        assert_eq!(pipeline.check_samples(), [], "{}", pipeline.name);
    }
}

proptest! {
    /// A built-in file with a piece cut out or doubled, or any text: a catalog or faults, never a panic.
    #[test]
    fn any_text_is_a_catalog_or_faults(which in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
            length in 0usize..60, doubled in any::<bool>(), noise in "[\\PC\\n:\\- ]{0,40}") {
        let ours = built_in();
        let text = &which.get(&ours.pipelines).text;
        let chars: Vec<char> = text.chars().collect();
        let start = from.index(chars.len());
        let end = (start + length).min(chars.len());
        let tail = if doubled { start } else { end };
        let changed: String = chars[..end].iter().copied().chain(noise.chars()).chain(chars[tail..].iter().copied()).collect();
        for text in [changed.as_str(), noise.as_str()] {
            let given = Files { pipelines: vec![file("p.yml", text)], rules: vec![file("r.yml", text)], ..Files::default() };
            if let Err(faults) = Catalog::build(&Config::default(), &given, KeepExtras::Named) {
                prop_assert!(!faults.list.is_empty());
            }
        }
    }
}
