//! The field map of a JSON decoder in a pipeline file. Pure.

use std::sync::Arc;

use crate::decode::{JsonSettings, Target, Unit};
use crate::document::{Faults, Keys, Kind, Node, Source};
use crate::event::{Field, Number};

const UNITS: &[(&str, Unit)] =
    &[("s", Unit::Seconds), ("ms", Unit::Milliseconds), ("us", Unit::Microseconds), ("ns", Unit::Nanoseconds)];

/// Reads what stands under `json:`.
pub(super) fn read(source: &Arc<Source>, node: &Node, faults: &mut Faults) -> JsonSettings {
    let mut keys = Keys::of(source, node, "`json`", faults);
    let mut fields = fields(&mut keys);
    let shared = shared_values(&mut keys);
    for (_, target) in fields.iter_mut().filter(|(_, target)| target.values.is_empty()) {
        if let Some((_, values)) = shared.iter().find(|(field, _)| *field == target.field) {
            target.values.clone_from(values);
        }
    }
    let settings = JsonSettings {
        fields,
        requires: keys.texts("requires").into_iter().map(str::to_owned).collect(),
        rest: keys.text("rest").map(str::to_owned),
        set: set(&mut keys),
    };
    keys.finish();
    settings
}

/// One path may go to several fields.
fn fields(keys: &mut Keys<'_, '_>) -> Vec<(String, Target)> {
    let mut fields = Vec::new();
    for (key, value) in entries(keys, "fields") {
        for item in value.items() {
            let target = match &item.kind {
                Kind::Scalar { text, .. } => {
                    Some(Target { field: Field::of(text), unit: Unit::AsIs, values: Vec::new() })
                }
                Kind::Map(_) => target(keys, item),
                Kind::Null | Kind::List(_) => {
                    keys.fault(item, "a field must be a name such as url.original, or a map with `to`");
                    None
                }
            };
            fields.extend(target.map(|target| (key.text().unwrap_or_default().to_owned(), target)));
        }
    }
    fields
}

/// Translations by field, for all paths that go there.
fn shared_values(keys: &mut Keys<'_, '_>) -> Vec<(Field, Vec<(String, String)>)> {
    let source = keys.source();
    let mut shared = Vec::new();
    for (field, node) in entries(keys, "values") {
        shared.push((Field::of(field.text().unwrap_or_default()), pairs(&source, node, "values", keys.faults)));
    }
    shared
}

fn target(keys: &mut Keys<'_, '_>, node: &Node) -> Option<Target> {
    let source = keys.source();
    let mut inner = Keys::of(&source, node, "a field", keys.faults);
    inner.required("to");
    let field = inner.text("to").map(Field::of);
    let unit = inner.word("unit", UNITS).unwrap_or(Unit::AsIs);
    let values = texts(&mut inner, "values");
    let timed = matches!(field, None | Some(Field::Number(Number::EventDuration) | Field::Timestamp));
    if let Some(at) = inner.node_of("unit").filter(|_| !timed) {
        inner.fault(at, "`unit` only applies to event.duration and @timestamp");
    }
    inner.finish();
    Some(Target { field: field?, unit, values })
}

fn set(keys: &mut Keys<'_, '_>) -> Vec<(Field, String)> {
    texts(keys, "set").into_iter().map(|(name, value)| (Field::of(&name), value)).collect()
}

/// The entries of a map of texts to texts under a key.
fn texts(keys: &mut Keys<'_, '_>, key: &'static str) -> Vec<(String, String)> {
    let source = keys.source();
    keys.node_of(key).map(|node| pairs(&source, node, key, keys.faults)).unwrap_or_default()
}

fn pairs(source: &Arc<Source>, node: &Node, key: &str, faults: &mut Faults) -> Vec<(String, String)> {
    let Kind::Map(entries) = &node.kind else {
        faults.at(source, node, format!("`{key}` must be a map of texts, not {}", node.describe()));
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for (name, value) in entries {
        match (name.text(), value.text()) {
            (Some(name), Some(value)) => pairs.push((name.to_owned(), value.to_owned())),
            _ => faults.at(source, value, format!("`{key}` must hold texts, not {}", value.describe())),
        }
    }
    pairs
}

/// The entries of a map under a key, in the order of the file.
fn entries<'n>(keys: &mut Keys<'n, '_>, key: &'static str) -> &'n [(Node, Node)] {
    match keys.node_of(key).map(|node| (node, &node.kind)) {
        None => &[],
        Some((_, Kind::Map(entries))) => entries,
        Some((node, Kind::Null | Kind::Scalar { .. } | Kind::List(_))) => {
            keys.fault(node, format!("`{key}` must be a map, not {}", node.describe()));
            &[]
        }
    }
}
