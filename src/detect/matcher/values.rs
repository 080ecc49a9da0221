//! What a field of an event holds, as texts, numbers or addresses. Pure.
//!
//! The one place that says how each kind of field reads in each kind of test: numbers and addresses compare by their
//! text form, lists by any element, URL texts in all their forms.

use std::net::IpAddr;

use crate::event::{Event, Field, Scalar, Text};

use super::forms::{decoded, forms_of};

/// Lists inside lists are followed this far; decoders stop at 32 levels themselves.
const LIST_DEPTH_MAX: usize = 32;

/// Whether this field is matched in its decoded forms too.
pub(super) fn has_forms(field: Text) -> bool {
    matches!(field, Text::UrlOriginal | Text::UrlPath | Text::UrlQuery)
}

/// Whether `test` holds for any text of the field.
pub(super) fn any_text(event: &Event<'_>, field: &Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
    match field {
        Field::Text(slot) => event.text(*slot).is_some_and(|text| {
            test(text) || has_forms(*slot) && forms_of(text).iter().any(|form| test(&decoded(*form, text)))
        }),
        Field::Number(slot) => event.number(*slot).is_some_and(|number| test(&number.to_string())),
        Field::Address(slot) => event.address(*slot).is_some_and(|address| test(&address.to_string())),
        Field::Extra(name) => event.extra(name).is_some_and(|scalar| scalar_text(scalar, 0, test)),
        Field::Timestamp => event.occurred_at.is_some_and(|time| test(&time.to_string())),
        Field::Original => test(&String::from_utf8_lossy(event.original)),
        Field::Category => event.categories.iter().any(|text| test(text)),
        Field::Type => event.types.iter().any(|text| test(text)),
        Field::Tags => event.tags().iter().any(|text| test(text)),
    }
}

/// Whether `test` holds for the text form of a scalar, or of any element of a list.
pub(super) fn scalar_text(scalar: Scalar<'_>, depth: usize, test: &mut dyn FnMut(&str) -> bool) -> bool {
    match scalar {
        Scalar::Text(text) => test(text),
        Scalar::Integer(number) => test(&number.to_string()),
        Scalar::Float(number) => test(&number.to_string()),
        Scalar::Bool(truth) => test(if truth { "true" } else { "false" }),
        Scalar::List(items) => depth < LIST_DEPTH_MAX && items.iter().any(|item| scalar_text(*item, depth + 1, test)),
    }
}

/// Whether `test` holds for any number the field holds; texts that read as a finite number count.
pub(super) fn any_number(event: &Event<'_>, field: &Field, test: &dyn Fn(f64) -> bool) -> bool {
    match field {
        Field::Number(slot) => event.number(*slot).is_some_and(|number| test(number as f64)),
        Field::Text(_)
        | Field::Address(_)
        | Field::Extra(_)
        | Field::Timestamp
        | Field::Original
        | Field::Category
        | Field::Type
        | Field::Tags => any_text(event, field, &mut |text| {
            text.trim().parse::<f64>().is_ok_and(|number| number.is_finite() && test(number))
        }),
    }
}

/// Whether `test` holds for any address the field holds; texts that read as an address count.
pub(super) fn any_address(event: &Event<'_>, field: &Field, test: &dyn Fn(IpAddr) -> bool) -> bool {
    match field {
        Field::Address(slot) => event.address(*slot).is_some_and(test),
        Field::Text(_)
        | Field::Number(_)
        | Field::Extra(_)
        | Field::Timestamp
        | Field::Original
        | Field::Category
        | Field::Type
        | Field::Tags => any_text(event, field, &mut |text| {
            text.trim().parse::<IpAddr>().is_ok_and(|address| test(address.to_canonical()))
        }),
    }
}
