//! What the rules of a web application firewall said of one request: classes, severities, the anomaly score. Pure.
//!
//! Knows the numbering and tags of the OWASP Core Rule Set. Deliberately without a judgement: whether a request is an
//! attack is for Sekisho's rules, and this firewall has false positives on ordinary visitors.

/// Messages of one request that are read; the rest is dropped with a flaw. The whole rule set has fewer rules that
/// can match at once, a crafted record may claim more.
pub(super) const MESSAGES_MAX: usize = 256;

/// Tags of the Core Rule Set and the classes they stand for. `attack-generic` stands for none.
const TAGS: [(&str, &str); 18] = [
    ("attack-sqli", "sqli"),
    ("attack-xss", "xss"),
    ("attack-lfi", "lfi"),
    ("attack-rfi", "rfi"),
    ("attack-rce", "rce"),
    ("attack-injection-php", "php"),
    ("attack-injection-java", "java"),
    ("attack-injection-nodejs", "nodejs"),
    ("attack-ssrf", "ssrf"),
    ("attack-ssti", "ssti"),
    ("attack-ldap", "ldap"),
    ("attack-protocol", "protocol"),
    ("attack-multipart-header", "protocol"),
    ("attack-reputation-scanner", "scanner"),
    ("attack-reputation-ip", "reputation"),
    ("attack-fixation", "fixation"),
    ("attack-disclosure", "disclosure"),
    ("attack-dos", "dos"),
];

/// Thousands of rule ids and their classes, for rules without a tag.
const RANGES: [(&str, &str); 18] = [
    ("910", "reputation"),
    ("911", "protocol"),
    ("912", "dos"),
    ("913", "scanner"),
    ("920", "protocol"),
    ("921", "protocol"),
    ("922", "protocol"),
    ("930", "lfi"),
    ("931", "rfi"),
    ("932", "rce"),
    ("933", "php"),
    ("941", "xss"),
    ("942", "sqli"),
    ("943", "fixation"),
    ("944", "java"),
    ("950", "disclosure"),
    ("951", "disclosure"),
    ("953", "disclosure"),
];

/// Rules that add up what others found: 949110, 959100, 980130 and their like, and the set-up rules 901xxx.
const EVALUATION: [&str; 4] = ["949", "959", "980", "901"];

/// One rule's word about the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) text: &'a str,
    /// A syslog level, as a number or a word.
    pub(super) severity: &'a str,
    /// The class its first telling tag stands for.
    pub(super) tagged: Option<&'static str>,
}

impl<'a> Message<'a> {
    /// A text line of version 2: `Warning. … [id "942100"] [msg "…"] [severity "CRITICAL"] [tag "attack-sqli"]`.
    ///
    /// The first field of a name counts. What the client sent stands behind them, in `[data "…"]`, with its quotes
    /// escaped.
    pub(super) fn of_line(line: &'a str) -> Message<'a> {
        let mut message = Message::default();
        for (name, value) in (Fields { rest: line }) {
            match name {
                "id" if message.id.is_empty() => message.id = value,
                "msg" if message.text.is_empty() => message.text = value,
                "severity" if message.severity.is_empty() => message.severity = value,
                "tag" => message.tag(value),
                _ => {}
            }
        }
        message
    }

    /// Takes one of the rule's tags into account.
    pub(super) fn tag(&mut self, tag: &str) {
        self.tagged = self.tagged.or_else(|| look_up(&TAGS, |name| name == tag));
    }

    /// The class of attack this rule looks for, by its tags, else by its number.
    pub(super) fn class(&self) -> Option<&'static str> {
        self.tagged.or_else(|| look_up(&RANGES, |start| self.id.len() == 6 && self.id.starts_with(start)))
    }

    /// Whether this rule only adds up what others found.
    pub(super) fn is_evaluation(&self) -> bool {
        self.id.len() == 6 && EVALUATION.iter().any(|start| self.id.starts_with(start))
    }

    /// The syslog level, 2 for critical; `None` where the rule gives none.
    pub(super) fn level(&self) -> Option<i64> {
        const WORDS: [&str; 8] = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
        let word = WORDS.iter().position(|word| word.eq_ignore_ascii_case(self.severity)).map(|level| level as i64);
        word.or_else(|| self.severity.parse().ok()).filter(|level| (0..8).contains(level))
    }

