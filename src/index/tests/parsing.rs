//! The parser: what it makes of good queries, and where it says bad ones are wrong. Pure.

use proptest::prelude::*;

use crate::event::{Field, Number};
use crate::index::Query;
use crate::index::query::{CLAUSES_MAX, Known, Matcher, NESTING_MAX, Name, QUERY_BYTES_MAX, QueryError, parse};

fn known() -> Known {
    Known(["score".to_owned()].into())
}

fn fault(text: &str) -> QueryError {
    parse(text, &known()).expect_err(text)
}

#[test]
fn faults_are_at_their_character() {
    for (text, at, length, says) in [
        ("client.ipp:1.2.3.4", 0, 10, "did you mean `client.ip`?"),
        ("a AND (b OR c", 6, 1, "never closed"),
        ("a) b", 1, 1, "no `(`"),
        ("é AND", 2, 3, "missing after `AND`"),
        ("OR b", 0, 2, "both sides"),
        ("NOT", 0, 3, "missing after `NOT`"),
        ("()", 1, 1, "missing before"),
        ("url.path:", 0, 9, "needs a value"),
        ("url.path: x", 0, 9, "needs a value"),
        ("\"open", 0, 1, "never closed"),
        ("a\\", 1, 1, "backslash"),
        ("client.ip:300.1.2.3", 10, 9, "`300.1.2.3` is none"),
        ("client.ip:203.0.113.*", 10, 11, "203.0.113.0/24"),
        ("http.response.status_code:abc", 26, 3, "whole numbers"),
        ("http.response.status_code:>", 26, 1, "missing after the comparison"),
        ("http.response.status_code:[1 2]", 26, 3, "[low TO high]"),
        ("http.response.status_code:[1 TO 2", 26, 7, "never closed"),
        ("http.response.status_code:[1 TO ]", 32, 1, "upper end"),
        ("@timestamp:yesterday", 11, 9, "2026-11-24"),
        ("_exists_:nothing", 9, 7, "no event has a field"),
        ("_exists_:", 9, 1, "name of a field"),
        ("x AND ...", 6, 3, "words of letters"),
        ("x ]", 2, 1, "not expected"),
        ("url.path:a********b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r", 9, 42, "16 `*`"),
    ] {
        let found = fault(text);
        assert_eq!((found.at, found.length), (at, length), "{text}: {found}");
        assert!(found.message.contains(says), "{text}: {found}");
        assert!(found.pointed(text).contains('^'));
    }
}

#[test]
fn limits_are_exact() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(NESTING_MAX), &known()).is_ok());
    assert!(fault(&nested(NESTING_MAX + 1)).message.contains("nested"));
    assert!(fault(&format!("{}a", "NOT ".repeat(NESTING_MAX + 1))).message.contains("nested"));
    assert!(parse(&"a ".repeat(CLAUSES_MAX), &known()).is_ok());
    assert!(fault(&"a ".repeat(CLAUSES_MAX + 1)).message.contains("conditions"));
    assert!(fault(&"a".repeat(QUERY_BYTES_MAX + 1)).message.contains("longer"));
}

#[test]
fn precedence_and_forms() {
    let same = |a: &str, b: &str| assert_eq!(parse(a, &known()), parse(b, &known()), "{a}");
    same("a b OR c", "(a AND b) OR c");
    same("a AND b OR NOT c d", "(a AND b) OR ((NOT c) AND d)");
    same("-a", "NOT a");
    same("tags:(a OR b)", "tags:a OR tags:b");
    same("tags:(a OR -b)", "tags:a OR NOT tags:b");
    same("", "*");
    same("url.path:a\\ b", "url.path:\"a b\"");
    same("url.path:\\*", "url.path:\"*\"");
    same("url.path:*", "_exists_:url.path");
    same("url.path:a**b", "url.path:a*b");
    same("http.response.status_code:>499", "http.response.status_code:[500 TO *]");
    same("client.ip:10.1.2.3/8", "client.ip:[10.0.0.0 TO 10.255.255.255]");
    same("@timestamp:2026-11-24", "@timestamp:[2026-11-24T00:00:00Z TO 2026-11-24T23:59:59.999Z]");
    same("NOTE", "note");
    let status = parse("http.response.status_code:[400 TO 500}", &known()).unwrap();
    let name = Name::Event(Field::Number(Number::HttpStatus));
    assert_eq!(status, Query::Is(name, Matcher::Integer(400..=499)));
}

proptest! {
    #[test]
    fn any_text_gives_a_query_or_a_fault_inside_of_it(text in "[a-z:.()\\[\\]{}\"\\\\*?>< \\-éANDORTNO0-9]{0,60}") {
        if let Err(fault) = parse(&text, &known()) {
            prop_assert!(fault.at <= text.chars().count());
            prop_assert!(!fault.pointed(&text).is_empty());
        }
    }
}
