//! The condition of a plain Sigma rule: a tree over tests of fields. Pure data.

use crate::event::Field;

/// A detection: its condition, all selections resolved.
#[derive(Clone, Debug)]
pub struct Detection {
    pub condition: Node,
}

/// A part of a condition.
#[derive(Clone, Debug)]
pub enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    /// At least so many of them hold: `2 of selection*`.
    AtLeast(usize, Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

/// One test of one or several fields (a Sigma name may map to several ECS fields: any of them may hold, and absence
/// means that none of them is there).
#[derive(Clone, Debug)]
pub struct Test {
    pub fields: Vec<Field>,
    pub predicate: Predicate,
}

/// What a test asks of a field's value.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// Text against literals and wildcards; without `cased` both sides are folded to lower case first.
    Text { pattern: Pattern, cased: bool },
    /// A regular expression; compiled size is limited.
    Regex(regex::Regex),
    /// The value as a number against a threshold; a value that is no number does not hold.
    Number(super::rule::Comparison, f64),
    /// The value as an address inside a network; a value that is no address does not hold.
    Cidr(ipnet::IpNet),
    /// The field is there, or is not.
    Exists(bool),
    /// `null`: the field is missing.
    Missing,
    /// `''`: the field is there and empty.
    Empty,
}

/// A text pattern, compared with the whole value: `contains` is a pattern with [`Part::AnyRun`] at both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub parts: Vec<Part>,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// `?`: one character.
    AnyOne,
    /// `*`: any characters.
    AnyRun,
}
