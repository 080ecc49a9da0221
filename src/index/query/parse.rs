//! Query text → [`Query`], by hand, with the character of every fault. Pure.
//!
//! ```text
//! query   = or
//! or      = and { OR and }
//! and     = not { [AND] not }
//! not     = { NOT | - } atom
//! atom    = ( or ) | _exists_:field | field:value | field:( values ) | word | "phrase" | *
//! value   = text | "text" | >text | >=text | <text | <=text | [a TO b] | {a TO b}
//! ```
//!
//! A backslash takes the next character as it is. AND, OR, NOT and TO are words of the language only in capitals.
//! Deliberately without a grammar crate: faults are ours to word.

use std::ops::Bound;

use super::ast::{Query, WordMatch};
use super::error::QueryError;
use super::literal::{Literal, matcher, words};
use super::names::{Known, Name};
use super::pattern::Part;

/// A longer query is refused: it is pasted by accident, or an attack.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// More conditions than this in one query are refused (index-durability sheet §3.7).
pub const CLAUSES_MAX: usize = 1_024;
/// Deeper parentheses and negations than this are refused (index-durability sheet §3.7).
pub const NESTING_MAX: usize = 20;

/// Reads a query. `known` says which fields without a slot exist.
///
/// # Errors
/// The first fault, at its character.
pub fn parse(text: &str, known: &Known) -> Result<Query, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("the query is longer than {QUERY_BYTES_MAX} bytes; ask for less at once");
        return Err(QueryError { at: 0, length: text.chars().count(), message });
    }
    let mut parser = Parser { characters: text.chars().collect(), at: 0, known, clauses: 0, nesting: 0 };
    parser.skip_spaces();
    if parser.peek().is_none() {
        return Ok(Query::All);
    }
    let query = parser.any_of(None)?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.fault(1, "there is no `(` for this `)`".to_owned())),
    }
}

struct Parser<'a> {
    characters: Vec<char>,
    at: usize,
    known: &'a Known,
    clauses: usize,
    nesting: usize,
}

/// A field whose values follow, and where its name began.
type Scope = Option<(Name, usize)>;

