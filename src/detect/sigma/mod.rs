//! Sigma 2.1 files → checked rules. Pure.
//!
//! A document becomes a [`Rule`] or a list of faults, all of them at once, each at its place. What is not supported
//! is refused, never ignored: a rule that is half understood is worse than none. Detections become trees whose
//! selections, modifiers and wildcards are resolved; our own additions under `sekisho:` are read strictly.
//!
//! Deliberately without knowledge of other rules: whether a correlation's rules exist is the catalog's to say.

mod condition;
mod correlation;
mod encode;
mod extension;
mod field;
mod modifier;
mod selection;
mod value;
mod version;

use crate::document::{Document, Faults, Keys, Kind, Node as Yaml, nearest};

use super::rule::{Body, LogSource, Rule};

/// Keys of Sigma's own schema that carry nothing for the engine.
const INFORMATIVE: &[&str] =
    &["references", "author", "date", "modified", "fields", "related", "license", "scope", "taxonomy"];

/// Reads one document as a rule. `None` where anything is wrong; every fault is then in `faults`.
pub fn parse(document: &Document, faults: &mut Faults) -> Option<Rule> {
    let before = faults.list.len() + faults.dropped;
    let mut keys = Keys::of(&document.source, &document.root, "a rule", faults);
    if !matches!(document.root.kind, Kind::Map(_)) {
        keys.required("title");
        return None;
    }
    refuse_other_kinds(&mut keys);
    let title = keys.required("title").and_then(Yaml::text).unwrap_or_default();
    let name = keys.text("name");
    let id = identifier(&mut keys).unwrap_or_else(|| version::derived_id(name.unwrap_or(title)));
    let level = level(&mut keys);
    let status = status(&mut keys);
    let description = keys.text("description").unwrap_or_default().to_owned();
    let tags = keys.texts("tags").into_iter().map(str::to_owned).collect();
    let false_positives = keys.texts("falsepositives").into_iter().map(str::to_owned).collect();
    let logsource = log_source(&mut keys);
    let own = keys.node_of("sekisho");
    let sekisho = extension::extension(&keys.source(), own, level, keys.faults);
    let body = body(&mut keys);
    if let Some(body) = &body {
        extension::check(&mut keys, own, &sekisho, body);
    }
    for key in INFORMATIVE {
        keys.node_of(key);
    }
    if own.is_some() {
        keys.finish();
    }
    let body = body.filter(|_| faults.list.len() + faults.dropped == before)?;
    Some(Rule {
        name: name.unwrap_or(&id).to_owned(),
        id,
        title: title.to_owned(),
        description,
        status: status.to_owned(),
        tags,
        false_positives,
        level: level.to_owned(),
        version: version::version(&document.root),
        logsource,
        body,
        sekisho,
        path: document.source.path.clone(),
        line: document.root.line,
    })
}

/// Documents of a Sigma file that are no rules, said plainly.
fn refuse_other_kinds(keys: &mut Keys<'_, '_>) {
    let root = keys.node();
    if let Some(node) = root.get("action") {
        let advice = "write each rule out in full, as a document of its own";
        keys.faults.at_with(&keys.source(), node, "`action` (a template for following documents) is gone", advice);
    }
    if let Some(node) = root.get("filter") {
        let advice = "put the exclusion into the rule's own condition";
        keys.faults.at_with(&keys.source(), node, "filters are not supported yet", advice);
    }
}

fn identifier(keys: &mut Keys<'_, '_>) -> Option<String> {
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    keys.parsed("id", "a UUID such as 929a690e-bef0-4204-a928-ef5e620d6fcc", |text| {
        let parts: Vec<&str> = text.split('-').collect();
        let fits = parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length));
        fits.then(|| text.to_ascii_lowercase())
    })
}

fn level(keys: &mut Keys<'_, '_>) -> &'static str {
    let levels = ["informational", "low", "medium", "high", "critical"];
    keys.word("level", &levels.map(|level| (level, level))).unwrap_or("informational")
}

fn status(keys: &mut Keys<'_, '_>) -> &'static str {
    let words = ["stable", "test", "experimental", "deprecated", "unsupported"];
    keys.word("status", &words.map(|word| (word, word))).unwrap_or_default()
}

