//! YAML text → positioned trees, over granit-parser's events. Pure.
//!
//! The only place that knows the YAML library. Hostile text is the normal case: size, depth and node count are
//! limited, aliases and tags are refused (dependencies sheet §2).

use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::fault::Fault;

/// SigmaHQ's largest rule is 30 KB; a file beyond this is not one that a person wrote.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Our deepest schema has eight levels.
pub const DEPTH_MAX: usize = 32;
/// SigmaHQ's largest rule has 1,200 nodes.
pub const NODES_MAX: usize = 10_000;

/// A file: how it is named in messages, and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// One YAML document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    pub source: Arc<Source>,
    pub root: Node,
}

/// A node and where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub kind: Kind,
}

/// What a node is. Scalars keep their text; a plain empty, `~` or `null` scalar is [`Kind::Null`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; keys are scalars and occur once.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar, quoted or not.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v),
            Kind::Null | Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }

    /// The nodes of a list; a single node counts as a list of one, null as an empty list.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            Kind::Scalar { .. } | Kind::Map(_) => std::slice::from_ref(self),
        }
    }

    /// What the node is, for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar { .. } => "a value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Parses every document of a file.
///
/// # Errors
/// The first fault of the text: a syntax error, an alias, a tag, a key twice, or a limit.
pub fn parse(path: &str, text: &str) -> Result<Vec<Document>, Fault> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("file of {} bytes is over the limit of {FILE_BYTES_MAX}", text.len());
        return Err(Fault::of_file(path, message));
    }
    let source = Arc::new(Source { path: path.to_owned(), text: text.to_owned() });
    let mut builder = Builder { source: Arc::clone(&source), stack: Vec::new(), roots: Vec::new(), nodes: 0 };
    for next in Parser::new_from_str(&source.text) {
        match next {
            Ok((event, span)) => builder.take(event, &span)?,
            Err(error) => {
                let mark = error.marker();
                let message = format!("not valid YAML: {}", error.info());
                return Err(Fault::at(&source, mark.line(), mark.col() + 1, message));
            }
        }
    }
    let roots = builder.roots.into_iter();
    Ok(roots.map(|root| Document { source: Arc::clone(&source), root }).collect())
}

/// A collection that is still open: its node, and for maps the key that waits for its value.
struct Open {
    node: Node,
    key: Option<Node>,
}

struct Builder {
    source: Arc<Source>,
    stack: Vec<Open>,
    roots: Vec<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span)?;
                let kind = scalar(text.into_owned(), style);
                self.place(Self::node(kind, span))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span)?;
                self.open(Kind::List(Vec::new()), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), span)?;
                self.open(Kind::Map(Vec::new()), span)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(open) => self.place(open.node),
                None => Ok(()),
            },
            Event::Alias(_) => Err(self.fault(span, "aliases are not allowed; write the value out")),
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Comment(..)
            | _ => Ok(()),
        }
    }

    fn node(kind: Kind, span: &Span) -> Node {
        Node { line: span.start.line(), column: span.start.col() + 1, kind }
    }

    fn fault(&self, span: &Span, message: &str) -> Fault {
        Fault::at(&self.source, span.start.line(), span.start.col() + 1, message)
    }

    fn refuse_extras(&mut self, anchor: usize, tagged: bool, span: &Span) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.fault(span, &format!("more than {NODES_MAX} values in one file")));
        }
        if anchor != 0 {
            return Err(self.fault(span, "anchors are not allowed; write the value where it is needed"));
        }
        if tagged {
            return Err(self.fault(span, "tags such as !!str are not allowed; quote the value instead"));
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, span: &Span) -> Result<(), Fault> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.fault(span, &format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.stack.push(Open { node: Self::node(kind, span), key: None });
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), Fault> {
        let Some(open) = self.stack.last_mut() else {
            self.roots.push(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some(key)) => entries.push((key, node)),
            (Kind::Map(entries), None) => {
                check_key(&self.source, entries, &node)?;
                open.key = Some(node);
            }
            (Kind::Null | Kind::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn check_key(source: &Source, entries: &[(Node, Node)], key: &Node) -> Result<(), Fault> {
    let Some(name) = key.text() else {
        return Err(Fault::at(source, key.line, key.column, "a key must be a plain word"));
    };
    match entries.iter().find(|(other, _)| other.text() == Some(name)) {
        Some((first, _)) => {
            let message = format!("key `{name}` is given twice; the first is on line {}", first.line);
            Err(Fault::at(source, key.line, key.column, message))
        }
        None => Ok(()),
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Kind::Null;
    }
    Kind::Scalar { text, quoted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse("t.yml", text).expect_err("must be refused").to_string()
    }

    #[test]
    fn keeps_text_and_place() {
        let documents = parse("t.yml", "a: no\nb:\n  - 0777\n  - 'x'\n---\nc: ~\n").unwrap();
        assert_eq!(documents.len(), 2);
        let b = documents[0].root.get("b").unwrap();
        assert_eq!(b.items()[0].text(), Some("0777"));
        assert_eq!((b.items()[1].line, b.items()[1].column), (4, 5));
        assert_eq!(documents[0].root.get("a").unwrap().text(), Some("no"));
        assert_eq!(documents[1].root.get("c").unwrap().kind, Kind::Null);
    }

    #[test]
    fn refuses_what_hides_meaning_or_grows() {
        assert!(fault("a: 1\na: 2\n").contains("given twice; the first is on line 1"));
        assert!(fault("a: &x 1\nb: *x\n").contains("anchors are not allowed"));
        assert!(fault("a: !!str 1\n").contains("tags such as"));
        assert!(fault(&"- ".repeat(100_000)).contains("deeper"));
        assert!(fault(&"[".repeat(100_000)).starts_with("t.yml:1:"));
        assert!(fault(&"- 1\n".repeat(NODES_MAX + 1)).contains("more than"));
        assert!(fault(&"x".repeat(FILE_BYTES_MAX + 1)).contains("over the limit"));
        assert!(fault("a: [1\n").contains("not valid YAML"));
    }
}
