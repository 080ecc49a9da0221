//! An event as the ECS document that others read (outputs sheet, "Event"). Pure.
//!
//! Nested objects by default, dotted keys by choice. Slots stand where ECS has them; an extra whose parent is already a
//! value keeps its dotted key at the top, so nothing is lost and nothing is overwritten. Deliberately without knowledge
//! of where the document goes.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Number as JsonNumber, Value};

use super::event::{Event, Flaw, FlawKind, Scalar};
use super::field::{ADDRESS_NAMES, Address, Field, NUMBER_NAMES, TEXT_NAMES, Text};
use super::json::write_json;
use super::position::Position;
use super::time::Time;

/// The version of the schema that the names are taken from.
const ECS_VERSION: &str = "9.0.0";
/// A dotted name with more parts than this is not nested: JSON readers refuse deep objects, and the limit of JSON on
/// the way in is the same.
const NESTING_MAX: usize = 32;
/// Where an extra goes that is a value while others made its name an object.
const VALUE_SUFFIX: &str = ".value";

/// What only the journal says under `sekisho`: an extra of such a name would be a log line's claim to it.
const RESERVED: &[&str] = &["sekisho.pipeline", "sekisho.position", "sekisho.appended_at", "sekisho.flaws"];

/// How the fields of a document are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `{"url":{"path":"/"}}`
    Nested,
    /// `{"url.path":"/"}`
    Flat,
}

/// What the journal knows of an event, besides its text.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    pub pipeline: &'a str,
    pub position: &'a Position,
}

/// A document without the parts that only its place in the merged journal tells: its time of arrival, and the flaws
/// that come from it.
#[derive(Clone, Debug)]
pub struct EcsDocument {
    layout: Layout,
    timestamp: Option<Time>,
    /// All fields but `@timestamp` and `sekisho`, each with the comma after it.
    fields: Vec<u8>,
    /// Pipeline and position, then the flaws, then whatever else stands under `sekisho`, the latter with a comma before.
    origin: Vec<u8>,
    flaws: Vec<u8>,
    rest: Vec<u8>,
}

#[derive(Serialize)]
struct Origin<'a> {
    pipeline: &'a str,
    position: &'a Position,
}

/// The document of an event.
pub fn document(event: &Event<'_>, envelope: &Envelope<'_>, layout: Layout) -> EcsDocument {
    let mut fields = match layout {
        Layout::Nested => nested(event),
        Layout::Flat => flat(event),
    };
    let own = match fields.remove("sekisho") {
        Some(Value::Object(own)) => own,
        Some(_) | None => Map::new(),
    };
    let origin = Origin { pipeline: envelope.pipeline, position: envelope.position };
    let mut flaws = Vec::new();
    event.flaws().iter().for_each(|flaw| push_flaw(flaw, &mut flaws));
    EcsDocument {
        layout,
        timestamp: event.occurred_at,
        fields: members(&fields).map(|member| [&member[..], b","].concat()).collect::<Vec<_>>().concat(),
        origin: text_of(&origin),
        flaws,
        rest: members(&own).map(|member| [b",", &member[..]].concat()).collect::<Vec<_>>().concat(),
    }
}

impl EcsDocument {
    /// Appends the document as one line without its end; `arrival` adds what the journal said.
    pub fn write(&self, appended_at: Option<Time>, arrival: &[FlawKind], out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(timestamp) = self.timestamp.or(appended_at) {
            out.extend_from_slice(format!("\"@timestamp\":\"{timestamp}\",").as_bytes());
        }
        out.extend_from_slice(&self.fields);
        let mut flaws = self.flaws.clone();
        arrival.iter().for_each(|kind| push_flaw(&Flaw { field: "@timestamp", kind: *kind }, &mut flaws));
        match self.layout {
            Layout::Nested => self.write_nested(appended_at, &flaws, out),
            Layout::Flat => self.write_flat(appended_at, &flaws, out),
        }
        out.push(b'}');
    }

