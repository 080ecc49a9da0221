//! An event in one line for people, and in one record for spreadsheets. Pure.
//!
//! Reads ECS documents as the API gives them. Deliberately without a say in what is found: only in what of it is shown.

use serde_json::Value;

use super::output::{Lines, visible};

/// Characters of a target or message that a table shows; the whole is in the document.
const TARGET_CHARS_MAX: usize = 160;
/// Wide enough for most: IPv4 addresses, outcomes, datasets of the built-in pipelines, accounts.
const WIDTHS: [usize; 5] = [24, 15, 14, 7, 10];

/// The columns of a table of events.
pub(super) const HEADING: [&str; 6] = ["TIME", "CLIENT", "DATASET", "RESULT", "USER", "WHAT"];

/// The columns of CSV, each the ECS path of what it holds.
pub(super) const CSV_COLUMNS: [&str; 12] = [
    "@timestamp",
    "event.dataset",
    "client.ip",
    "event.outcome",
    "http.response.status_code",
    "http.request.method",
    "url.original",
    "user.name",
    "event.action",
    "rule.name",
    "user_agent.original",
    "event.original",
];

/// The value at a path of names, as text; empty where there is none.
pub(super) fn text_at(document: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(document, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => other.to_string(),
    }
}

/// The first of these paths that has a value, or `-`.
pub(super) fn first_of(document: &Value, paths: &[&str]) -> String {
    paths.iter().map(|path| text_at(document, path)).find(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// One line of a table: columns as wide as most values are, so that lines can be printed as they come.
pub(super) fn line_of(document: &Value) -> String {
    let method = text_at(document, "http.request.method");
    let target = first_of(document, &["url.original", "rule.name", "event.action", "message", "event.original"]);
    let what = if method.is_empty() { target } else { format!("{method} {target}") };
    padded(&[
        &first_of(document, &["@timestamp"]),
        &first_of(document, &["client.ip", "source.ip", "source.address"]),
        &first_of(document, &["event.dataset", "sekisho.pipeline"]),
        &first_of(document, &["http.response.status_code", "event.outcome"]),
        &first_of(document, &["user.name"]),
        &what,
    ])
}

/// The heading above such lines.
pub(super) fn heading() -> String {
    padded(&HEADING)
}

fn padded(cells: &[&str; 6]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        // Made visible before it is measured, for it takes more places then.
        line.push_str(&format!("{:width$}  ", visible(cell, Lines::Escaped)));
    }
    line.push_str(&shortened(cells[5], TARGET_CHARS_MAX));
    line
}

/// The first characters, and `…` where there are more.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One record of CSV (RFC 4180) without its end.
pub(super) fn csv_of(document: &Value) -> String {
    CSV_COLUMNS.map(|path| csv_cell(&text_at(document, path))).join(",")
}

/// A cell that no spreadsheet takes for a formula: what begins like one gets a `'` before it (security sheet §4.3).
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = visible(text, Lines::Escaped);
    let text = if formula { format!("'{text}") } else { text.into_owned() };
    if text.contains([',', '"', ' ', '\'', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_a_cell_is_a_formula_or_another_cell() {
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        for start in ["+1", "-1", "@x", "\tx", "\rx"] {
            assert!(csv_cell(start).starts_with("\"'"), "{start:?}");
        }
        assert_eq!(csv_cell("a\r\nb"), "a\\u{d}\\u{a}b");
    }

    #[test]
    fn a_line_has_its_columns_in_their_places() {
        let document = json!({
            "@timestamp": "2026-11-23T17:02:03.000Z",
            "client": { "ip": "203.0.113.9" },
            "event": { "dataset": "nginx.access", "outcome": "failure" },
            "http": { "request": { "method": "GET" }, "response": { "status_code": 404 } },
            "url": { "original": "/a\u{1b}b" },
            "user": { "name": "o\u{202e}x" },
        });
        let line = line_of(&document);
        assert!(
            line.starts_with("2026-11-23T17:02:03.000Z  203.0.113.9      nginx.access    404      o\\u{202e}x"),
            "{line}"
        );
        assert!(line.ends_with("GET /a\u{1b}b"), "the output makes it visible: {line:?}");
        assert_eq!(line_of(&json!({})).split_whitespace().collect::<Vec<_>>(), ["-"; 6]);
        let long = line_of(&json!({ "url": { "original": "é".repeat(9_999) } }));
        assert!(long.chars().count() < 300 && long.ends_with('…'));
    }
}
