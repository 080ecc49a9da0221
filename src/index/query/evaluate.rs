//! What a query means: asked of one event at a time, without an index. Pure.
//!
//! For events that are not indexed yet, and as the model that the index is held to.

use std::net::IpAddr;

use super::ast::{Dynamic, Matcher, Query, TextMatch, WordMatch};
use super::names::{Name, RELATED_USERS};
use crate::event::field::ADDRESS_NAMES;
use crate::event::{Event, Field, Scalar};
use crate::index::address::mapped;
use crate::index::batch::columnar_name;
use crate::index::entry::{Entry, flaw_name};
use crate::index::schema::{FREE_TEXTS, TEXT_BYTES_MAX};
use crate::index::words::{Words, cut, holds_phrase};

/// Whether the event fits the query.
pub fn matches(query: &Query, entry: &Entry<'_>) -> bool {
    match query {
        Query::All => true,
        Query::And(all) => all.iter().all(|query| matches(query, entry)),
        Query::Or(either) => either.iter().any(|query| matches(query, entry)),
        Query::Not(query) => !matches(query, entry),
        Query::Exists(name) => any_value(name, entry, &mut |_| true),
        Query::Is(name, matcher) => any_value(name, entry, &mut |value| fits(matcher, value)),
        Query::Words(words) => free_text(words, entry.event),
    }
}

/// A value of a field, whatever its kind.
enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Address(IpAddr),
}

fn fits(matcher: &Matcher, value: Value<'_>) -> bool {
    match (matcher, value) {
        (Matcher::Text(wanted), Value::Text(text)) => wanted.fits(text),
        (Matcher::Integer(range), Value::Integer(number)) => range.contains(&number),
        (Matcher::Address(range), Value::Address(address)) => range.contains(&u128::from(mapped(address))),
        (Matcher::Dynamic(dynamic), value) => fits_dynamic(dynamic, value),
        (Matcher::Text(_) | Matcher::Integer(_) | Matcher::Address(_), _) => false,
    }
}

fn fits_dynamic(dynamic: &Dynamic, value: Value<'_>) -> bool {
    match value {
        Value::Text(text) => dynamic.text.fits(text),
        Value::Integer(number) => dynamic.fits_integer(number),
        Value::Float(number) => dynamic.fits_float(number),
        Value::Flag(flag) => dynamic.fits_flag(flag),
        Value::Address(_) => false,
    }
}

/// Whether `test` holds for any value that a name has in this event. An empty text is no value.
fn any_value(name: &Name, entry: &Entry<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    let event = entry.event;
    let mut text = |text: &str| !text.is_empty() && test(Value::Text(cut(text, TEXT_BYTES_MAX)));
    match name {
        Name::Event(field) => any_value_of(field, entry, test),
        Name::Pipeline => text(entry.pipeline),
        Name::AppendedAt => test(Value::Integer(entry.appended_at.0)),
        Name::FlawKind => entry.flaws().any(|flaw| text(flaw_name(flaw.kind))),
        Name::FlawField => entry.flaws().any(|flaw| text(flaw.field)),
        Name::RelatedUser => RELATED_USERS.iter().filter_map(|slot| event.text(*slot)).any(text),
        Name::RelatedIp => {
            ADDRESS_NAMES.iter().filter_map(|(slot, _)| event.address(*slot)).any(|it| test(Value::Address(it)))
        }
    }
}

fn any_value_of(field: &Field, entry: &Entry<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    let event = entry.event;
    let mut text = |text: &str| !text.is_empty() && test(Value::Text(cut(text, TEXT_BYTES_MAX)));
    match field {
        Field::Text(slot) => event.text(*slot).is_some_and(text),
        Field::Original => !event.original.is_empty() && test(Value::Text(&String::from_utf8_lossy(event.original))),
        Field::Category => event.categories.iter().any(|it| text(it)),
        Field::Type => event.types.iter().any(|it| text(it)),
        Field::Tags => event.tags().iter().any(|it| text(it)),
        Field::Number(slot) => event.number(*slot).is_some_and(|number| test(Value::Integer(number))),
        Field::Address(slot) => event.address(*slot).is_some_and(|address| test(Value::Address(address))),
        Field::Timestamp => test(Value::Integer(entry.timestamp().0)),
        Field::Extra(name) => columnar_name(name) && event.extra(name).is_some_and(|value| any_scalar(&value, test)),
    }
}

fn any_scalar(value: &Scalar<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    match value {
        Scalar::Text(text) => !text.is_empty() && test(Value::Text(cut(text, TEXT_BYTES_MAX))),
        Scalar::Integer(number) => test(Value::Integer(*number)),
        Scalar::Float(number) => !number.is_nan() && test(Value::Float(*number)),
        Scalar::Bool(flag) => test(Value::Flag(*flag)),
        Scalar::List(values) => values.iter().any(|value| any_scalar(value, test)),
    }
}

fn free_text(words: &WordMatch, event: &Event<'_>) -> bool {
    let texts = FREE_TEXTS.iter().filter_map(|slot| event.text(*slot)).map(|text| cut(text, TEXT_BYTES_MAX));
    texts.into_iter().any(|text| word_match(words, text))
}

/// Whether a text holds the words.
pub(super) fn word_match(words: &WordMatch, text: &str) -> bool {
    match words {
        WordMatch::Phrase(phrase) => holds_phrase(text, phrase),
        WordMatch::Pattern(pattern) => {
            let (mut word, mut words) = (String::new(), Words::of(text));
            while words.next_into(&mut word).is_some() {
                if pattern.fits(&word) {
                    return true;
                }
            }
            false
        }
    }
}

/// The text match of the raw line.
pub(super) fn raw_match(wanted: &TextMatch, raw: &[u8]) -> bool {
    !raw.is_empty() && wanted.fits(&String::from_utf8_lossy(raw))
}
