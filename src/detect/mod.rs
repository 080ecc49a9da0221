//! Events → signals (Sigma rules in one matcher), signals → findings (windows). Pure.
//!
//! Deliberately without opinion on what to do about a finding.

mod condition;
mod matcher;
mod rule;
pub mod sigma;

pub use condition::{Detection, Node, Part, Pattern, Predicate, Test};
pub use matcher::{BuildError, Matcher, Scratch};
pub use rule::{
    Body, Comparison, Correlation, CorrelationKind, Example, Examples, Extension, LogSource, Measure, ResponsePlan,
    Rule, Step,
};