fn log_source(keys: &mut Keys<'_, '_>) -> LogSource {
    let Some(node) = keys.node_of("logsource") else { return LogSource::default() };
    let mut keys = Keys::of(&keys.source(), node, "`logsource`", keys.faults);
    let mut part = |key| keys.text(key).map(str::to_owned);
    let logsource = LogSource { category: part("category"), product: part("product"), service: part("service") };
    keys.node_of("definition");
    keys.finish();
    logsource
}

fn body(keys: &mut Keys<'_, '_>) -> Option<Body> {
    let source = keys.source();
    let (detection, correlation) = (keys.node_of("detection"), keys.node_of("correlation"));
    match (detection, correlation) {
        (Some(node), None) => selection::detection(&source, node, keys.faults).map(Body::Detection),
        (None, Some(node)) => correlation::correlation(&source, node, keys.faults).map(Body::Correlation),
        (Some(_), Some(node)) => {
            let advice = "make two documents of it, and name the first in the second's `rules`";
            keys.faults.at_with(&source, node, "a rule is either a detection or a correlation", advice);
            None
        }
        (None, None) => {
            let message = "a rule needs `detection` or `correlation`";
            match nearest_key(keys.node()) {
                Some(near) => keys.faults.at_with(&source, near, message, "is this key misspelt?"),
                None => keys.faults.at(&source, keys.node(), message),
            }
            None
        }
    }
}

