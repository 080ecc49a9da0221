//! Sigma's field names → ECS fields. Pure data.
//!
//! One Sigma name may mean several ECS fields, any of which may hold. `cs-uri-query` in public rules means the whole
//! request target: half of its values contain a slash. Names of the generic kind also keep their own meaning, because
//! JSON logs have fields called so. Everything else passes through: dotted ECS names, and fields of other products.

use crate::event::Field;

/// `time-taken` is written in milliseconds, `event.duration` counts nanoseconds.
const NANOSECONDS_IN_MILLISECOND: f64 = 1_000_000.0;

const URL: &[&str] = &["url.original", "url.query"];
const PATH: &[&str] = &["url.path"];
const AGENT: &[&str] = &["user_agent.original"];
const REFERRER: &[&str] = &["http.request.referrer"];
const HOST: &[&str] = &["url.domain", "destination.domain"];
const CLIENT: &[&str] = &["client.ip", "source.ip"];

/// Sigma's taxonomy (appendix of the specification) in ECS.
const NAMES: &[(&str, &[&str])] = &[
    ("cs-uri-query", URL),
    ("cs-uri", URL),
    ("c-uri", URL),
    ("cs-uri-stem", PATH),
    ("c-uri-stem", PATH),
    ("c-uri-query", &["url.query"]),
    ("c-uri-extension", &["url.extension"]),
    ("cs-method", &["http.request.method"]),
    ("sc-status", &["http.response.status_code"]),
    ("cs-user-agent", AGENT),
    ("c-useragent", AGENT),
    ("cs-referer", REFERRER),
    ("cs-referrer", REFERRER),
    ("cs-host", HOST),
    ("r-dns", HOST),
    ("cs-cookie", &["sekisho.http.cookie"]),
    ("cs-username", &["user.name"]),
    ("cs-version", &["http.version"]),
    ("cs-content-type", &["http.request.mime_type"]),
    ("c-ip", CLIENT),
    ("src_ip", CLIENT),
    ("dst_ip", &["destination.ip"]),
    ("s-ip", &["destination.ip"]),
    ("src_port", &["source.port"]),
    ("dst_port", &["destination.port"]),
    ("s-port", &["destination.port"]),
    ("cs-bytes", &["http.request.bytes"]),
    ("sc-bytes", &["http.response.bytes"]),
    ("time-taken", &["event.duration"]),
    ("query", &["dns.question.name", "query"]),
    ("answer", &["dns.answers.data", "answer"]),
    ("record_type", &["dns.question.type", "record_type"]),
    ("username", &["user.name", "username"]),
    ("action", &["event.action", "action"]),
];

/// Where a keyword without a field is sought.
pub(super) fn keyword_fields() -> Vec<Field> {
    vec![Field::of("message"), Field::of("event.original")]
}

/// The ECS fields of a name in a rule; at least one.
pub(super) fn fields(name: &str) -> Vec<Field> {
    match NAMES.iter().find(|(sigma, _)| *sigma == name) {
        Some((_, names)) => names.iter().map(|name| Field::of(name)).collect(),
        None => vec![Field::of(name)],
    }
}

/// The one ECS field of a name, where a rule takes a value from it: the first of several.
pub(super) fn field(name: &str) -> Field {
    let first = NAMES.iter().find(|(sigma, _)| *sigma == name).and_then(|(_, names)| names.first());
    Field::of(first.unwrap_or(&name))
}

/// What a number in a rule is multiplied by to be in the ECS field's unit.
pub(super) fn scale(name: &str) -> f64 {
    if name == "time-taken" { NANOSECONDS_IN_MILLISECOND } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_web_has_a_slot() {
        for (sigma, names) in NAMES.iter().filter(|(sigma, _)| sigma.contains('-')) {
            assert!(names.iter().all(|name| !matches!(Field::of(name), Field::Extra(_))), "{sigma}");
        }
    }

    #[test]
    fn unknown_names_pass_through() {
        assert_eq!(fields("url.path"), [Field::of("url.path")]);
        assert_eq!(fields("CommandLine"), [Field::Extra("CommandLine".to_owned())]);
        assert_eq!(field("c-ip"), Field::of("client.ip"));
    }
}
