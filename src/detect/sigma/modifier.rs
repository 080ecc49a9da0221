//! A field's modifiers, and what they make of its values. Pure.

use std::sync::Arc;

use regex::RegexBuilder;

use crate::document::{Faults, Kind, Node as Yaml, Source, nearest};

use super::super::condition::{Part, Predicate};
use super::super::rule::Comparison;
use super::encode::{Wide, base64, base64_offsets, dashes, wide};
use super::value::{Place, parts, placed};

/// Longer patterns are generated ones; a list of values says the same and compiles into the shared scan.
const REGEX_BYTES_MAX: usize = 4 * 1024;
/// The compiled size of one pattern: `\w{1000}` and its kind are refused, whatever they look like.
const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// All that is supported, as it is listed in a fault.
const SUPPORTED: &[&str] = &[
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "cidr",
    "exists",
    "gt",
    "gte",
    "lt",
    "lte",
    "cased",
    "neq",
    "windash",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
];

/// What kind of test the values are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Text,
    Regex,
    Cidr,
    Exists,
    Number(Comparison),
}

/// A field's modifiers, understood.
#[derive(Clone, Debug)]
pub(super) struct Modifiers {
    test: Test,
    place: Place,
    /// All values must hold, not any.
    pub(super) all: bool,
    /// The whole is negated.
    pub(super) negated: bool,
    cased: bool,
    windash: bool,
    wide: Option<Wide>,
    base64: bool,
    base64_offset: bool,
    flags: String,
}