    fn write_nested(&self, appended_at: Option<Time>, flaws: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"sekisho\":");
        out.extend_from_slice(&self.origin[..self.origin.len() - 1]);
        if let Some(at) = appended_at {
            out.extend_from_slice(format!(",\"appended_at\":\"{at}\"").as_bytes());
        }
        if !flaws.is_empty() {
            out.extend_from_slice(b",\"flaws\":[");
            out.extend_from_slice(flaws);
            out.push(b']');
        }
        out.extend_from_slice(&self.rest);
        out.push(b'}');
    }

    /// In the flat layout `origin` is spelled out by dotted keys already, and `rest` is empty: its keys are fields.
    fn write_flat(&self, appended_at: Option<Time>, flaws: &[u8], out: &mut Vec<u8>) {
        let origin: Value = serde_json::from_slice(&self.origin).unwrap_or_default();
        let mut own = Map::new();
        flatten("sekisho", &origin, &mut own);
        if let Some(at) = appended_at {
            own.insert("sekisho.appended_at".to_owned(), Value::String(at.to_string()));
        }
        let members = members(&own).collect::<Vec<_>>().join(&b","[..]);
        out.extend_from_slice(&members);
        if !flaws.is_empty() {
            out.extend_from_slice(b",\"sekisho.flaws\":[");
            out.extend_from_slice(flaws);
            out.push(b']');
        }
        out.extend_from_slice(&self.rest);
    }
}

fn push_flaw(flaw: &Flaw<'_>, flaws: &mut Vec<u8>) {
    if !flaws.is_empty() {
        flaws.push(b',');
    }
    flaws.extend_from_slice(&text_of(flaw));
}

/// `"key":value` of each entry, in the map's own order, which is that of the keys.
fn members(map: &Map<String, Value>) -> impl Iterator<Item = Vec<u8>> {
    map.iter().map(|(key, value)| [&text_of(key)[..], b":", &text_of(value)].concat())
}

/// The JSON of a value that cannot refuse to be written.
fn text_of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // A refusal is not possible for maps with text keys; if it came, the bytes so far say how far it went.
    if write_json(value, &mut out).is_err() {
        out.clear();
        out.extend_from_slice(b"null");
    }
    out
}

fn nested(event: &Event<'_>) -> Map<String, Value> {
    let mut root = Map::new();
    slots(event, &mut |name, value| insert(&mut root, name, value));
    for (name, value) in event.extras().iter().filter(|(name, _)| !taken(name, event)) {
        if let Some(value) = scalar(value) {
            insert_extra(&mut root, name, value);
        }
    }
    root
}

fn flat(event: &Event<'_>) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in event.extras().iter().filter(|(name, _)| !taken(name, event)) {
        if let Some(value) = scalar(value) {
            root.insert((*name).to_owned(), value);
        }
    }
    slots(event, &mut |name, value| {
        root.insert(name.to_owned(), value);
    });
    root
}

/// Every field with a slot, and those that follow from slots, by dotted name.
fn slots(event: &Event<'_>, put: &mut dyn FnMut(&str, Value)) {
    put("ecs.version", ECS_VERSION.into());
    put("event.original", String::from_utf8_lossy(event.original).into());
    list(event.categories, "event.category", put);
    list(event.types, "event.type", put);
    list(event.tags(), "tags", put);
    for (field, name) in TEXT_NAMES {
        event.text(*field).filter(|text| !text.is_empty()).into_iter().for_each(|text| put(name, text.into()));
    }
    for (field, name) in NUMBER_NAMES {
        event.number(*field).into_iter().for_each(|number| put(name, number.into()));
    }
    for (field, name) in ADDRESS_NAMES {
        event.address(*field).into_iter().for_each(|address| put(name, address.to_string().into()));
    }
    related(event, put);
}

