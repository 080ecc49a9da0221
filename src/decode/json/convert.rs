//! One value of an object into one field of an event: types, units, absent values. Pure.
//!
//! What does not fit its field is a flaw, never an error. Deliberately without knowledge of where the value stood.

use std::net::{IpAddr, SocketAddr};

use bumpalo::Bump;

use super::map::Leaf;
use super::words;
use crate::decode::{Context, Unit, target, time};
use crate::event::{Address, Event, Field, FlawKind, Number, Scalar, Text, Time};

/// A value that was found, numbers still as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found<'a> {
    Text(&'a str),
    Number(&'a str),
    Bool(bool),
    List(&'a [Scalar<'a>]),
}

impl<'a> Found<'a> {
    /// The value for a field without a slot; `None` for an absent one or a number no float can hold.
    pub(super) fn scalar(self) -> Option<Scalar<'a>> {
        match self {
            Found::Text(text) => (!is_absent(text)).then_some(Scalar::Text(text)),
            Found::Bool(value) => Some(Scalar::Bool(value)),
            Found::List(list) => Some(Scalar::List(list)),
            Found::Number(written) => number_scalar(written),
        }
    }

    /// The value as text; of a list its first. `-` and the empty text stand for nothing.
    pub(super) fn text(self, arena: &'a Bump) -> Option<&'a str> {
        let text = match self {
            Found::Text(text) | Found::Number(text) => text,
            Found::Bool(value) => bool_text(value),
            Found::List(list) => scalar_text(list.first()?, arena)?,
        };
        (!is_absent(text)).then_some(text)
    }
}

#[inline(always)]
pub(super) fn is_absent(text: &str) -> bool {
    matches!(text, "" | "-")
}

fn number_scalar<'a>(written: &'a str) -> Option<Scalar<'a>> {
    if let Ok(integer) = written.parse() {
        return Some(Scalar::Integer(integer));
    }
    match written.parse::<f64>() {
        Ok(float) => float.is_finite().then_some(Scalar::Float(float)),
        Err(_) => Some(Scalar::Text(written)),
    }
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn scalar_text<'a>(scalar: &Scalar<'a>, arena: &'a Bump) -> Option<&'a str> {
    match scalar {
        Scalar::Text(text) => Some(text),
        Scalar::Integer(integer) => Some(arena.alloc_str(&integer.to_string())),
        Scalar::Float(float) => Some(arena.alloc_str(&float.to_string())),
        Scalar::Bool(value) => Some(bool_text(*value)),
        Scalar::List(_) => None,
    }
}

/// Puts `found` into the leaf's field, which is no extra. Whether the field has a value of this leaf now.
#[inline(always)]
pub(super) fn assign<'a>(event: &mut Event<'a>, leaf: &Leaf, found: Found<'a>, context: &Context<'_>) -> bool {
    let arena = event.arena();
    let Some(text) = found.text(arena) else { return false };
    let translated = leaf.target.values.iter().find(|(from, _)| from.eq_ignore_ascii_case(text));
    let (found, text) = match translated {
        Some((_, to)) => {
            let to: &'a str = arena.alloc_str(to);
            (Found::Text(to), to)
        }
        None => (found, text),
    };
    let kind = match &leaf.target.field {
        Field::Text(Text::XForwardedFor) => {
            event.set_text(Text::XForwardedFor, joined(found, text, arena));
            return true;
        }
        Field::Text(field) => return set_text(event, *field, text),
        Field::Number(field) => match set_number(event, *field, text, leaf.target.unit) {
            Ok(()) => return true,
            Err(kind) => kind,
        },
        Field::Address(field) => match address(text) {
            Some((address, _)) => {
                event.set_address(*field, address);
                return true;
            }
            None => FlawKind::NotAnAddress,
        },
        Field::Timestamp => match timestamp(text, leaf.target.unit, context) {
            Some(time) => {
                event.occurred_at = Some(time);
                return true;
            }
            None => FlawKind::NotATime,
        },
        Field::Category | Field::Type | Field::Tags | Field::Original | Field::Extra(_) => {
            return set_words(event, leaf, found, text);
        }
    };
    event.add_flaw(arena.alloc_str(&leaf.name), kind);
    false
}

/// The slot of a field that takes a text as it is; what others take is in [`set_text`] and [`assign`].
pub(super) fn plain_slot(field: &Field) -> Option<Text> {
    let read = [
        Text::XForwardedFor,
        Text::UrlOriginal,
        Text::HttpVersion,
        Text::TlsVersion,
        Text::SourceAddress,
        Text::DestinationAddress,
    ];
    let Field::Text(slot) = field else { return None };
    (!read.contains(slot)).then_some(*slot)
}

/// A text slot; an address that carries its port gives both, and the text stays as it was written.
fn set_text<'a>(event: &mut Event<'a>, field: Text, text: &'a str) -> bool {
    if field == Text::UrlOriginal
        && let Some((method, target, version)) = request_line(text)
    {
        event.set_text(Text::HttpMethod, method);
        event.set_text(Text::HttpVersion, version);
        event.set_text(Text::UrlOriginal, target);
        return true;
    }
    event.set_text(field, strip_label(field, text));
    let slots = [
        (Text::SourceAddress, Address::SourceIp, Number::SourcePort),
        (Text::DestinationAddress, Address::DestinationIp, Number::DestinationPort),
    ];
    if let Some((_, slot, port_slot)) = slots.into_iter().find(|(text, _, _)| *text == field)
        && let Some((address, port)) = address(text)
    {
        event.set_address(slot, address);
        if let Some(port) = port.filter(|_| event.number(port_slot).is_none()) {
            event.set_number(port_slot, port.into());
        }
    }
    true
}

