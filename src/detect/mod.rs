//! Events → signals (Sigma rules in one matcher), signals → findings (windows). Pure.
//!
//! Deliberately without opinion on what to do about a finding.

mod condition;
mod correlate;
mod matcher;
mod plan;
mod rule;
pub mod sigma;
pub mod window;

pub use condition::{Detection, Node, Part, Pattern, Predicate, Test};
pub use correlate::{Correlator, Moved, Origin, Snapshot, group_of};
pub use matcher::{BuildError, Matcher, Scratch};
pub use plan::{BUCKETS, Plan, PlanKind, Plans, TIMESPAN_DEFAULT, entity_field, is_block};
pub use rule::{
    Body, Comparison, Correlation, CorrelationKind, Example, Examples, Extension, LogSource, Measure, ResponsePlan,
    Rule, Step,
};
