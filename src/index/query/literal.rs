//! A written value, and what it means for a field of a given kind. Pure.
//!
//! Faults come back as sentences; the parser knows where they belong.

use std::net::IpAddr;
use std::ops::{Bound, RangeInclusive};

use super::ast::{Dynamic, Matcher, TextMatch};
use super::names::{Kind, Name};
use super::pattern::{PATTERN_BYTES_MAX, PATTERN_WILDCARDS_MAX, Part, Pattern};
use crate::event::DAY;
use crate::index::address::mapped;
use crate::index::words::Words;

/// A value as it was written: characters and wildcards.
pub(super) struct Literal {
    pub(super) parts: Vec<Part>,
    pub(super) quoted: bool,
}

impl Literal {
    /// Whether it is `*`: any value.
    pub(super) fn is_any(&self) -> bool {
        !self.quoted && !self.parts.is_empty() && self.parts.iter().all(|part| *part == Part::AnyRun)
    }

    pub(super) fn has_wildcards(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::One(_)))
    }

    /// The text, where it has no wildcards.
    pub(super) fn plain(&self) -> Option<String> {
        self.parts.iter().map(|part| if let Part::One(it) = part { Some(*it) } else { None }).collect()
    }

    pub(super) fn pattern(&self) -> Result<Pattern, String> {
        let pattern = Pattern::new(self.parts.iter().copied());
        if self.parts.len() > PATTERN_BYTES_MAX {
            return Err(format!("a pattern may have {PATTERN_BYTES_MAX} characters"));
        }
        if pattern.runs() > PATTERN_WILDCARDS_MAX {
            return Err(format!("a pattern may have {PATTERN_WILDCARDS_MAX} `*`"));
        }
        Ok(pattern)
    }

    fn text_match(&self) -> Result<TextMatch, String> {
        match self.plain() {
            Some(text) => Ok(TextMatch::Exact(text)),
            None => self.pattern().map(TextMatch::Pattern),
        }
    }

    fn without_wildcards(&self, what: &str) -> Result<String, String> {
        self.plain().ok_or_else(|| format!("{what}; wildcards are for texts"))
    }
}

/// What `field:value` asks.
pub(super) fn equal(name: &Name, literal: &Literal) -> Result<Matcher, String> {
    match name.kind() {
        Kind::Text => literal.text_match().map(Matcher::Text),
        Kind::Integer => integer(name, literal).map(|number| Matcher::Integer(number..=number)),
        Kind::Time => time(name, literal).map(Matcher::Integer),
        Kind::Address => addresses(name, literal).map(Matcher::Address),
        Kind::Dynamic => dynamic_equal(literal).map(Matcher::Dynamic),
    }
}

/// What `field:[low TO high]` and comparisons ask.
pub(super) fn matcher(name: &Name, low: Bound<&Literal>, high: Bound<&Literal>) -> Result<Matcher, String> {
    match name.kind() {
        Kind::Text => text_range(low, high).map(Matcher::Text),
        Kind::Integer => {
            let point = |literal: &Literal| integer(name, literal).map(|it| it..=it);
            Ok(Matcher::Integer(integer_range(low, high, point)?))
        }
        Kind::Time => Ok(Matcher::Integer(integer_range(low, high, |literal| time(name, literal))?)),
        Kind::Address => address_range(name, low, high).map(Matcher::Address),
        Kind::Dynamic => dynamic_range(low, high).map(Matcher::Dynamic),
    }
}

/// The words of free text.
pub(super) fn words(literal: &Literal) -> Result<Vec<String>, String> {
    let text = literal.plain().unwrap_or_default();
    let words: Vec<String> = Words::of(&text).collect();
    if words.is_empty() {
        return Err("free text is looked for by words of letters and digits; this has none".to_owned());
    }
    Ok(words)
}

fn integer(name: &Name, literal: &Literal) -> Result<i64, String> {
    let fault = format!("`{}` holds whole numbers", name.as_str());
    let text = literal.without_wildcards(&fault)?;
    text.parse().map_err(|_| format!("{fault}, and `{}` is none", shortened(&text)))
}

fn time(name: &Name, literal: &Literal) -> Result<RangeInclusive<i64>, String> {
    let fault = format!("`{}` is a time like 2026-11-24 or 2026-11-24T17:05:03Z", name.as_str());
    let text = literal.without_wildcards(&fault)?;
    time_span(&text).ok_or(fault)
}

/// The first and the last millisecond that a written time covers: a date is a day, anything else an instant. Without
/// an offset it is UTC.
fn time_span(text: &str) -> Option<RangeInclusive<i64>> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_millisecond()..=instant.as_millisecond());
    }
    let start = text.parse::<jiff::civil::DateTime>().ok()?;
    let start = jiff::tz::TimeZone::UTC.to_timestamp(start).ok()?.as_millisecond();
    let is_date = !text.contains([':', 'T', 't', ' ']);
    Some(start..=if is_date { start + DAY - 1 } else { start })
}

fn addresses(name: &Name, literal: &Literal) -> Result<RangeInclusive<u128>, String> {
    let fault = format!("`{}` holds addresses, like 203.0.113.9 or 203.0.113.0/24", name.as_str());
    let text = literal.without_wildcards(&fault)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        let number = number_of(address);
        return Ok(number..=number);
    }
    let network: ipnet::IpNet = text.parse().map_err(|_| format!("{fault}, and `{}` is none", shortened(&text)))?;
    let network = network.trunc();
    Ok(number_of(network.network())..=number_of(network.broadcast()))
}