    /// What the Core Rule Set adds to the anomaly score for this severity, at its default settings.
    fn points(&self) -> i64 {
        match self.level() {
            Some(0..=2) => 5,
            Some(3) => 4,
            Some(4) => 3,
            Some(5) => 2,
            Some(_) | None => 0,
        }
    }

    /// The inbound total that an evaluation rule states: `Inbound Anomaly Score Exceeded (Total Score: 5)`.
    fn total(&self) -> Option<i64> {
        let inbound = self.is_evaluation() && self.text.contains("Inbound");
        let (_, rest) = self.text.split_once("Score: ").filter(|_| inbound)?;
        let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    }
}

fn look_up(table: &[(&str, &'static str)], fits: impl Fn(&str) -> bool) -> Option<&'static str> {
    table.iter().find(|(key, _)| fits(key)).map(|(_, class)| *class)
}

/// The most telling message: the first that names an attack, else the first that is no protocol formality, else the
/// first.
pub(super) fn telling<'m, 'a>(messages: &'m [Message<'a>]) -> Option<&'m Message<'a>> {
    let attack =
        |message: &&Message<'_>| !message.is_evaluation() && !matches!(message.class(), None | Some("protocol"));
    let plain = |message: &&Message<'_>| !message.is_evaluation();
    messages.iter().find(attack).or_else(|| messages.iter().find(plain)).or_else(|| messages.first())
}

/// The inbound anomaly score: as the rule set states it, else the sum of what its severities stand for.
pub(super) fn score(messages: &[Message<'_>]) -> i64 {
    let stated = messages.iter().find_map(Message::total);
    let sum = || messages.iter().filter(|message| !message.is_evaluation()).map(Message::points).sum();
    stated.unwrap_or_else(sum)
}

/// The `[name "value"]` fields of a text line, in order.
struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        loop {
            let (_, rest) = self.rest.split_once('[')?;
            self.rest = rest;
            let length = rest.bytes().position(|byte| !byte.is_ascii_lowercase() && byte != b'_').unwrap_or(0);
            let (name, tail) = rest.split_at(length);
            let Some(value) = tail.strip_prefix(" \"").filter(|_| length > 0) else { continue };
            let end = closing_quote(value)?;
            self.rest = &value[end + 1..];
            return Some((name, &value[..end]));
        }
    }
}

/// The first quote that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"Warning. Pattern match "[id \"1\"]" at ARGS. [file "/x.conf"] [line "45"] [id "942100"] [msg "SQL Injection"] [data "x\"] [id \"7\"] [tag \"attack-xss"] [severity "CRITICAL"] [tag "OWASP_CRS"] [tag "attack-sqli"]"#;

    #[test]
    fn a_line_gives_its_fields_and_the_client_cannot_forge_them() {
        let message = Message::of_line(LINE);
        assert_eq!((message.id, message.text, message.class()), ("942100", "SQL Injection", Some("sqli")));
        assert_eq!((message.level(), message.points()), (Some(2), 5));
    }

    #[test]
    fn the_attack_is_more_telling_than_the_sum() {
        let message = |id, text| Message { id, text, ..Message::default() };
        let protocol = message("920350", "Host header is a numeric IP address");
        let attack = message("941100", "XSS");
        let sum = message("949110", "Inbound Anomaly Score Exceeded (Total Score: 18)");
        assert_eq!(telling(&[sum, protocol, attack]), Some(&attack));
        assert_eq!(telling(&[sum, protocol]), Some(&protocol));
        assert_eq!(telling(&[sum]), Some(&sum));
        assert_eq!(score(&[attack, sum]), 18);
        let notice = Message { severity: "5", ..attack };
        assert_eq!(score(&[notice, Message { severity: "error", ..attack }]), 6);
    }

    #[test]
    fn any_line_ends() {
        let hostile = r#"[a "[a "\"#.repeat(20_000);
        assert_eq!(Message::of_line(&hostile).id, "");
    }
}
