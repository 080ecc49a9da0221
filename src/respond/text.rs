//! What an alert says in words, and how log text is made harmless first. Pure.
//!
//! Users, services and hosts are written by attackers: they are cut, and what could break a line or turn its direction
//! around is taken out. Deliberately without escaping for any one medium: that is the writer's.

use std::fmt::Write;

use crate::event::{DAY, Entity, EntityKind, Finding, HOUR, MINUTE, SECOND};

use super::settings::RuleSettings;

/// Log text in an alert is cut to this many characters: longer than any account or host name in use (a DNS name has at
/// most 253), short enough that no alert is large.
pub(super) const TEXT_CHARS_MAX: usize = 256;

/// Log text without control and direction characters, cut to [`TEXT_CHARS_MAX`].
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !turns(*c)).take(TEXT_CHARS_MAX).collect()
}

/// Characters that are not seen but change how their line is shown: direction marks (UAX #9 §2), line and paragraph
/// separators, zero-width ones.
fn turns(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `20 failed logins by 203.0.113.9 in 1 min on portal`. A rule over single events says its name instead of a count.
pub(super) fn message(rule: &RuleSettings, finding: &Finding) -> String {
    let mut text = match finding.count {
        0 | 1 => rule.name.name.clone(),
        count => format!("{count} {}", rule.counted),
    };
    text += &about(&finding.entity);
    if finding.client.is_none() && finding.members_total > 1 {
        // Writing to a String cannot fail.
        let _ = write!(text, " by {} clients", finding.members_total);
    }
    if finding.count > 1 && rule.timespan > 0 {
        let _ = write!(text, " in {}", duration(rule.timespan));
    }
    let service = finding.service.as_deref().filter(|_| finding.entity.kind != EntityKind::Service);
    if let Some(service) = service {
        let _ = write!(text, " on {}", clean(service));
    }
    text
}

fn about(entity: &Entity) -> String {
    let value = clean(&entity.value);
    match entity.kind {
        EntityKind::Client | EntityKind::Network => format!(" by {value}"),
        EntityKind::User => format!(" for {value}"),
        EntityKind::Service | EntityKind::Host => format!(" on {value}"),
        EntityKind::Asn if value.starts_with(|c: char| c.is_ascii_digit()) => format!(" from AS{value}"),
        EntityKind::Asn | EntityKind::Country => format!(" from {value}"),
        EntityKind::Global => String::new(),
    }
}

/// `90 s`, `1 min`, `4 h`, `1 d`: the largest unit that fits without a rest.
fn duration(milliseconds: i64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "ms")];
    let fitting = units.iter().find(|(unit, _)| milliseconds % unit == 0);
    fitting.map_or_else(String::new, |(unit, word)| format!("{} {word}", milliseconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_largest_unit_that_fits() {
        for (milliseconds, words) in [
            (MINUTE, "1 min"),
            (90 * SECOND, "90 s"),
            (10 * MINUTE, "10 min"),
            (4 * HOUR, "4 h"),
            (DAY, "1 d"),
            (1_500, "1500 ms"),
        ] {
            assert_eq!(duration(milliseconds), words);
        }
    }

    #[test]
    fn log_text_is_cut_and_made_harmless() {
        assert_eq!(clean("ro\u{1b}[31mot\n\u{202e}x\u{200b}"), "ro[31motx");
        assert_eq!(clean(&"界".repeat(1_000)).chars().count(), TEXT_CHARS_MAX);
    }
}