fn number_of(address: IpAddr) -> u128 {
    u128::from(mapped(address))
}

fn integer_range(
    low: Bound<&Literal>,
    high: Bound<&Literal>,
    span: impl Fn(&Literal) -> Result<RangeInclusive<i64>, String>,
) -> Result<RangeInclusive<i64>, String> {
    let low = match low {
        Bound::Included(literal) => *span(literal)?.start(),
        Bound::Excluded(literal) => match span(literal)?.end().checked_add(1) {
            Some(low) => low,
            None => return Ok(nothing()),
        },
        Bound::Unbounded => i64::MIN,
    };
    let high = match high {
        Bound::Included(literal) => *span(literal)?.end(),
        Bound::Excluded(literal) => match span(literal)?.start().checked_sub(1) {
            Some(high) => high,
            None => return Ok(nothing()),
        },
        Bound::Unbounded => i64::MAX,
    };
    Ok(low..=high)
}

/// A range that holds no number.
fn nothing() -> RangeInclusive<i64> {
    RangeInclusive::new(1, 0)
}

fn address_range(name: &Name, low: Bound<&Literal>, high: Bound<&Literal>) -> Result<RangeInclusive<u128>, String> {
    let low = match low {
        Bound::Included(literal) => *addresses(name, literal)?.start(),
        Bound::Excluded(literal) => addresses(name, literal)?.end().saturating_add(1),
        Bound::Unbounded => 0,
    };
    let high = match high {
        Bound::Included(literal) => *addresses(name, literal)?.end(),
        Bound::Excluded(literal) => addresses(name, literal)?.start().saturating_sub(1),
        Bound::Unbounded => u128::MAX,
    };
    Ok(low..=high)
}

fn text_range(low: Bound<&Literal>, high: Bound<&Literal>) -> Result<TextMatch, String> {
    Ok(TextMatch::Range(text_bound(low)?, text_bound(high)?))
}

fn text_bound(bound: Bound<&Literal>) -> Result<Bound<String>, String> {
    let text = |literal: &Literal| literal.without_wildcards("the ends of a range are values");
    Ok(match bound {
        Bound::Included(literal) => Bound::Included(text(literal)?),
        Bound::Excluded(literal) => Bound::Excluded(text(literal)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

fn dynamic_equal(literal: &Literal) -> Result<Dynamic, String> {
    let text = literal.plain();
    let number = text.as_deref().and_then(number);
    let flag = text.as_deref().and_then(|text| text.parse().ok());
    Ok(Dynamic {
        text: literal.text_match()?,
        integer: number
            .and_then(|number| number.integers_from(false).zip(number.integers_to(false)))
            .map(|(a, b)| a..=b),
        float: number.map(|number| (Bound::Included(number.float), Bound::Included(number.float))),
        flag,
    })
}

fn dynamic_range(low: Bound<&Literal>, high: Bound<&Literal>) -> Result<Dynamic, String> {
    let TextMatch::Range(low, high) = text_range(low, high)? else { return Err("not a range".to_owned()) };
    let numbers = number_bound(&low).zip(number_bound(&high));
    let integer = numbers.as_ref().map(|(low, high)| {
        let from = match low {
            Bound::Included(low) => low.integers_from(false),
            Bound::Excluded(low) => low.integers_from(true),
            Bound::Unbounded => Some(i64::MIN),
        };
        let to = match high {
            Bound::Included(high) => high.integers_to(false),
            Bound::Excluded(high) => high.integers_to(true),
            Bound::Unbounded => Some(i64::MAX),
        };
        from.zip(to).map_or(nothing(), |(from, to)| from..=to)
    });
    let float = numbers.map(|(low, high)| (low.map(|it| it.float), high.map(|it| it.float)));
    Ok(Dynamic { text: TextMatch::Range(low, high), integer, float, flag: None })
}

/// A number as it was written, exact where it is whole.
#[derive(Clone, Copy)]
struct Written {
    integer: Option<i64>,
    float: f64,
}

fn number(text: &str) -> Option<Written> {
    let float = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some(Written { integer: text.parse().ok(), float })
}

fn number_bound(bound: &Bound<String>) -> Option<Bound<Written>> {
    Some(match bound {
        Bound::Included(text) => Bound::Included(number(text)?),
        Bound::Excluded(text) => Bound::Excluded(number(text)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

impl Written {
    /// The smallest whole number that is not below it, or that is above it.
    fn integers_from(&self, above: bool) -> Option<i64> {
        match self.integer {
            Some(number) => number.checked_add(i64::from(above)),
            None if above && self.float.fract() == 0.0 => whole(self.float + 1.0),
            None => whole(self.float.ceil()),
        }
    }

    /// The largest whole number that is not above it, or that is below it.
    fn integers_to(&self, below: bool) -> Option<i64> {
        match self.integer {
            Some(number) => number.checked_sub(i64::from(below)),
            None if below && self.float.fract() == 0.0 => whole(self.float - 1.0),
            None => whole(self.float.floor()),
        }
    }
}

/// A float without a fraction as a whole number, held to the range of ours.
fn whole(float: f64) -> Option<i64> {
    Some(float as i64)
}

/// The beginning of a text, for a message.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).map(|it| if it.is_control() { '?' } else { it }).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
