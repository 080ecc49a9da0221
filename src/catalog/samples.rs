//! Samples: a line and the fields it must give, carried by the pipeline that decodes it. Pure.

use std::fmt;

use bumpalo::Bump;

use crate::decode;
use crate::document::{Keys, Kind, Node};
use crate::event::{Event, Field, FlawKind, Scalar, Time};

use super::Pipeline;

/// The journal's time at which samples are decoded, 2026-11-24: times without a year are the nearest to it.
pub const SAMPLES_AT: Time = Time(1_795_478_400_000);

/// One sample of a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub line: String,
    /// Dotted field names and what they must hold, in the order of the file.
    pub fields: Vec<(String, Expected)>,
    /// Flaws that must be noted, as `field: kind`; absent: none may be.
    pub flaws: Vec<String>,
    /// Where it stands in the file, from 1.
    pub file_line: usize,
}

/// What a field must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `null`: nothing.
    Absent,
    Text(String),
    List(Vec<String>),
}

/// A field of a sample that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleFailure {
    pub file_line: usize,
    pub field: String,
    pub expected: String,
    pub found: String,
}

/// Reads one sample; `None` where it has no line.
pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<Sample> {
    keys.required("line");
    let line = keys.text("line").map(str::to_owned);
    let flaws = keys.texts("flaws").into_iter().map(str::to_owned).collect();
    let mut fields = Vec::new();
    if let Some(node) = keys.required("fields") {
        match &node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let expected = expected(keys, value);
                    fields.extend(expected.map(|e| (key.text().unwrap_or_default().to_owned(), e)));
                }
            }
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => {
                keys.fault(node, format!("`fields` must be a map, not {}", node.describe()));
            }
        }
    }
    Some(Sample { line: line?, fields, flaws, file_line: keys.node().line })
}

fn expected(keys: &mut Keys<'_, '_>, value: &Node) -> Option<Expected> {
    match &value.kind {
        Kind::Null => Some(Expected::Absent),
        Kind::Scalar { text, .. } => Some(Expected::Text(text.clone())),
        Kind::List(items) => Some(Expected::List(items.iter().filter_map(Node::text).map(str::to_owned).collect())),
        Kind::Map(_) => {
            keys.fault(value, "a field of a sample holds a value or a list; write deeper fields with dots");
            None
        }
    }
}

impl Pipeline {
    /// Decodes all samples; what came out otherwise than they say.
    pub fn check_samples(&self) -> Vec<SampleFailure> {
        self.samples.iter().flat_map(|sample| self.check_sample(sample)).collect()
    }

    fn check_sample(&self, sample: &Sample) -> Vec<SampleFailure> {
        let arena = Bump::new();
        let item = decode::items(sample.line.as_bytes()).next().unwrap_or_default();
        let mut event = self.decoder.decode(item, SAMPLES_AT, &arena);
        self.enricher.enrich(&mut event, &mut self.enricher.cache());
        let fields =
            sample.fields.iter().map(|(name, expected)| (name.as_str(), expected.to_string(), shown(&event, name)));
        let flaws: Vec<String> =
            event.flaws().iter().map(|flaw| format!("{}: {}", flaw.field, word(flaw.kind))).collect();
        let all = fields.chain([("sekisho.flaws", list(&sample.flaws), list(&flaws))]);
        all.filter(|(_, expected, found)| expected != found)
            .map(|(field, expected, found)| SampleFailure {
                file_line: sample.file_line,
                field: field.to_owned(),
                expected,
                found,
            })
            .collect()
    }
}

/// What stands for a field that is not there.
const ABSENT: &str = "nothing";

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Absent => f.write_str(ABSENT),
            Expected::Text(text) => f.write_str(text),
            Expected::List(items) => f.write_str(&list(items)),
        }
    }
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let all: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if all.is_empty() { ABSENT.to_owned() } else { format!("[{}]", all.join(", ")) }
}

/// The value of a field as a sample writes it.
fn shown(event: &Event<'_>, name: &str) -> String {
    let value = match Field::of(name) {
        Field::Text(field) => event.text(field).map(str::to_owned),
        Field::Number(field) => event.number(field).map(|number| number.to_string()),
        Field::Address(field) => event.address(field).map(|address| address.to_string()),
        Field::Extra(name) => event.extra(&name).map(scalar),
        Field::Timestamp => event.occurred_at.map(|time| time.to_string()),
        Field::Original => Some(String::from_utf8_lossy(event.original).into_owned()),
        Field::Category => Some(list(event.categories)),
        Field::Type => Some(list(event.types)),
        Field::Tags => Some(list(event.tags())),
    };
    value.unwrap_or_else(|| ABSENT.to_owned())
}

/// Lists hold scalars of decoded JSON, whose depth is limited, so recursion is bounded.
fn scalar(value: Scalar<'_>) -> String {
    match value {
        Scalar::Text(text) => text.to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::List(items) => list(&items.iter().map(|item| scalar(*item)).collect::<Vec<_>>()),
    }
}

/// The kind as it is written in `sekisho.flaws[].kind`.
fn word(kind: FlawKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
