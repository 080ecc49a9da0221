//! A fault in a query, at its character. Pure.

use std::fmt;

/// What is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Which character of the query the fault begins at, from 0.
    pub at: usize,
    /// How many characters it covers, at least 1.
    pub length: usize,
    /// What is wrong, and what to do: one sentence without the query's text around it.
    pub message: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.at + 1, self.message)
    }
}

impl std::error::Error for QueryError {}

impl QueryError {
    /// The query with a line of marks under the fault, for a terminal. A query of several lines is shown in one.
    pub fn pointed(&self, query: &str) -> String {
        let shown: String = query.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        let marks = "^".repeat(self.length.min(shown.chars().count().saturating_sub(self.at)).max(1));
        format!("{shown}\n{}{marks}\n{self}", " ".repeat(self.at))
    }
}
