//! Names that follow from records alone (design §7): the first half of a blake3 hash. Pure.
//!
//! Deliberately without time, randomness or counters of the process: whoever folds the same records gets the same
//! names. Every part goes in with its length before it, so that no two lists of parts can run into each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::outcome::LiftCause;
use crate::event::{Entity, Finding, MINUTE};

use super::prefix::Prefix;
use super::settings::RuleSettings;

/// The cell of the grid on which firings are numbered, for rules without a timespan (design §7).
const CELL_WITHOUT_TIMESPAN: i64 = 10 * MINUTE;

/// A name: 16 bytes, written as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

/// The name of the alert that a finding becomes: rule, its version, the group-by values in order, the cell of the
/// timespan grid that the trigger lies in, and the firing's number there.
pub(super) fn alert(rule: &RuleSettings, finding: &Finding) -> Id {
    let timespan = if rule.timespan > 0 { rule.timespan } else { CELL_WITHOUT_TIMESPAN };
    let mut name = Name::of("alert").text(&rule.name.id).text(&rule.name.version);
    name = name.number(finding.group.len() as u64);
    for value in &finding.group {
        name = name.text(&value.to_string());
    }
    let cell = cell(finding.time.second(), timespan);
    name.bytes(&cell.to_be_bytes()).number(u64::from(finding.firing)).id()
}

/// The cell of the grid that a second lies in.
pub(super) fn cell(second: i64, timespan: i64) -> i64 {
    second.saturating_mul(1_000).div_euclid(timespan)
}

/// The name of the block of `target` that `alert` opened.
pub(super) fn block(target: Prefix, alert: Id) -> Id {
    Name::of("block").text(&target.to_string()).bytes(&alert.0).id()
}

/// The name of a block that an operator or an import asked for: who, what, and when the journal took the command.
pub(super) fn ordered_block(target: Prefix, by: &str, at: i64) -> Id {
    Name::of("ordered").text(&target.to_string()).text(by).bytes(&at.to_be_bytes()).id()
}

/// The name of the incident that `alert` opened.
pub(super) fn incident(alert: Id) -> Id {
    Name::of("incident").bytes(&alert.0).id()
}

/// The name of the end of `block`.
pub(super) fn lift(block: Id, cause: LiftCause) -> Id {
    Name::of("lift").bytes(&block.0).text(word(cause)).id()
}

/// The key of an entity: its text can be long and is written by attackers, its key is neither.
pub(super) fn entity(entity: &Entity) -> Id {
    Name::of("entity").text(entity.kind.word()).text(&entity.value).id()
}

fn word(cause: LiftCause) -> &'static str {
    match cause {
        LiftCause::Expired => "expired",
        LiftCause::Operator => "operator",
        LiftCause::Allowlist => "allowlist",
        LiftCause::Outage => "outage",
        LiftCause::Superseded => "superseded",
    }
}

/// A hash in the making.
struct Name(blake3::Hasher);

impl Name {
    fn of(kind: &str) -> Name {
        Name(blake3::Hasher::new()).text(kind)
    }

    fn text(self, text: &str) -> Name {
        self.bytes(text.as_bytes())
    }

    fn number(self, number: u64) -> Name {
        self.bytes(&number.to_be_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Name {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn id(self) -> Id {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Id(id)
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads 32 lower-case hex digits and nothing else.
impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Id, Self::Err> {
        let wrong = "an id is 32 lower-case hex digits";
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(wrong);
        }
        u128::from_str_radix(text, 16).map(|number| Id(number.to_be_bytes())).map_err(|_| wrong)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        if !deserializer.is_human_readable() {
            return Deserialize::deserialize(deserializer).map(Id);
        }
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = Name::of("x").text("ab").text("c").id();
        let two = Name::of("x").text("a").text("bc").id();
        assert_ne!(one, two);
    }

    #[test]
    fn its_own_text_is_read_and_nothing_else() {
        let id = Name::of("x").id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
        assert!("0".repeat(31).parse::<Id>().is_err());
        assert!("+".repeat(32).parse::<Id>().is_err());
        assert!("A".repeat(32).parse::<Id>().is_err());
    }

    #[test]
    fn cells_lie_on_the_grid_of_the_epoch() {
        assert_eq!(cell(59, 60_000), 0);
        assert_eq!(cell(60, 60_000), 1);
        assert_eq!(cell(-1, 60_000), -1);
        assert_eq!(cell(7, 1_500), 4);
    }
}
