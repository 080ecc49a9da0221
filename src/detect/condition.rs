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
    Not(Box<Node>),
    Test(Test),
}

/// One test of one or several fields (a Sigma name may map to several ECS fields: any of them may hold).
#[derive(Clone, Debug)]
pub struct Test {
    pub fields: Vec<Field>,
    pub predicate: Predicate,
}

/// What a test asks of a field's value.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// Text against literals and wildcards.
    Text {
        pattern: Pattern,
        cased: bool,
    },
    /// A regular expression; compiled size is limited.
    Regex(regex::Regex),
    Number(super::rule::Comparison, f64),
    Cidr(ipnet::IpNet),
    Exists(bool),
    /// `null`: the field is missing.
    Missing,
    /// `''`: the field is there and empty.
    Empty,
}

/// A text pattern: literal parts with `*` between and `?` inside.
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