/// ECS keeps the number alone of `HTTP/1.1` and `TLS 1.2`.
fn strip_label(field: Text, text: &str) -> &str {
    let labels: &[&str] = match field == Text::HttpVersion {
        true => &["HTTP/", "http/"],
        false if field == Text::TlsVersion => &["TLS ", "TLSv"],
        false => return text,
    };
    labels.iter().find_map(|label| text.strip_prefix(label)).unwrap_or(text)
}

/// `GET /a HTTP/1.1`, the whole request line where many templates have the address: method, target, version.
pub(super) fn request_line(text: &str) -> Option<(&str, &str, &str)> {
    // Nearly every text here is a path, which this tells at once.
    if !text.as_bytes().first()?.is_ascii_uppercase() {
        return None;
    }
    let (rest, version) = text.rsplit_once(" HTTP/")?;
    let (method, target) = rest.split_once(' ')?;
    let fits = !target.is_empty() && !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    fits.then_some((method, target, version))
}

/// Several X-Forwarded-For headers are one list (RFC 9110 §5.3).
fn joined<'a>(found: Found<'a>, text: &'a str, arena: &'a Bump) -> &'a str {
    match found {
        Found::List(list) if list.len() > 1 => {
            let parts: Vec<&str> = list.iter().filter_map(|scalar| scalar_text(scalar, arena)).collect();
            arena.alloc_str(&parts.join(", "))
        }
        Found::List(_) | Found::Text(_) | Found::Number(_) | Found::Bool(_) => text,
    }
}

fn set_words<'a>(event: &mut Event<'a>, leaf: &Leaf, found: Found<'a>, text: &'a str) -> bool {
    match leaf.target.field {
        Field::Category => event.categories = words::categories(&texts(found, text)),
        Field::Type => event.types = words::types(&texts(found, text)),
        Field::Tags => texts(found, text).into_iter().for_each(|tag| event.add_tag(tag)),
        Field::Text(_) | Field::Number(_) | Field::Address(_) => {}
        Field::Extra(_) | Field::Timestamp | Field::Original => {}
    }
    true
}

fn texts<'a>(found: Found<'a>, text: &'a str) -> Vec<&'a str> {
    let Found::List(list) = found else { return vec![text] };
    let only_text = |scalar: &Scalar<'a>| match scalar {
        Scalar::Text(text) => Some(*text),
        Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::List(_) => None,
    };
    list.iter().filter_map(only_text).collect()
}

/// Puts a number as written into a slot, in the slot's unit.
pub(super) fn set_number(event: &mut Event<'_>, field: Number, text: &str, unit: Unit) -> Result<(), FlawKind> {
    let value = number(text, unit).or_else(|| number(first(text), unit)).ok_or(FlawKind::NotANumber)?;
    let port = matches!(field, Number::SourcePort | Number::DestinationPort | Number::UrlPort);
    let status = field == Number::HttpStatus;
    if (port && !(0..=65_535).contains(&value)) || (status && !(0..=999).contains(&value)) {
        return Err(FlawKind::OutOfRange);
    }
    event.set_number(field, value);
    Ok(())
}

/// The first of `0.001, 0.002 : 0.003`: what nginx writes after several upstreams.
fn first(text: &str) -> &str {
    let end = memchr::memchr2(b',', b' ', text.as_bytes()).unwrap_or(text.len());
    text[..end].trim()
}

fn number(text: &str, unit: Unit) -> Option<i64> {
    let scale = match unit {
        Unit::AsIs | Unit::Nanoseconds => 1,
        Unit::Seconds => 1_000_000_000,
        Unit::Milliseconds => 1_000_000,
        Unit::Microseconds => 1_000,
    };
    if let Ok(integer) = text.parse::<i64>() {
        return integer.checked_mul(scale);
    }
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let float = text.parse::<f64>().ok().filter(|_| digits)? * scale as f64;
    (float.abs() < 9.2e18).then(|| float.round() as i64)
}

/// A claimed time: RFC 3339, common log format, or seconds since 1970 in the unit, by size where none is said.
pub(super) fn timestamp(text: &str, unit: Unit, context: &Context<'_>) -> Option<Time> {
    if unit == Unit::AsIs {
        let bytes = text.as_bytes();
        return time::rfc3339(bytes, context.zone).or_else(|| time::clf(bytes)).or_else(|| time::epoch(bytes));
    }
    let nanoseconds = number(text, unit)?;
    Some(Time(nanoseconds.div_euclid(1_000_000))).filter(|time| (Time::MIN..=Time::MAX).contains(time))
}

/// An address in canonical form; a port, brackets or a zone only where the text clearly has them. Octal and short
/// forms are refused, because two programs read them as two addresses.
pub(super) fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Some(address) = target::ipv4(text.as_bytes()) {
        return Some((IpAddr::V4(address), None));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip().to_canonical(), Some(socket.port())));
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let plain = inner.split_once('%').map_or(inner, |(plain, _)| plain);
    let address = plain.parse::<IpAddr>().ok().filter(|address| address.is_ipv6());
    address.map(|address| (address.to_canonical(), None))
}