/// `related.*`: every address and every account of the event, for searches that do not care about the part it played.
fn related(event: &Event<'_>, put: &mut dyn FnMut(&str, Value)) {
    let fields = [Address::SourceIp, Address::ClientIp, Address::DestinationIp, Address::ForwardedIp];
    let mut addresses: Vec<IpAddr> = fields.iter().filter_map(|field| event.address(*field)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let mut users: Vec<&str> =
        [Text::UserName, Text::UserTarget].iter().filter_map(|field| event.text(*field)).collect();
    users.retain(|user| !user.is_empty());
    users.dedup();
    list(&addresses, "related.ip", put);
    list(&users, "related.user", put);
}

fn list<T: AsRef<str>>(values: &[T], name: &str, put: &mut dyn FnMut(&str, Value)) {
    if !values.is_empty() {
        put(name, values.iter().map(|value| Value::from(value.as_ref())).collect());
    }
}

/// Puts a slot where its dotted name says. Slot names never collide with one another: a test holds them to it.
fn insert(root: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(refused) = insert_at(root, name, value) {
        root.insert(name.to_owned(), refused);
    }
}

/// Puts an extra where its name says; a part of the name that is a value already makes it keep its dotted key.
fn insert_extra(root: &mut Map<String, Value>, name: &str, value: Value) {
    let nests = name.split('.').count() <= NESTING_MAX && name.split('.').all(|part| !part.is_empty());
    let refused = if nests { insert_at(root, name, value) } else { Some(value) };
    let Some(value) = refused else { return };
    match root.get(name) {
        Some(Value::Object(_)) => root.insert(format!("{name}{VALUE_SUFFIX}"), value),
        Some(_) | None => root.insert(name.to_owned(), value),
    };
}

/// Whether a name belongs to a slot that has a value, or to the journal.
fn taken(name: &str, event: &Event<'_>) -> bool {
    let below =
        |reserved: &&str| name.strip_prefix(*reserved).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let field = Field::of(name);
    if matches!(field, Field::Extra(_)) {
        matches!(name, "ecs.version" | "sekisho") || RESERVED.iter().any(below)
    } else {
        event.has(&field)
    }
}

/// Walks down to the parent and inserts; gives the value back where the way or the place is taken by another kind.
fn insert_at(root: &mut Map<String, Value>, name: &str, value: Value) -> Option<Value> {
    let mut map = root;
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            if let Some(Value::Object(_)) = map.get(part) {
                return Some(value);
            }
            map.insert(part.to_owned(), value);
            return None;
        }
        match map.entry(part.to_owned()).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(next) => map = next,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => return Some(value),
        }
    }
    Some(value)
}

fn flatten(prefix: &str, value: &Value, out: &mut Map<String, Value>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&format!("{prefix}.{key}"), value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            out.insert(prefix.to_owned(), value.clone());
        }
    }
}

