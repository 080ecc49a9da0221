//! Where in its file a rule or pipeline says something, for faults that are found after reading. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detect::Rule;
use crate::document::{Fault, Node, Source};

use super::{File, Maker};

/// The texts of all files by path.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: BTreeMap<String, (Arc<Source>, Maker)>,
    /// Names and ids of rules that could not be read.
    broken: BTreeSet<String>,
}

impl Sources {
    pub(super) fn add(&mut self, file: &File) {
        let source = Arc::new(Source { path: file.path.clone(), text: file.text.clone() });
        self.files.insert(file.path.clone(), (source, file.maker));
    }

    /// Notes a rule that could not be read.
    pub(super) fn add_broken(&mut self, root: &Node) {
        let words = ["name", "id"].into_iter().filter_map(|key| root.get(key).and_then(Node::text));
        self.broken.extend(words.map(str::to_owned));
    }

    /// Whether a rule of this name or id could not be read.
    pub(super) fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name)
    }

    /// Who wrote the file of this path; a path that is not known is a user's.
    pub(super) fn maker(&self, path: &str) -> Maker {
        self.files.get(path).map_or(Maker::User, |(_, maker)| *maker)
    }

    /// A fault of a rule, at the first line of its document that says `word`, or else where the document starts.
    pub(super) fn fault(&self, rule: &Rule, word: &str, message: impl Into<String>) -> Fault {
        let Some((source, _)) = self.files.get(&rule.path) else { return Fault::of_file(&rule.path, message) };
        let (line, column) = find(&source.text, rule.line.max(1), word).unwrap_or((rule.line.max(1), 1));
        Fault::at(source, line, column, message)
    }
}

/// Line and column, both from 1, of a word in the document that starts on line `from`.
fn find(text: &str, from: usize, word: &str) -> Option<(usize, usize)> {
    if word.is_empty() {
        return None;
    }
    let lines = text.lines().enumerate().skip(from - 1);
    let document = lines.take_while(|(i, line)| *i < from || !line.starts_with("---"));
    document
        .filter(|(_, line)| !line.trim_start().starts_with('#'))
        .find_map(|(i, line)| whole_word(line, word).map(|byte| (i + 1, line[..byte].chars().count() + 1)))
}

/// Where a word stands in a line, not as a part of a longer one.
fn whole_word(line: &str, word: &str) -> Option<usize> {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.');
    line.match_indices(word)
        .map(|(byte, _)| byte)
        .find(|byte| !part(line[..*byte].chars().next_back()) && !part(line[byte + word.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_it() {
        let text = "name: other\n---\nname: a_b\n# b\nrules:\n  - b\n---\nx: b\n";
        assert_eq!(find(text, 3, "b"), Some((6, 5)));
        assert_eq!(find(text, 3, "c"), None);
        assert_eq!(find(text, 1, "b"), None);
    }
}