impl Modifiers {
    /// Reads the words after a field's name. `Err` is the fault's message and advice.
    pub(super) fn parse<'k>(words: impl Iterator<Item = &'k str>) -> Result<Modifiers, (String, String)> {
        let mut modifiers = Modifiers {
            test: Test::Text,
            place: Place::Whole,
            all: false,
            negated: false,
            cased: false,
            windash: false,
            wide: None,
            base64: false,
            base64_offset: false,
            flags: String::new(),
        };
        for word in words {
            modifiers.add(word)?;
        }
        modifiers.check()?;
        Ok(modifiers)
    }

    /// For a value that may stand anywhere: keywords.
    pub(super) fn anywhere(mut self) -> Modifiers {
        if self.test == Test::Text {
            self.place = Place::Anywhere;
        }
        self
    }

    fn add(&mut self, word: &str) -> Result<(), (String, String)> {
        match word {
            "contains" => self.place(Place::Anywhere)?,
            "startswith" => self.place(Place::Start)?,
            "endswith" => self.place(Place::End)?,
            "all" => self.all = true,
            "neq" => self.negated = true,
            "cased" => self.cased = true,
            "windash" => self.windash = true,
            "utf16le" | "wide" => self.wide = Some(Wide::LittleEndian),
            "utf16be" => self.wide = Some(Wide::BigEndian),
            "utf16" => self.wide = Some(Wide::Marked),
            "base64" => self.base64 = true,
            "base64offset" => self.base64_offset = true,
            "re" => self.test(Test::Regex, word)?,
            "cidr" => self.test(Test::Cidr, word)?,
            "exists" => self.test(Test::Exists, word)?,
            "gt" => self.test(Test::Number(Comparison::Greater), word)?,
            "gte" => self.test(Test::Number(Comparison::AtLeast), word)?,
            "lt" => self.test(Test::Number(Comparison::Less), word)?,
            "lte" => self.test(Test::Number(Comparison::AtMost), word)?,
            "i" | "ignorecase" => self.flags.push('i'),
            "m" | "multiline" => self.flags.push('m'),
            "s" | "dotall" => self.flags.push('s'),
            _ => return Err(unsupported(word)),
        }
        Ok(())
    }

    fn place(&mut self, place: Place) -> Result<(), (String, String)> {
        if self.place != Place::Whole {
            let advice = "write the value with `*` where anything may stand".to_owned();
            return Err(("only one of contains, startswith and endswith can be given".to_owned(), advice));
        }
        self.place = place;
        Ok(())
    }

    fn test(&mut self, test: Test, word: &str) -> Result<(), (String, String)> {
        if self.test != Test::Text {
            let advice = "write two selections and join them in the condition".to_owned();
            return Err((format!("`{word}` cannot be combined with the modifier before it"), advice));
        }
        self.test = test;
        Ok(())
    }

    fn check(&self) -> Result<(), (String, String)> {
        let encoded = self.base64 || self.base64_offset;
        let textual = self.place != Place::Whole || self.windash || self.wide.is_some() || encoded || self.cased;
        let fault = |message: &str, advice: &str| Err((message.to_owned(), advice.to_owned()));
        if self.test != Test::Text && textual {
            return fault(
                "text modifiers cannot be combined with re, cidr, exists or a comparison",
                "a regex is sought anywhere and with case anyway; for the rest drop one of the two",
            );
        }
        if !self.flags.is_empty() && self.test != Test::Regex {
            return fault("`i`, `m` and `s` belong to `re`", "write `|re|i`");
        }
        if self.wide.is_some() && !encoded {
            return fault("UTF-16 has bytes that are no text", "add `base64` or `base64offset` after it");
        }
        if self.base64 && self.base64_offset {
            return fault("both base64 and base64offset are given", "`base64offset|contains` finds both");
        }
        Ok(())
    }

    /// The tests that one value stands for, any of which may hold. `None` where a fault was noted.
    pub(super) fn predicates(
        &self,
        scale: f64,
        value: &Yaml,
        source: &Arc<Source>,
        faults: &mut Faults,
    ) -> Option<Vec<Predicate>> {
        let read = match (&value.kind, self.test) {
            (Kind::Null, Test::Text) if self.place == Place::Whole => Ok(vec![Predicate::Missing]),
            (Kind::Null, _) => refuse("nothing cannot be compared", "give a value, or drop the modifier"),
            (Kind::List(_) | Kind::Map(_), _) => refuse(
                &format!("{} where a value belongs", value.describe()),
                "write one value, or a flat list of them",
            ),
            (Kind::Scalar { text, .. }, Test::Text) => self.texts(text, scale),
            (Kind::Scalar { text, .. }, Test::Regex) => regex(text, &self.flags),
            (Kind::Scalar { text, .. }, Test::Cidr) => network(text),
            (Kind::Scalar { text, .. }, Test::Exists) => match text.as_str() {
                "true" => Ok(vec![Predicate::Exists(true)]),
                "false" => Ok(vec![Predicate::Exists(false)]),
                _ => refuse("`exists` takes true or false", "write `field|exists: true`"),
            },
            (Kind::Scalar { text, .. }, Test::Number(comparison)) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(vec![Predicate::Number(comparison, number * scale)]),
                Ok(_) | Err(_) => refuse(&format!("`{text}` is not a number"), "a comparison needs a number"),
            },
        };
        read.map_err(|(message, advice)| faults.at_with(source, value, message, advice)).ok()
    }

    fn texts(&self, text: &str, scale: f64) -> Result<Vec<Predicate>, (String, String)> {
        if text.is_empty() {
            return match self.place {
                Place::Whole => Ok(vec![Predicate::Empty]),
                Place::Anywhere | Place::Start | Place::End => refuse(
                    "an empty text stands in every text",
                    "give a value, or write `field: ''` for an empty field",
                ),
            };
        }
        let spellings = match self.windash {
            true => match dashes(text) {
                Some(all) => all,
                None => return refuse("too many dashes for `windash`", "write the spellings that matter as a list"),
            },
            false => vec![text.to_owned()],
        };
        let mut predicates = Vec::new();
        for spelling in spellings {
            for parts in self.encoded(parts(&spelling))? {
                let parts = scaled(parts, scale);
                predicates.push(Predicate::Text { pattern: placed(parts, self.place), cased: self.cased });
            }
        }
        Ok(predicates)
    }

    fn encoded(&self, parts: Vec<Part>) -> Result<Vec<Vec<Part>>, (String, String)> {
        if !self.base64 && !self.base64_offset {
            return Ok(vec![parts]);
        }
        let [Part::Literal(text)] = parts.as_slice() else {
            return refuse("a wildcard cannot be encoded", r"escape it with a backslash: \* or \?");
        };
        let bytes = self.wide.map_or_else(|| text.as_bytes().to_vec(), |kind| wide(text, kind));
        let encoded = if self.base64 { vec![base64(&bytes)] } else { base64_offsets(&bytes).to_vec() };
        if encoded.iter().any(String::is_empty) {
            return refuse("the value is too short to be found in base64", "give at least three characters");
        }
        Ok(encoded.into_iter().map(|text| vec![Part::Literal(text)]).collect())
    }
}

