//! What the file said and where, so that each value can name its origin. Pure.

use std::collections::BTreeSet;
use std::fmt;

use crate::document::{self, Document, Fault, Faults, Node};

use super::{Config, substitute};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File {
        path: String,
        line: usize,
    },
    /// The file names a variable, and the environment gave its value.
    Environment,
}

/// A place in the configuration's file, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub line: usize,
    pub column: usize,
}

/// The file as it was written, variables filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) document: Option<Document>,
    /// The places of values that the environment gave.
    environment: BTreeSet<(usize, usize)>,
}

impl Written {
    /// Parses the text and fills the variables in; `None` where it is not one readable document.
    pub(super) fn of(
        path: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        faults: &mut Faults,
    ) -> Option<Written> {
        let mut documents = match document::parse(path, text) {
            Ok(documents) => documents.into_iter(),
            Err(fault) if fault.text.contains("${") && fault.suggestion.is_none() => {
                faults.push(fault.suggest("a `${VARIABLE}` inside { } or [ ] needs quotes around it"));
                return None;
            }
            Err(fault) => {
                faults.push(fault);
                return None;
            }
        };
        let mut first = documents.next();
        if let Some(second) = documents.next() {
            let message = "a configuration is one document; remove the line `---` and what is given twice";
            faults.at(&second.source, &second.root, message);
        }
        let mut places = BTreeSet::new();
        if let Some(document) = &mut first {
            substitute::fill(document, environment, &mut places, faults);
        }
        Some(Written { document: first, environment: places })
    }

    fn node(&self, key: &str) -> Option<&Node> {
        let root = &self.document.as_ref()?.root;
        let found = key.split('.').try_fold(root, |node, part| node.get(part))?;
        (found.kind != document::Kind::Null).then_some(found)
    }
}

impl Config {
    /// Where the value of a dotted key came from.
    pub fn origin(&self, key: &str) -> Origin {
        let (Some(node), Some(document)) = (self.written.node(key), &self.written.document) else {
            return Origin::Default;
        };
        if self.written.environment.contains(&(node.line, node.column)) {
            return Origin::Environment;
        }
        Origin::File { path: document.source.path.clone(), line: node.line }
    }

    /// Where the value of a dotted key stands, if the file gives it.
    pub fn spot(&self, key: &str) -> Option<Spot> {
        self.written.node(key).map(Spot::of)
    }

    /// A fault at a place of the configuration's file.
    pub fn fault(&self, spot: Option<Spot>, message: impl Into<String>) -> Fault {
        match (&self.written.document, spot) {
            (Some(document), Some(spot)) => Fault::at(&document.source, spot.line, spot.column, message),
            (Some(document), None) => Fault::of_file(&document.source.path, message),
            (None, _) => Fault::of_file("configuration", message),
        }
    }
}

impl Spot {
    pub(super) fn of(node: &Node) -> Spot {
        Spot { line: node.line, column: node.column }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Environment => f.write_str("environment"),
        }
    }
}
