//! JSON objects by a field map: nginx's JSON access log, application logins, anything else. Pure.
//!
//! Deliberately without knowledge of any source: the pipeline file says what a key means.

use super::map::FieldMap;
use super::{convert, walk, words};
use crate::decode::{Context, JsonSettings, Keep, Unit};
use crate::event::{Event, Field, Login, Number, Scalar, Text};

/// A decoder for one field map.
#[derive(Debug)]
pub struct JsonDecoder {
    map: FieldMap,
    set: Vec<(Field, String)>,
}

impl JsonDecoder {
    /// Compiles the field map.
    pub fn new(settings: &JsonSettings, keep: &Keep) -> JsonDecoder {
        let mut map = FieldMap::new(&settings.fields, settings.rest.as_deref(), keep);
        settings.requires.iter().for_each(|path| map.require(path));
        JsonDecoder { map, set: settings.set.clone() }
    }

    /// Fills the event; `false` where the item is no JSON object with what is required.
    pub fn decode<'a>(&self, item: &'a str, context: &Context<'_>, event: &mut Event<'a>) -> bool {
        let Some(times) = walk::walk(&self.map, item, context, event) else { return false };
        walk::set_duration(event, times);
        for (field, value) in &self.set {
            if !event.has(field) {
                set_default(event, field, value, context);
            }
        }
        recognise_login(event);
        true
    }
}

fn set_default<'a>(event: &mut Event<'a>, field: &Field, value: &str, context: &Context<'_>) {
    let arena = event.arena();
    match field {
        Field::Text(text) => event.set_text(*text, arena.alloc_str(value)),
        Field::Number(number) => set_number_default(event, *number, value),
        Field::Address(slot) => {
            if let Some((address, _)) = convert::address(value) {
                event.set_address(*slot, address);
            }
        }
        Field::Extra(name) => event.add_extra(arena.alloc_str(name), Scalar::Text(arena.alloc_str(value))),
        Field::Timestamp => event.occurred_at = convert::timestamp(value, Unit::AsIs, context),
        Field::Category => event.categories = words::categories(&split(value)),
        Field::Type => event.types = words::types(&split(value)),
        Field::Tags => split(value).into_iter().for_each(|tag| event.add_tag(arena.alloc_str(tag))),
        Field::Original => {}
    }
}

fn set_number_default(event: &mut Event<'_>, number: Number, value: &str) {
    if let Err(kind) = convert::set_number(event, number, value, Unit::AsIs) {
        event.add_flaw(number.name(), kind);
    }
}

fn split(words: &str) -> Vec<&str> {
    words.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// An event of the category authentication that says success or failure is a login attempt.
fn recognise_login(event: &mut Event<'_>) {
    if !event.categories.contains(&"authentication") {
        return;
    }
    let outcome = event.text(Text::EventOutcome).unwrap_or_default();
    let login = [("success", Login::Success), ("failure", Login::Failure)]
        .into_iter()
        .find(|(word, _)| outcome.eq_ignore_ascii_case(word));
    if let Some((word, login)) = login {
        event.set_text(Text::EventOutcome, word);
        event.login = Some(login);
        if event.types.is_empty() {
            event.types = &["start"];
        }
    }
}