/// A whole number in the rule's unit, in the field's unit.
fn scaled(parts: Vec<Part>, scale: f64) -> Vec<Part> {
    match parts.as_slice() {
        [Part::Literal(text)] if scale != 1.0 => match text.parse::<i64>() {
            Ok(number) => vec![Part::Literal((number as f64 * scale).to_string())],
            Err(_) => parts,
        },
        _ => parts,
    }
}

fn refuse<T>(message: &str, advice: &str) -> Result<T, (String, String)> {
    Err((message.to_owned(), advice.to_owned()))
}

fn unsupported(word: &str) -> (String, String) {
    let supported = format!("supported: {}", SUPPORTED.join(", "));
    match nearest(word, SUPPORTED.iter().copied()) {
        Some(near) => (format!("unsupported modifier `{word}`"), format!("did you mean `{near}`? {supported}")),
        None => (format!("unsupported modifier `{word}`"), supported),
    }
}

fn network(text: &str) -> Result<Vec<Predicate>, (String, String)> {
    let parsed = text.parse::<ipnet::IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
    match parsed {
        Ok(network) => Ok(vec![Predicate::Cidr(network)]),
        Err(_) => refuse(&format!("`{text}` is not a network"), "write it as 192.0.2.0/24 or 2001:db8::/32"),
    }
}

fn regex(pattern: &str, flags: &str) -> Result<Vec<Predicate>, (String, String)> {
    if pattern.len() > REGEX_BYTES_MAX {
        let message = format!("a regex of {} bytes is over the limit of {REGEX_BYTES_MAX}", pattern.len());
        return refuse(&message, "write its alternatives as a list of values");
    }
    if let Err(error) = regex_syntax::Parser::new().parse(pattern) {
        let (message, advice) = syntax_fault(pattern, &error);
        return refuse(&message, &advice);
    }
    // Flags go into the pattern so that it says by itself what it matches.
    let text = if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
    match RegexBuilder::new(&text).size_limit(REGEX_COMPILED_BYTES_MAX).build() {
        Ok(regex) => Ok(vec![Predicate::Regex(regex)]),
        Err(regex::Error::CompiledTooBig(limit)) => refuse(
            &format!("the regex compiles to more than {limit} bytes"),
            "lower its repetition counts, or use classes such as [a-z] in place of \\w",
        ),
        Err(error) => refuse(&format!("the regex does not compile: {error}"), "mend the pattern"),
    }
}

fn syntax_fault(pattern: &str, error: &regex_syntax::Error) -> (String, String) {
    let (start, reason) = match error {
        regex_syntax::Error::Parse(error) => (error.span().start.offset, error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span().start.offset, error.kind().to_string()),
        other => (0, other.to_string()),
    };
    let before = pattern.get(..start).unwrap_or_default();
    let there: String = pattern.get(start..).unwrap_or_default().chars().take(20).collect();
    let message = format!("invalid regex at its character {}, `{there}`: {reason}", before.chars().count() + 1);
    (message, "the syntax is RE2's: no look-around, no back-references; a literal { or ( needs a backslash".to_owned())
}
