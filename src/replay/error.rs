//! Why a replay ends early, and with which exit status. I/O.
//!
//! Each message says what, where and what to do. Deliberately without a chain of causes: the reader can act on one.

use std::fmt;

use crate::catalog::Catalog;
use crate::document::nearest;

/// Why a replay ends early.
#[derive(Debug)]
pub enum ReplayError {
    /// The input, a rule, a pipeline or the configuration is at fault: status 1.
    Input(Problem),
    /// The command line is at fault: status 2.
    Usage(Problem),
    /// Disk, permission or another part of the machine is at fault: status 3.
    Environment(Problem),
    /// Somebody asked to stop: status 130.
    Interrupted,
}

/// What is wrong, where, and what to do.
#[derive(Debug)]
pub struct Problem {
    /// The file, option or name it concerns.
    pub subject: String,
    /// A lower-case fragment.
    pub what: String,
    pub advice: String,
}

impl ReplayError {
    /// The input is at fault.
    pub fn input(subject: &str, what: impl Into<String>, advice: impl Into<String>) -> ReplayError {
        ReplayError::Input(Problem { subject: subject.to_owned(), what: what.into(), advice: advice.into() })
    }

    /// The command line is at fault.
    pub fn usage(subject: &str, what: impl Into<String>, advice: impl Into<String>) -> ReplayError {
        ReplayError::Usage(Problem { subject: subject.to_owned(), what: what.into(), advice: advice.into() })
    }

    /// The machine is at fault.
    pub fn environment(subject: &str, what: impl Into<String>, advice: impl Into<String>) -> ReplayError {
        ReplayError::Environment(Problem { subject: subject.to_owned(), what: what.into(), advice: advice.into() })
    }

    /// A pipeline that the catalog does not have; says which it has.
    pub fn unknown_pipeline(name: &str, catalog: &Catalog) -> ReplayError {
        let names: Vec<&str> = catalog.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
        let advice = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("pipelines there are: {}", names.join(", ")),
        };
        ReplayError::input(name, "there is no such pipeline", advice)
    }

    /// The exit status (outputs sheet).
    pub fn status(&self) -> u8 {
        match self {
            ReplayError::Input(_) => 1,
            ReplayError::Usage(_) => 2,
            ReplayError::Environment(_) => 3,
            ReplayError::Interrupted => 130,
        }
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Input(problem) | ReplayError::Usage(problem) | ReplayError::Environment(problem) => {
                write!(f, "{}: {}", problem.subject, problem.what)?;
                if problem.advice.is_empty() { Ok(()) } else { write!(f, "\n  = {}", problem.advice) }
            }
            ReplayError::Interrupted => f.write_str("interrupted: nothing was written"),
        }
    }
}

impl std::error::Error for ReplayError {}