/// The JSON of a value; `None` where JSON cannot say it (a number that is none) and for empty texts and lists.
fn scalar(value: &Scalar<'_>) -> Option<Value> {
    match value {
        Scalar::Text(text) => (!text.is_empty()).then(|| Value::from(*text)),
        Scalar::Integer(number) => Some(Value::from(*number)),
        Scalar::Float(number) => JsonNumber::from_f64(*number).map(Value::Number),
        Scalar::Bool(flag) => Some(Value::Bool(*flag)),
        Scalar::List(values) => {
            let values: Vec<Value> = values.iter().filter_map(scalar).collect();
            (!values.is_empty()).then_some(Value::Array(values))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::Number;
    use super::*;
    use bumpalo::Bump;
    use serde_json::json;

    fn written(fill: impl for<'a> FnOnce(&mut Event<'a>), layout: Layout) -> String {
        let arena = Bump::new();
        let mut event = Event::new(b"raw \xff\x1b", &arena);
        fill(&mut event);
        let position = Position { topic: "nginx".into(), partition: 0, offset: 99, item: None };
        let envelope = Envelope { pipeline: "nginx", position: &position };
        let mut out = Vec::new();
        document(&event, &envelope, layout).write(Some(Time(0)), &[FlawKind::TimeJump], &mut out);
        String::from_utf8(out).unwrap()
    }

    fn full(event: &mut Event<'_>) {
        event.set_text(Text::UrlPath, "/a");
        event.set_text(Text::HttpCookie, "c=1");
        event.set_number(Number::HttpStatus, 200);
        event.set_address(Address::ClientIp, "203.0.113.9".parse().unwrap());
        event.categories = &["web"];
        event.add_extra("labels.x", Scalar::Float(0.5));
        event.add_flaw("http.response.body.bytes", FlawKind::NotANumber);
        event.occurred_at = Some(Time(1_795_453_503_414));
    }

    #[test]
    fn nested_is_the_shape_of_the_sheet() {
        let text = written(full, Layout::Nested);
        assert_eq!(
            text,
            concat!(
                r#"{"@timestamp":"2026-11-23T17:05:03.414Z","client":{"ip":"203.0.113.9"},"ecs":{"version":"9.0.0"},"#,
                r#""event":{"category":["web"],"original":"raw �\u001b"},"http":{"response":{"status_code":200}},"#,
                r#""labels":{"x":0.5},"related":{"ip":["203.0.113.9"]},"url":{"path":"/a"},"#,
                r#""sekisho":{"pipeline":"nginx","position":{"topic":"nginx","partition":0,"offset":99},"#,
                r#""appended_at":"1970-01-01T00:00:00.000Z","flaws":[{"field":"http.response.body.bytes","#,
                r#""kind":"not_a_number"},{"field":"@timestamp","kind":"time_jump"}],"http":{"cookie":"c=1"}}}"#
            )
        );
    }

    #[test]
    fn flat_says_the_same_by_dotted_keys() {
        let flat: Value = serde_json::from_str(&written(full, Layout::Flat)).unwrap();
        assert_eq!(flat["http.response.status_code"], json!(200));
        assert_eq!(flat["sekisho.position.offset"], json!(99));
        assert_eq!(flat["sekisho.http.cookie"], json!("c=1"));
        assert_eq!(flat["sekisho.flaws"][1]["kind"], json!("time_jump"));
        assert_eq!(flat["@timestamp"], json!("2026-11-23T17:05:03.414Z"));
    }

    #[test]
    fn collisions_keep_dotted_keys_and_slots_win() {
        let text = written(
            |event| {
                event.set_text(Text::UserName, "root");
                event.add_extra("user", Scalar::Text("flat"));
                event.add_extra("user.name.first", Scalar::Text("deep"));
                event.add_extra("user.name", Scalar::Text("forged"));
                event.add_extra("sekisho.pipeline", Scalar::Text("forged"));
                event.add_extra("a..b", Scalar::Bool(true));
                event.add_extra("empty", Scalar::List(&[Scalar::Text(""), Scalar::Float(f64::NAN)]));
                event.add_extra("n", Scalar::Float(f64::NAN));
            },
            Layout::Nested,
        );
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["user"]["name"], json!("root"));
        assert_eq!(document["user.value"], json!("flat"));
        assert_eq!(document["user.name.first"], json!("deep"));
        assert_eq!(document["a..b"], json!(true));
        assert_eq!((document.get("n"), document.get("empty")), (None, None));
        assert_eq!(text.matches("\"pipeline\"").count(), 1, "an extra never forges what the journal says: {text}");
    }

    #[test]
    fn slot_names_nest_without_collision() {
        let mut root = Map::new();
        let names = TEXT_NAMES.iter().map(|(_, n)| *n).chain(NUMBER_NAMES.iter().map(|(_, n)| *n));
        for name in names.chain(ADDRESS_NAMES.iter().map(|(_, n)| *n)).chain(["event.original", "tags", "related.ip"]) {
            assert_eq!(insert_at(&mut root, name, Value::Null), None, "{name}");
        }
    }

    #[test]
    fn deep_names_are_not_nested() {
        let deep = vec!["a"; 200].join(".");
        let text = written(
            |event| {
                let name = event.arena().alloc_str(&deep);
                event.add_extra(name, Scalar::Integer(1));
            },
            Layout::Nested,
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()[&deep], json!(1));
    }
}
