//! What a query asks, after parsing: nothing here can be wrong any more. Pure.

use std::ops::{Bound, RangeInclusive};

use super::names::Name;
use super::pattern::Pattern;

/// A question about one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Every event.
    All,
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
    /// The field has a value.
    Exists(Name),
    /// One of the field's values fits.
    Is(Name, Matcher),
    /// Free text: in target, agent or message.
    Words(WordMatch),
}

/// What a value is held against, by the kind of its field.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    Text(TextMatch),
    /// Whole numbers, both ends included; times are milliseconds since the epoch.
    Integer(RangeInclusive<i64>),
    /// Addresses as numbers, IPv4 mapped into IPv6, both ends included.
    Address(RangeInclusive<u128>),
    /// A field without a slot: whatever kind its value has.
    Dynamic(Dynamic),
}

/// What a text is held against; letters by case, as in ECS keyword fields.
#[derive(Clone, Debug, PartialEq)]
pub enum TextMatch {
    Exact(String),
    Pattern(Pattern),
    /// By the order of bytes.
    Range(Bound<String>, Bound<String>),
}

/// A value of unknown kind. A text fits by `text`, a number by the number that was written, a flag by `true`, `false`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamic {
    pub text: TextMatch,
    pub integer: Option<RangeInclusive<i64>>,
    pub float: Option<(Bound<f64>, Bound<f64>)>,
    pub flag: Option<bool>,
}

/// Words of free text, lowered.
#[derive(Clone, Debug, PartialEq)]
pub enum WordMatch {
    /// These words, one after the other.
    Phrase(Vec<String>),
    /// One word of this form.
    Pattern(Pattern),
}

impl TextMatch {
    /// Whether `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            TextMatch::Exact(wanted) => text == wanted,
            TextMatch::Pattern(pattern) => pattern.fits(text),
            TextMatch::Range(low, high) => after(low, text) && before(high, text),
        }
    }
}

impl Dynamic {
    /// Whether a whole number fits.
    pub fn fits_integer(&self, number: i64) -> bool {
        self.integer.as_ref().is_some_and(|range| range.contains(&number))
    }

    /// Whether a number with a fraction fits.
    pub fn fits_float(&self, number: f64) -> bool {
        let Some((low, high)) = &self.float else { return false };
        let above = match low {
            Bound::Included(low) => number >= *low,
            Bound::Excluded(low) => number > *low,
            Bound::Unbounded => true,
        };
        let below = match high {
            Bound::Included(high) => number <= *high,
            Bound::Excluded(high) => number < *high,
            Bound::Unbounded => true,
        };
        above && below
    }

    /// Whether a flag fits.
    pub fn fits_flag(&self, flag: bool) -> bool {
        self.flag == Some(flag)
    }
}

fn after(low: &Bound<String>, text: &str) -> bool {
    match low {
        Bound::Included(low) => text >= low.as_str(),
        Bound::Excluded(low) => text > low.as_str(),
        Bound::Unbounded => true,
    }
}

fn before(high: &Bound<String>, text: &str) -> bool {
    match high {
        Bound::Included(high) => text <= high.as_str(),
        Bound::Excluded(high) => text < high.as_str(),
        Bound::Unbounded => true,
    }
}