fn nearest_key(root: &Yaml) -> Option<&Yaml> {
    let Kind::Map(entries) = &root.kind else { return None };
    let names = entries.iter().filter_map(|(key, _)| key.text());
    let near = nearest("detection", names.clone()).or_else(|| nearest("correlation", names))?;
    let key = entries.iter().map(|(key, _)| key).find(|key| key.text() == Some(near))?;
    (near != "description").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::super::condition::{Node, Part, Pattern, Predicate};
    use super::super::rule::{Comparison, CorrelationKind};
    use super::*;
    use crate::event::outcome::Level;
    use crate::event::{EntityKind, Field, MINUTE, SECOND, Severity};

    fn read(text: &str) -> (Option<Rule>, Vec<String>) {
        let documents = crate::document::parse("r.yml", text).unwrap();
        let mut faults = Faults::default();
        let rule = parse(&documents[0], &mut faults);
        assert_eq!(rule.is_none(), !faults.is_empty(), "a rule or faults, never both");
        (rule, faults.list.iter().map(ToString::to_string).collect())
    }

    fn detection(detection: &str) -> Node {
        let (rule, faults) = read(&format!("title: t\ndetection:\n{detection}"));
        assert_eq!(faults, Vec::<String>::new());
        match rule.unwrap().body {
            Body::Detection(detection) => detection.condition,
            Body::Correlation(_) => panic!("not a detection"),
        }
    }

    fn fault(text: &str) -> String {
        let (_, faults) = read(text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].clone()
    }

    fn fault_of(detection: &str) -> String {
        fault(&format!("title: t\ndetection:\n{detection}"))
    }

    fn literal(text: &str) -> Part {
        Part::Literal(text.to_owned())
    }

    #[test]
    fn a_map_is_and_a_list_is_or() {
        let node = detection(" s:\n  cs-method: GET\n  a|endswith: [x, y]\n condition: s\n");
        let Node::All(items) = node else { panic!("{node:?}") };
        let (Node::Test(method), Node::Any(ends)) = (&items[0], &items[1]) else { panic!("{items:?}") };
        assert_eq!(method.fields, [Field::of("http.request.method")]);
        let Node::Test(end) = &ends[1] else { panic!("{ends:?}") };
        let Predicate::Text { pattern, cased: false } = &end.predicate else { panic!("{end:?}") };
        assert_eq!(*pattern, Pattern { parts: vec![Part::AnyRun, literal("y")] });
    }

    #[test]
    fn null_empty_and_not() {
        let node = detection(" s:\n  a: null\n  b: ''\n  c|neq: 1\n condition: not s\n");
        let Node::Not(inner) = node else { panic!("{node:?}") };
        let Node::All(items) = *inner else { panic!("{inner:?}") };
        assert!(matches!(&items[0], Node::Test(test) if matches!(test.predicate, Predicate::Missing)));
        assert!(matches!(&items[1], Node::Test(test) if matches!(test.predicate, Predicate::Empty)));
        assert!(matches!(&items[2], Node::Not(_)));
    }

    #[test]
    fn keywords_seek_in_the_line() {
        let node = detection(" k:\n  '|all': [a, b]\n condition: k\n");
        let Node::All(items) = node else { panic!("{node:?}") };
        let Node::Test(test) = &items[0] else { panic!("{items:?}") };
        assert_eq!(test.fields, [Field::of("message"), Field::Original]);
        assert!(matches!(&test.predicate, Predicate::Text { pattern, .. } if pattern.parts.len() == 3));
    }

    #[test]
    fn conditions_join_selections() {
        let selections = " a1: [x]\n a2: [y]\n a3: [z]\n _b: [w]\n condition: ";
        let of = |condition: &str| detection(&format!("{selections}{condition}\n"));
        assert!(matches!(of("1 of a*"), Node::Any(nodes) if nodes.len() == 3));
        assert!(matches!(of("all of them"), Node::All(nodes) if nodes.len() == 3));
        assert!(matches!(of("2 of a*"), Node::AtLeast(2, nodes) if nodes.len() == 3));
        assert!(matches!(of("a1 or a2 and not (_b or a3)"), Node::Any(nodes) if matches!(&nodes[1], Node::All(_))));
        assert!(matches!(of("[a1, a2]"), Node::Any(nodes) if nodes.len() == 2));
    }

    #[test]
    fn faults_of_a_condition_stand_where_they_are() {
        let of = |condition: &str| fault_of(&format!(" sel: [x]\n condition: {condition}\n"));
        assert!(of("sel and sell").starts_with("r.yml:4:21: no selection is called `sell`"));
        assert!(of("sel and sell").contains("did you mean `sel`?"));
        assert!(of("sel | count() > 5").contains("correlation"));
        assert!(of("sel near sel").contains("`near` is gone"));
        assert!(of("(sel").contains("not closed"));
        assert!(of("sel and").contains("ends too early"));
        assert!(of("3 of sel").contains("never hold"));
        assert!(of(&format!("{} sel", "not ".repeat(40))).contains("nested deeper"));
        assert!(of(&"(".repeat(4_000)).contains("nested deeper"));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let of = |item: &str| fault_of(&format!(" s:\n  {item}\n condition: s\n"));
        assert!(of("a|fieldref: b").contains("unsupported modifier `fieldref`"));
        assert!(of("a|containz: b").contains("did you mean `contains`?"));
        assert!(of("a|re: 'x(?=y)'").contains("look-ahead"), "{}", of("a|re: 'x(?=y)'"));
        assert!(of("a|re: 'ab(c'").contains("character 3, `(c`"), "{}", of("a|re: 'ab(c'"));
        assert!(of(r"a|re: '\w{900}'").contains("compiles to more"));
        assert!(of("a|cidr: 10.0.0.0/40").contains("not a network"));
        assert!(of("a|gte: many").contains("not a number"));
        assert!(of("a|re|contains: x").contains("cannot be combined"));
        assert!(of("a|contains: ''").contains("stands in every text"));
        assert!(of("a: []").contains("no values"));
        assert!(of("a: {b: c}").contains("a map where a value belongs"));
        assert!(fault("title: t\naction: global\ndetection: {s: [x], condition: s}\n").contains("gone"));
        assert!(fault("title: t\ndetektion: {s: [x]}\n").contains("misspelt"));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let (_, faults) = read(
            "id: 7\nlevel: hihg\nlogsource: {produkt: linux}\ndetection:\n s: {a|nope: 1}\n t: {b|re: '('}\n condition: s or u\n",
        );
        assert_eq!(faults.len(), 7, "{faults:#?}");
    }

    const OWN: &str = "title: Guessing\nname: guessing\nlevel: high\ncorrelation:\n  type: value_count\n  rules: failed_login\n  group-by: [c-ip]\n  timespan: 5m\n  condition: { field: user.name, gte: 20 }\nsekisho:\n  entity: client\n  response: { level: block, ttl: 1h, because: nobody does that }\n  about_failures: true\n  examples:\n    fires:\n      - { pipeline: nginx, repeat: 20, every: 2s, line: x }\n      - [{ pipeline: nginx, line: y }, { pipeline: sshd, line: z, wait: 1m }]\n";

    #[test]
    fn a_rule_of_ours() {
        let (rule, faults) = read(OWN);
        let rule = rule.unwrap_or_else(|| panic!("{faults:?}"));
        let Body::Correlation(correlation) = &rule.body else { panic!("not a correlation") };
        assert_eq!((correlation.kind, correlation.timespan), (CorrelationKind::ValueCount, 5 * MINUTE));
        assert_eq!(correlation.group_by, [Field::of("client.ip")]);
        assert_eq!(correlation.condition, [(Comparison::AtLeast, 20.0)]);
        let own = &rule.sekisho;
        assert_eq!((own.severity, own.entity, own.response.level), (Severity::Major, EntityKind::Client, Level::Block));
        let [single, several] = own.examples.fires.as_slice() else { panic!("{:?}", own.examples) };
        assert_eq!((single.steps[0].repeat, single.steps[0].every, single.line), (20, 2 * SECOND, 16));
        assert_eq!((several.steps[1].wait, several.steps[1].repeat), (MINUTE, 1));
        assert_eq!(rule.version.len(), 12);
    }

    #[test]
    fn ours_are_read_strictly() {
        assert!(fault(&OWN.replace("about_failures", "about_failure")).contains("did you mean `about_failures`?"));
        assert!(fault(&OWN.replace("because: nobody does that", "because: ''")).contains("needs its reason"));
        assert!(fault(&OWN.replace("value_count", "temporal")).contains("not supported yet"));
        assert!(fault(&OWN.replace("timespan: 5m", "timespan: 1h30m")).contains("one unit"));
        assert!(fault(&OWN.replace("field: user.name, ", "")).contains("needs the field"));
        assert!(fault(&format!("{OWN}owner: me\n")).contains("unknown key `owner`"));
        assert!(fault(&OWN.replace("  about", "  measure: requests\n  about")).contains("does not go with"));
    }

    #[test]
    fn rules_of_others_observe_first() {
        let (rule, _) = read("title: t\nlevel: critical\nowner: me\ndetection: {s: [x], condition: s}\n");
        let rule = rule.unwrap();
        assert_eq!(rule.sekisho.response.level, Level::Alert);
        assert_eq!(rule.sekisho.severity, Severity::Critical);
        assert_eq!(rule.name, rule.id);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(
            condition in "(a|b|a\\*|_c|1|2|all|of|them|and|or|not|near|\\(|\\)|\\||é| ){0,12}",
            field in "[a-c|]{0,3}(\\||contains|startswith|all|re|i|cidr|exists|gte|neq|windash|base64offset|wide|é){0,4}",
            value in "[-/\\\\*?a-c1(){}\\[é. ]{0,8}",
            kind in proptest::sample::select(vec!["", "correlation: {type: event_count, timespan: 1M, condition: ", "sekisho: {examples: "]),
        ) {
            let quoted = |text: &str| format!("'{text}'");
            let close = if kind.is_empty() { "" } else { "}" };
            let extra = if kind.is_empty() { String::new() } else { format!("{kind}{}{close}\n", quoted(&value)) };
            let (field, value, condition) = (quoted(&field), quoted(&value), quoted(&condition));
            let text = format!(
                "title: t\n{extra}detection:\n  a: {{{field}: {value}}}\n  b: [{value}]\n  _c: {{x: [{value}, null]}}\n  condition: {condition}\n"
            );
            let documents = crate::document::parse("r.yml", &text).unwrap();
            let mut faults = Faults::default();
            let rule = parse(&documents[0], &mut faults);
            proptest::prop_assert_eq!(rule.is_none(), !faults.is_empty());
        }
    }
}
