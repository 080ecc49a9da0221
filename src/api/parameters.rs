//! The query string of a request: every name known, every value read, or a message that says which not. Pure.
//!
//! A parameter that is not known is refused with "did you mean": a search that silently ignores half of what was asked
//! misleads. Deliberately without a place for lists: no parameter of ours is one.

use crate::document::{nearest, parse_duration};
use crate::event::Time;

use super::fault::ApiFault;
use super::limits::{PAGE_DEFAULT, PAGE_MAX, QUERY_BYTES_MAX};

/// The parameters of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string; `known` are the names this route takes.
    ///
    /// # Errors
    /// A name that is unknown or given twice, a broken percent escape, text that is not UTF-8.
    pub fn of(query: Option<&str>, known: &[&str]) -> Result<Parameters, ApiFault> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(ApiFault::bad_request(format!("the query string is over {QUERY_BYTES_MAX} bytes")));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(ApiFault::bad_request(format!("`{name}` is given twice")));
            }
            pairs.push((name, value));
        }
        Ok(Parameters { pairs })
    }

    /// The text of a parameter, where it is given and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A whole number.
    ///
    /// # Errors
    /// Where it is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiFault> {
        let number = |text: &str| text.parse().map_err(|_| wrong(name, text, "a whole number such as 100"));
        self.text(name).map(number).transpose()
    }

    /// How many items an answer may have.
    ///
    /// # Errors
    /// Where it is no number, or more than [`PAGE_MAX`].
    pub fn limit(&self) -> Result<usize, ApiFault> {
        let limit = self.number("limit")?.unwrap_or(PAGE_DEFAULT as u64);
        if limit > PAGE_MAX as u64 {
            let fault = ApiFault::bad_request(format!("`limit` is at most {PAGE_MAX}, not {limit}"));
            return Err(fault.hint("read the rest page by page, with what `next` says"));
        }
        Ok(limit as usize)
    }

    /// `true` or `false`; absent is false.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, ApiFault> {
        match self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(wrong(name, other, "`true` or `false`")),
        }
    }

    /// An instant: RFC 3339, milliseconds since 1970, or how long ago (`1h`, `7d`, `now`).
    ///
    /// # Errors
    /// Where it is none of these.
    pub fn time(&self, name: &str, now: Time) -> Result<Option<Time>, ApiFault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let read = instant(text, now);
        read.map(Some).ok_or_else(|| wrong(name, text, "a time such as 2026-11-23T17:05:03Z, or how long ago: 1h, 7d"))
    }

    /// A length of time in milliseconds, more than none.
    ///
    /// # Errors
    /// Where it is none.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, ApiFault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let read = parse_duration(text).filter(|length| *length > 0);
        read.map(Some).ok_or_else(|| wrong(name, text, "a length of time such as 30s, 5m, 1h or 7d"))
    }
}

fn instant(text: &str, now: Time) -> Option<Time> {
    if text == "now" {
        return Some(now);
    }
    let ago = text.strip_prefix("now-").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    if let Some(ago) = parse_duration(ago) {
        return Some(now.plus(ago.saturating_neg()));
    }
    if let Ok(milliseconds) = text.parse::<i64>() {
        return Some(Time(0).plus(milliseconds));
    }
    text.parse::<jiff::Timestamp>().ok().map(|at| Time(0).plus(at.as_millisecond()))
}

fn unknown(name: &str, known: &[&str]) -> ApiFault {
    let shown: String = name.chars().take(64).collect();
    let fault = ApiFault::bad_request(format!("there is no parameter `{shown}` here"));
    match nearest(name, known.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => fault.hint("this route takes none"),
        None => fault.hint(format!("it takes {}", known.join(", "))),
    }
}

fn wrong(name: &str, text: &str, form: &str) -> ApiFault {
    let shown: String = text.chars().take(64).collect();
    ApiFault::bad_request(format!("`{name}` must be {form}, not `{shown}`"))
}

/// Undoes `%41` and `+`.
fn decoded(text: &str) -> Result<String, ApiFault> {
    let broken = || ApiFault::bad_request("the query string has a broken percent escape, or is not UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(broken);
                bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
                rest = after;
            }
            (b'%', _) => return Err(broken()),
            (plain, _) => bytes.push(*plain),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["query", "from", "limit", "all", "interval"];

    fn read(query: &str) -> Result<Parameters, String> {
        Parameters::of(Some(query), KNOWN)
            .map_err(|fault| format!("{} {}", fault.message, fault.hint.unwrap_or_default()))
    }

    #[test]
    fn values_are_decoded() {
        let parameters = read("query=client.ip%3A1+AND+%E9%96%A2&all&limit=5&interval=5m").unwrap();
        assert_eq!(parameters.text("query"), Some("client.ip:1 AND 関"));
        assert_eq!((parameters.flag("all"), parameters.limit()), (Ok(true), Ok(5)));
        assert_eq!(parameters.duration("interval"), Ok(Some(300_000)));
        assert_eq!(read("").unwrap().limit(), Ok(PAGE_DEFAULT));
    }

    #[test]
    fn times_have_three_forms() {
        let now = Time(1_795_453_503_414);
        let time = |text: &str| read(&format!("from={text}")).unwrap().time("from", now).unwrap();
        assert_eq!(time("2026-11-23T17:05:03.414Z"), Some(now));
        assert_eq!(time("2026-11-23T18:05:03.414%2B01:00"), Some(now));
        assert_eq!(time("1795453503414"), Some(now));
        assert_eq!((time("1h"), time("now-1h"), time("now")), (Some(Time(now.0 - 3_600_000)), time("-1h"), Some(now)));
        assert!(read("from=soon").unwrap().time("from", now).is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (query, expected) in [
            ("qery=a", "did you mean `query`?"),
            ("zzz=1", "it takes query, from"),
            ("query=a&query=b", "given twice"),
            ("query=%f", "broken percent"),
            ("query=%ff", "not UTF-8"),
            ("query=%zz", "broken percent"),
        ] {
            assert!(read(query).unwrap_err().contains(expected), "{query}");
        }
        let limit = |text: &str| read(&format!("limit={text}")).unwrap().limit();
        assert!(limit("1001").unwrap_err().message.contains("at most 1000"));
        assert!(limit("-1").unwrap_err().message.contains("whole number"));
    }
}