impl Parser<'_> {
    fn any_of(&mut self, scope: Scope) -> Result<Query, QueryError> {
        let mut either = vec![self.all_of(scope.clone())?];
        while self.word_ahead("OR") {
            self.take_word("OR")?;
            either.push(self.all_of(scope.clone())?);
        }
        Ok(if either.len() == 1 { either.remove(0) } else { Query::Or(either) })
    }

    fn all_of(&mut self, scope: Scope) -> Result<Query, QueryError> {
        let mut all = vec![self.negatable(scope.clone())?];
        loop {
            self.skip_spaces();
            if self.peek().is_none() || self.peek() == Some(')') || self.word_ahead("OR") {
                break;
            }
            if self.word_ahead("AND") {
                self.take_word("AND")?;
            }
            all.push(self.negatable(scope.clone())?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Query::And(all) })
    }

    fn negatable(&mut self, scope: Scope) -> Result<Query, QueryError> {
        self.skip_spaces();
        let minus = self.peek() == Some('-') && self.characters.get(self.at + 1).is_some_and(|it| !it.is_whitespace());
        if !minus && !self.word_ahead("NOT") {
            return self.atom(scope);
        }
        let start = self.at;
        if minus {
            self.at += 1
        } else {
            self.take_word("NOT")?
        }
        self.deeper(start)?;
        let inner = self.negatable(scope)?;
        self.nesting -= 1;
        Ok(Query::Not(Box::new(inner)))
    }

    fn atom(&mut self, scope: Scope) -> Result<Query, QueryError> {
        self.skip_spaces();
        match self.peek() {
            None => Err(self.fault(1, "something is missing here, at the end".to_owned())),
            Some(')') => Err(self.fault(1, "something is missing before this `)`".to_owned())),
            Some('(') => self.group(scope),
            Some(_) => {
                for word in ["AND", "OR"] {
                    if self.word_ahead(word) {
                        let message = format!("`{word}` needs a condition on both sides; in quotes it is a word");
                        return Err(self.fault(word.len(), message));
                    }
                }
                self.clause(scope)
            }
        }
    }

    fn group(&mut self, scope: Scope) -> Result<Query, QueryError> {
        let open = self.at;
        self.at += 1;
        self.deeper(open)?;
        let inner = self.any_of(scope)?;
        self.nesting -= 1;
        if self.peek() != Some(')') {
            return Err(fault_at(open, 1, "this `(` is never closed".to_owned()));
        }
        self.at += 1;
        Ok(inner)
    }

    fn deeper(&mut self, start: usize) -> Result<(), QueryError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            let message = format!("parentheses and negations are nested more than {NESTING_MAX} deep");
            return Err(fault_at(start, 1, message));
        }
        Ok(())
    }

    fn clause(&mut self, scope: Scope) -> Result<Query, QueryError> {
        let start = self.at;
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            return Err(fault_at(start, 1, format!("the query has more than {CLAUSES_MAX} conditions")));
        }
        if let Some((name, at)) = scope {
            return self.value(name, at);
        }
        let Some(field) = self.field_ahead() else { return self.free_text() };
        self.at += field.chars().count() + 1;
        if field == "_exists_" {
            return self.exists();
        }
        let length = field.chars().count();
        let name = self.known.name(&field).map_err(|message| fault_at(start, length, message))?;
        if self.peek() == Some('(') { self.group(Some((name, start))) } else { self.value(name, start) }
    }

    fn exists(&mut self) -> Result<Query, QueryError> {
        let start = self.at;
        let literal = self.literal()?;
        let Some(field) = literal.plain().filter(|_| !literal.parts.is_empty()) else {
            return Err(fault_at(start, 1, "`_exists_:` needs the name of a field after it".to_owned()));
        };
        let name = self.known.name(&field).map_err(|message| fault_at(start, literal.parts.len(), message))?;
        Ok(Query::Exists(name))
    }

    /// What follows `field:`.
    fn value(&mut self, name: Name, field_at: usize) -> Result<Query, QueryError> {
        let start = self.at;
        let fault = |end: usize, message: String| fault_at(start, end.saturating_sub(start).max(1), message);
        match self.peek() {
            None | Some(' ' | '\t' | '\n' | '\r' | ')') => {
                let message = format!("`{}:` needs a value after it; `*` stands for any", name.as_str());
                Err(fault_at(field_at, start - field_at, message))
            }
            Some('[' | '{') => {
                let (low, high) = self.range()?;
                matcher(&name, low.as_ref(), high.as_ref())
                    .map_err(|message| fault(self.at, message))
                    .map(|it| Query::Is(name, it))
            }
            Some('>' | '<') => {
                let (low, high) = self.comparison()?;
                matcher(&name, low.as_ref(), high.as_ref())
                    .map_err(|message| fault(self.at, message))
                    .map(|it| Query::Is(name, it))
            }
            Some(_) => {
                let literal = self.literal()?;
                if literal.is_any() {
                    return Ok(Query::Exists(name));
                }
                super::literal::equal(&name, &literal)
                    .map_err(|message| fault(self.at, message))
                    .map(|it| Query::Is(name, it))
            }
        }
    }

    fn comparison(&mut self) -> Result<(Bound<Literal>, Bound<Literal>), QueryError> {
        let start = self.at;
        let greater = self.peek() == Some('>');
        self.at += 1;
        let included = self.peek() == Some('=');
        self.at += usize::from(included);
        let literal = self.literal()?;
        if literal.parts.is_empty() {
            return Err(fault_at(start, self.at - start, "a value is missing after the comparison".to_owned()));
        }
        let bound = if included { Bound::Included(literal) } else { Bound::Excluded(literal) };
        Ok(if greater { (bound, Bound::Unbounded) } else { (Bound::Unbounded, bound) })
    }

    /// `[a TO b]`, `{a TO b}`, and either bracket at either end; `*` is no limit.
    fn range(&mut self) -> Result<(Bound<Literal>, Bound<Literal>), QueryError> {
        let open = self.at;
        let low_included = self.peek() == Some('[');
        self.at += 1;
        self.skip_spaces();
        let low = self.literal()?;
        if low.parts.is_empty() || !self.word_ahead("TO") {
            return Err(fault_at(open, (self.at - open).max(1), "a range is written `[low TO high]`".to_owned()));
        }
        self.take_word("TO")?;
        self.skip_spaces();
        let high = self.literal()?;
        self.skip_spaces();
        let high_included = match self.peek() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(fault_at(open, (self.at - open).max(1), "this range is never closed".to_owned())),
        };
        if high.parts.is_empty() {
            return Err(self.fault(1, "the upper end is missing; `*` stands for no limit".to_owned()));
        }
        self.at += 1;
        Ok((bound(low, low_included), bound(high, high_included)))
    }

    fn free_text(&mut self) -> Result<Query, QueryError> {
        let start = self.at;
        let literal = self.literal()?;
        if literal.is_any() {
            return Ok(Query::All);
        }
        let fault = |message: String| fault_at(start, (self.at - start).max(1), message);
        if literal.parts.is_empty() {
            return Err(fault_at(start, 1, format!("`{}` is not expected here", self.characters[start])));
        }
        if literal.has_wildcards() {
            return Ok(Query::Words(WordMatch::Pattern(literal.pattern().map_err(fault)?.lowered())));
        }
        words(&literal).map(|words| Query::Words(WordMatch::Phrase(words))).map_err(fault)
    }

    /// A quoted text, or characters up to a space, a parenthesis, or the end of a range.
    fn literal(&mut self) -> Result<Literal, QueryError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let mut parts = Vec::new();
        while let Some(character) = self.peek() {
            match character {
                '(' | ')' | '"' | '[' | ']' | '{' | '}' => break,
                it if it.is_whitespace() => break,
                '\\' => parts.push(Part::One(self.escaped()?)),
                '*' => parts.push(Part::AnyRun),
                '?' => parts.push(Part::AnyOne),
                it => parts.push(Part::One(it)),
            }
            self.at += 1;
        }
        Ok(Literal { parts, quoted: false })
    }

    fn quoted(&mut self) -> Result<Literal, QueryError> {
        let open = self.at;
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None => return Err(fault_at(open, 1, "this quote is never closed".to_owned())),
                Some('"') => break,
                Some('\\') => parts.push(Part::One(self.escaped()?)),
                Some(it) => parts.push(Part::One(it)),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(Literal { parts, quoted: true })
    }

    /// The character after a backslash; stays on it.
    fn escaped(&mut self) -> Result<char, QueryError> {
        let backslash = self.at;
        self.at += 1;
        self.peek().ok_or_else(|| fault_at(backslash, 1, "nothing follows this backslash; write `\\\\`".to_owned()))
    }

    /// The name before a colon, where one is ahead.
    fn field_ahead(&self) -> Option<String> {
        let is_name = |it: &&char| it.is_alphanumeric() || matches!(it, '_' | '.' | '@' | '-');
        let name: String = self.characters[self.at..].iter().take_while(is_name).collect();
        let colon = self.characters.get(self.at + name.chars().count()) == Some(&':');
        (colon && !name.is_empty()).then_some(name)
    }

    fn word_ahead(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let end = self.at + word.len();
        let there = self.characters.get(self.at..end).is_some_and(|found| found.iter().copied().eq(word.chars()));
        there && self.characters.get(end).is_none_or(|next| next.is_whitespace() || matches!(next, '(' | ')' | '"'))
    }

    /// Takes a word of the language, after which something must follow.
    fn take_word(&mut self, word: &str) -> Result<(), QueryError> {
        let start = self.at;
        self.at += word.len();
        self.skip_spaces();
        match self.peek() {
            None | Some(')') => Err(fault_at(start, word.len(), format!("a condition is missing after `{word}`"))),
            Some(_) => Ok(()),
        }
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn fault(&self, length: usize, message: String) -> QueryError {
        fault_at(self.at, length, message)
    }
}

fn fault_at(at: usize, length: usize, message: String) -> QueryError {
    QueryError { at, length, message }
}

fn bound(literal: Literal, included: bool) -> Bound<Literal> {
    match (literal.is_any(), included) {
        (true, _) => Bound::Unbounded,
        (false, true) => Bound::Included(literal),
        (false, false) => Bound::Excluded(literal),
    }
}
