//! `condition:` → a tree over selections, by recursive descent. Pure.
//!
//! or → and → not → primary; a primary is a parenthesis, a selection, or `N of` / `all of` some selections.

use std::sync::Arc;

use crate::document::{Fault, Faults, Kind, Node as Yaml, Source, nearest};

use super::super::condition::Node;
use super::selection::{Selection, one_or};

/// No rule of SigmaHQ nests deeper than four; each level costs stack here and in the matcher.
const DEPTH_MAX: usize = 32;
/// SigmaHQ's longest condition has 400 bytes.
const CONDITION_BYTES_MAX: usize = 8 * 1024;
/// Selections are copied into the tree where they are named; SigmaHQ's largest rule has 1,300 tests.
const TESTS_MAX: usize = 20_000;

/// Reads one condition. `None` where a fault was noted, here or in a selection it names.
pub(super) fn condition(
    source: &Arc<Source>,
    yaml: &Yaml,
    selections: &[Selection<'_>],
    faults: &mut Faults,
) -> Option<Node> {
    let Some(text) = yaml.text() else {
        faults.at(source, yaml, format!("`condition` must be a text, not {}", yaml.describe()));
        return None;
    };
    let read = tokens(text).and_then(|tokens| {
        let mut parser =
            Parser { tokens: &tokens, at: 0, end: text.len(), depth: 0, tests: 0, selections, whole: true };
        let node = parser.any()?;
        match parser.peek() {
            Some(token) => Err(unexpected(token)),
            None => Ok((node, parser.whole)),
        }
    });
    match read {
        Ok((node, whole)) => whole.then_some(node),
        Err(wrong) => {
            let (line, column) = place(source, yaml, text, wrong.start);
            faults.push(Fault::at(source, line, column, wrong.message).suggest(wrong.advice));
            None
        }
    }
}

const CORRELATE: &str = "count in a correlation (`type: event_count`, `rules`, `group-by`, `timespan`, `condition`) \
                         in a document of its own";

/// A fault in the text of a condition.
struct Wrong {
    start: usize,
    message: String,
    advice: String,
}

impl Wrong {
    fn at(start: usize, message: impl Into<String>, advice: impl Into<String>) -> Wrong {
        Wrong { start, message: message.into(), advice: advice.into() }
    }
}

/// A word where a part has ended.
fn unexpected(token: Token<'_>) -> Wrong {
    match token.word {
        "near" => Wrong::at(token.start, "`near` is gone from Sigma", CORRELATE),
        word => Wrong::at(token.start, format!("unexpected `{word}`"), "join two parts with `and` or `or`"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    word: &'t str,
    start: usize,
}

/// Where a byte of the condition stands in the file: exactly where it is written on one line, else its start.
fn place(source: &Source, yaml: &Yaml, text: &str, start: usize) -> (usize, usize) {
    let line = source.text.lines().nth(yaml.line.saturating_sub(1)).unwrap_or_default();
    let Kind::Scalar { .. } = yaml.kind else { return (yaml.line, yaml.column) };
    let from = line.char_indices().nth(yaml.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    match line[from..].find(text) {
        Some(at) => (yaml.line, line[..from + at + start].chars().count() + 1),
        None => (yaml.line, yaml.column),
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Wrong> {
    if text.len() > CONDITION_BYTES_MAX {
        let message = format!("a condition of {} bytes is over the limit of {CONDITION_BYTES_MAX}", text.len());
        return Err(Wrong::at(0, message, "name selections alike and write `1 of name*`"));
    }
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '*' | '?' | '.');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(next) = rest.chars().next() {
        let start = text.len() - rest.len();
        let length = match next {
            '(' | ')' => 1,
            '|' => return Err(Wrong::at(start, "aggregations such as `| count()` are gone from Sigma", CORRELATE)),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            other => {
                let advice = "a condition holds names, and, or, not, of and parentheses";
                return Err(Wrong::at(start, format!("unexpected `{other}`"), advice));
            }
        };
        tokens.push(Token { word: &rest[..length], start });
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'t, 's> {
    tokens: &'t [Token<'t>],
    at: usize,
    /// Bytes of the text: where a missing token would stand.
    end: usize,
    depth: usize,
    tests: usize,
    selections: &'s [Selection<'s>],
    /// Whether every selection named so far could be read.
    whole: bool,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.word.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Node, Wrong> {
        let mut nodes = vec![self.all()?];
        while self.take("or") {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Wrong> {
        let mut nodes = vec![self.not()?];
        while self.take("and") {
            nodes.push(self.not()?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn not(&mut self) -> Result<Node, Wrong> {
        if !self.take("not") {
            return self.primary();
        }
        self.deeper()?;
        let node = self.not()?;
        self.depth -= 1;
        Ok(Node::Not(Box::new(node)))
    }

    fn deeper(&mut self) -> Result<(), Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let start = self.peek().map_or(self.end, |token| token.start);
            return Err(Wrong::at(start, format!("nested deeper than {DEPTH_MAX} levels"), "write it flatter"));
        }
        Ok(())
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        let Some(token) = self.peek() else {
            return Err(Wrong::at(self.end, "the condition ends too early", "a selection's name must follow"));
        };
        self.at += 1;
        match token.word {
            "(" => self.parenthesis(token),
            ")" => Err(Wrong::at(token.start, "unexpected `)`", "a selection's name must stand here")),
            word if self.take("of") => self.quantified(token, word),
            word => self.named(token, word),
        }
    }

    fn parenthesis(&mut self, open: Token<'_>) -> Result<Node, Wrong> {
        self.deeper()?;
        let node = self.any()?;
        self.depth -= 1;
        if self.take(")") {
            return Ok(node);
        }
        match self.peek() {
            Some(token) => Err(unexpected(token)),
            None => Err(Wrong::at(open.start, "this parenthesis is not closed", "add `)`")),
        }
    }

    /// `1 of x*`, `all of them` and their kind.
    fn quantified(&mut self, token: Token<'_>, quantity: &str) -> Result<Node, Wrong> {
        let Some(pattern) = self.peek() else {
            return Err(Wrong::at(self.end, "the condition ends too early", "write `1 of name*` or `1 of them`"));
        };
        self.at += 1;
        let fits = |name: &str| match pattern.word {
            word if word.eq_ignore_ascii_case("them") => !name.starts_with('_'),
            word => glob(word, name),
        };
        let chosen: Vec<&Selection<'_>> = self.selections.iter().filter(|found| fits(found.name)).collect();
        if chosen.is_empty() {
            return Err(Wrong::at(pattern.start, format!("no selection is called `{}`", pattern.word), self.known()));
        }
        let count = match quantity {
            "1" | "any" => 1,
            "all" => chosen.len(),
            _ => quantity.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
                Wrong::at(token.start, format!("`{quantity} of` is no quantity"), "write `1 of`, `2 of` or `all of`")
            })?,
        };
        if count > chosen.len() {
            let message = format!("`{quantity} of {}` can never hold: there are {}", pattern.word, chosen.len());
            return Err(Wrong::at(token.start, message, "lower the number"));
        }
        let total = chosen.len();
        let nodes = chosen.into_iter().map(|found| self.copy(token, found)).collect::<Result<Vec<_>, _>>()?;
        Ok(one_or(nodes, |nodes| match count {
            1 => Node::Any(nodes),
            _ if count == total => Node::All(nodes),
            _ => Node::AtLeast(count, nodes),
        }))
    }

    fn named(&mut self, token: Token<'_>, word: &str) -> Result<Node, Wrong> {
        let selections = self.selections;
        match selections.iter().find(|found| found.name == word) {
            Some(found) => self.copy(token, found),
            None => {
                let near = nearest(word, selections.iter().map(|found| found.name));
                let advice = near.map_or_else(|| self.known(), |near| format!("did you mean `{near}`?"));
                Err(Wrong::at(token.start, format!("no selection is called `{word}`"), advice))
            }
        }
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.selections.iter().map(|found| found.name).collect();
        if names.is_empty() {
            return "this rule has no selection: write one beside `condition`".to_owned();
        }
        format!("selections here: {}", names.join(", "))
    }

    fn copy(&mut self, token: Token<'_>, selection: &Selection<'_>) -> Result<Node, Wrong> {
        let Some(node) = &selection.node else {
            self.whole = false;
            return Ok(Node::Any(Vec::new()));
        };
        self.tests += tests_of(node);
        if self.tests > TESTS_MAX {
            let message = format!("more than {TESTS_MAX} tests in one rule");
            return Err(Wrong::at(token.start, message, "name each selection once, or split the rule"));
        }
        Ok(node.clone())
    }
}

fn tests_of(node: &Node) -> usize {
    match node {
        Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => nodes.iter().map(tests_of).sum(),
        Node::Not(node) => tests_of(node),
        Node::Test(_) => 1,
    }
}

/// Whether a name fits a pattern with `*`.
fn glob(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}
