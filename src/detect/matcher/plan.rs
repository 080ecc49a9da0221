//! How each test joins the index: which literals or values show that it holds, or that it may. Pure.

use crate::event::{Field, Number, Text};

use super::super::condition::{Part, Predicate, Test};
use super::pattern::normal;
use super::required::required;

/// Texts that are scanned together: a group has one automaton, and up to [`SLOTS`] fields that may share one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// `url.original`, `url.path`, `url.query`.
    Url,
    /// `event.original` and `message`.
    Line,
    Slot(Text),
    Extra(String),
    Category,
    Type,
    Tags,
}

/// The most fields a group has.
pub(super) const SLOTS: usize = 3;

/// Where a literal must stand in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Anywhere,
    Start,
    End,
}

/// What shows that a test holds for one of its fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sign {
    /// One of these folded literals stands in the text.
    Literals { texts: Vec<String>, anchor: Anchor, certain: bool },
    /// The folded text is this one.
    Equal { text: String, certain: bool },
    /// The number is this one.
    Integer(i64),
    /// No value of this field ever makes it hold.
    Never,
}

/// One field of a test and its sign.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) field: Field,
    pub(super) sign: Sign,
}

/// The signs of a test, one for each field; `None` where one of them has none, and the test must be judged by itself.
pub(super) fn plans(test: &Test) -> Option<Vec<Plan>> {
    let sign = |field: &Field| sign(field, &test.predicate).map(|sign| Plan { field: field.clone(), sign });
    test.fields.iter().map(sign).collect()
}

/// Which group and place in it a field's texts are scanned in.
pub(super) fn source(field: &Field) -> Option<(Source, usize)> {
    match field {
        Field::Text(Text::UrlOriginal) => Some((Source::Url, 0)),
        Field::Text(Text::UrlPath) => Some((Source::Url, 1)),
        Field::Text(Text::UrlQuery) => Some((Source::Url, 2)),
        Field::Original => Some((Source::Line, 0)),
        Field::Text(Text::Message) => Some((Source::Line, 1)),
        Field::Text(text) => Some((Source::Slot(*text), 0)),
        Field::Extra(name) => Some((Source::Extra(name.clone()), 0)),
        Field::Category => Some((Source::Category, 0)),
        Field::Type => Some((Source::Type, 0)),
        Field::Tags => Some((Source::Tags, 0)),
        Field::Number(_) | Field::Address(_) | Field::Timestamp => None,
    }
}

impl Plan {
    /// How often this sign shows, very roughly, between 0 and 1: to choose between witnesses.
    pub(super) fn weight(&self) -> f64 {
        match &self.sign {
            Sign::Literals { texts, .. } => texts.iter().map(|text| 0.5_f64.powi(text.len() as i32)).sum(),
            Sign::Equal { .. } if few_values(&self.field) => 1.0,
            Sign::Equal { .. } => 0.01,
            Sign::Integer(_) if self.field == Field::Number(Number::HttpStatus) => 0.5,
            Sign::Integer(_) => 0.05,
            Sign::Never => 0.0,
        }
    }
}

/// Fields that have one of a handful of values in nearly every event.
fn few_values(field: &Field) -> bool {
    match field {
        Field::Text(text) => matches!(
            text,
            Text::HttpMethod
                | Text::HttpVersion
                | Text::EventKind
                | Text::EventAction
                | Text::EventOutcome
                | Text::EventModule
                | Text::EventDataset
                | Text::UrlScheme
                | Text::UserAgentClass
                | Text::NetworkTransport
                | Text::NetworkProtocol
                | Text::HostName
                | Text::ServiceName
                | Text::ProcessName
                | Text::LogLevel
        ),
        Field::Category | Field::Type | Field::Tags => true,
        Field::Number(_) | Field::Address(_) | Field::Extra(_) | Field::Timestamp | Field::Original => false,
    }
}

fn sign(field: &Field, predicate: &Predicate) -> Option<Sign> {
    let number = matches!(field, Field::Number(_));
    if !number && source(field).is_none() {
        return None;
    }
    match predicate {
        Predicate::Text { pattern, cased } => {
            let parts = normal(pattern, false);
            if number { integer(&parts) } else { literal(&parts, !cased) }
        }
        Predicate::Regex(regex) if !number => {
            required(regex).map(|texts| Sign::Literals { texts, anchor: Anchor::Anywhere, certain: false })
        }
        Predicate::Empty if number => Some(Sign::Never),
        Predicate::Empty => Some(Sign::Equal { text: String::new(), certain: true }),
        Predicate::Regex(_)
        | Predicate::Number(..)
        | Predicate::Cidr(_)
        | Predicate::Exists(_)
        | Predicate::Missing => None,
    }
}

/// A number's text form is canonical, so only canonical texts equal it.
fn integer(parts: &[Part]) -> Option<Sign> {
    let [Part::Literal(text)] = parts else { return None };
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == *text => Some(Sign::Integer(number)),
        Ok(_) | Err(_) => Some(Sign::Never),
    }
}

fn literal(parts: &[Part], certain: bool) -> Option<Sign> {
    let literals = |text: &String, anchor, certain| Sign::Literals { texts: vec![text.clone()], anchor, certain };
    Some(match parts {
        [] => Sign::Equal { text: String::new(), certain },
        [Part::Literal(text)] => Sign::Equal { text: text.clone(), certain },
        [Part::Literal(text), Part::AnyRun] => literals(text, Anchor::Start, certain),
        [Part::AnyRun, Part::Literal(text)] => literals(text, Anchor::End, certain),
        [Part::AnyRun, Part::Literal(text), Part::AnyRun] => literals(text, Anchor::Anywhere, certain),
        _ => literals(longest(parts)?, Anchor::Anywhere, false),
    })
}

fn longest(parts: &[Part]) -> Option<&String> {
    let literals = parts.iter().filter_map(|part| match part {
        Part::Literal(text) => Some(text),
        Part::AnyOne | Part::AnyRun => None,
    });
    literals.max_by_key(|text| text.len())
}
