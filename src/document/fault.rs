//! What is wrong with a file, said so that the reader can act. Pure.

use std::fmt;
use std::sync::Arc;

use super::yaml::{Node, Source};

/// A reader mends ten faults at a time; beyond this many the rest are counted only.
pub const FAULTS_MAX: usize = 200;
/// A quoted line is cut here: it is for finding the place, not for reading the file.
const QUOTED_CHARS_MAX: usize = 160;

/// One fault: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub path: String,
    /// From 1; 0 where the fault concerns the file as a whole.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself, cut to a readable length, without control characters.
    pub text: String,
    /// A lower-case fragment: what is wrong.
    pub message: String,
    /// What to do, if anything better than "mend it" is known.
    pub suggestion: Option<String>,
}

/// Faults as they are found, so that all of them are reported at once.
#[derive(Debug, Default)]
pub struct Faults {
    pub list: Vec<Fault>,
    /// How many more there were than [`FAULTS_MAX`].
    pub dropped: usize,
}

impl Fault {
    /// A fault of a file as a whole.
    pub fn of_file(path: &str, message: impl Into<String>) -> Fault {
        Fault {
            path: path.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// A fault at a line and column of a source.
    pub fn at(source: &Source, line: usize, column: usize, message: impl Into<String>) -> Fault {
        let text = source.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        Fault { path: source.path.clone(), line, column, text: quoted(text), message: message.into(), suggestion: None }
    }

    /// The same fault with advice.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Fault {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl Faults {
    /// Notes a fault at a node.
    pub fn at(&mut self, source: &Arc<Source>, node: &Node, message: impl Into<String>) {
        self.push(Fault::at(source, node.line, node.column, message));
    }

    /// Notes a fault at a node, with advice.
    pub fn at_with(
        &mut self,
        source: &Arc<Source>,
        node: &Node,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(Fault::at(source, node.line, node.column, message).suggest(advice));
    }

    /// Notes a fault.
    pub fn push(&mut self, fault: Fault) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(fault);
        } else {
            self.dropped += 1;
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A line as it is quoted: cut, and each control character one space, so that a caret below it still points right.
fn quoted(line: &str) -> String {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    line.chars().take(QUOTED_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The candidate most like `word`, where one is like it enough to be what was meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

/// All faults, one below the other.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.list.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        if self.dropped > 0 { write!(f, "\nand {} more", self.dropped) } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.message)?;
        } else {
            write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)?;
            write!(f, "\n  | {}", self.text)?;
            // Beyond the cut the caret would point at nothing; the column is said above.
            if self.column <= QUOTED_CHARS_MAX {
                write!(f, "\n  | {}^", " ".repeat(self.column.saturating_sub(1)))?;
            }
        }
        self.suggestion.iter().try_for_each(|advice| write!(f, "\n  = {advice}"))
    }
}
