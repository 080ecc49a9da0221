//! What collecting has to say to whoever runs the node, and why it did not start. Pure.
//!
//! Each names what is wrong, where, and what to do. Deliberately without a logger: the node decides where warnings go.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::journal::JournalError;

/// So many different warnings are remembered as said; beyond them all may be said again.
const SAID_MAX: usize = 4_096;

/// Something that somebody should look after; collecting goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, pattern or address it concerns.
    pub subject: String,
    /// A lower-case fragment.
    pub what: String,
    pub advice: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  = {}", self.subject, self.what, self.advice)
    }
}

/// Who is told of warnings; called from any thread of the collector, so it must not wait for one.
pub type Listener = Arc<dyn Fn(Warning) + Send + Sync>;

/// Why collecting did not start.
#[derive(Debug, Error)]
pub enum CollectError {
    /// The pattern of a `file:` is none.
    #[error(
        "{pattern}: is no pattern: {why}\n  = `*` stands for any name, `?` for one character, `[a-c]` for one of these"
    )]
    Pattern { pattern: String, why: String },
    /// The address of a `syslog:` cannot be listened on.
    #[error("{address}: cannot listen for syslog over {protocol}: {why}\n  = {advice}")]
    Listen { address: String, protocol: &'static str, why: String, advice: &'static str },
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system gives no more threads.
    #[error("cannot start a thread: {why}\n  = raise the limit of processes or threads of this user")]
    Thread { why: String },
}

/// Says each warning once, until what it was about works again.
pub struct Warner {
    listener: Listener,
    said: BTreeSet<(String, String)>,
}

impl Warner {
    /// Tells `listener`.
    pub fn new(listener: Listener) -> Warner {
        Warner { listener, said: BTreeSet::new() }
    }

    /// Says it, unless it was said and never [`Warner::resolve`]d.
    pub fn warn(&mut self, subject: &str, what: impl Into<String>, advice: impl Into<String>) {
        let warning = Warning { subject: subject.to_owned(), what: what.into(), advice: advice.into() };
        if self.said.len() >= SAID_MAX {
            self.said.clear();
        }
        if self.said.insert((warning.subject.clone(), warning.what.clone())) {
            (self.listener)(warning);
        }
    }

    /// `subject` works: the next warning about it is news.
    pub fn resolve(&mut self, subject: &str) {
        while let Some(said) = self.said.range((subject.to_owned(), String::new())..).next() {
            if said.0 != subject {
                break;
            }
            let said = said.clone();
            self.said.remove(&said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_warning_is_said_once_until_it_is_resolved() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        let mut warner = Warner::new(Arc::new(move |warning| listener.lock().unwrap().push(warning.to_string())));
        warner.warn("a", "is shut", "open it");
        warner.warn("a", "is shut", "open it");
        warner.warn("ab", "is shut", "open it");
        warner.resolve("a");
        warner.warn("a", "is shut", "open it");
        warner.warn("ab", "is shut", "open it");
        assert_eq!(
            *heard.lock().unwrap(),
            ["a: is shut\n  = open it", "ab: is shut\n  = open it", "a: is shut\n  = open it"]
        );
    }
}
