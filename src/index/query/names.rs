//! The names a query may use, and what to say of others. Pure.

use std::collections::BTreeSet;

use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use crate::event::{Field, Text};

/// What a query's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A field of the event.
    Event(Field),
    /// `sekisho.pipeline`
    Pipeline,
    /// `sekisho.appended_at`: the journal's time.
    AppendedAt,
    /// `sekisho.flaws.kind`
    FlawKind,
    /// `sekisho.flaws.field`
    FlawField,
    /// `related.ip`: any address of the event.
    RelatedIp,
    /// `related.user`: any account of the event.
    RelatedUser,
}

/// Which kind of values a name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Time,
    Address,
    Dynamic,
}

/// Names that are no fields of the event.
const OWN_NAMES: &[(&str, Name)] = &[
    ("sekisho.pipeline", Name::Pipeline),
    ("sekisho.appended_at", Name::AppendedAt),
    ("sekisho.flaws.kind", Name::FlawKind),
    ("sekisho.flaws.field", Name::FlawField),
    ("related.ip", Name::RelatedIp),
    ("related.user", Name::RelatedUser),
];
/// The fields of an event that are lists or have a place of their own.
const SPECIAL_NAMES: &[&str] = &["@timestamp", "event.category", "event.type", "event.original", "tags"];
/// The accounts of an event.
pub(super) const RELATED_USERS: &[Text] = &[Text::UserName, Text::UserTarget];

/// The fields without a slot that some event had, as far as columns of them were kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(pub BTreeSet<String>);

impl Name {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        if let Name::Event(field) = self {
            return field.name();
        }
        OWN_NAMES.iter().find(|(_, name)| name == self).map_or("", |(text, _)| text)
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Name::Event(field) => match field {
                Field::Text(_) | Field::Original | Field::Category | Field::Type | Field::Tags => Kind::Text,
                Field::Number(_) => Kind::Integer,
                Field::Address(_) => Kind::Address,
                Field::Timestamp => Kind::Time,
                Field::Extra(_) => Kind::Dynamic,
            },
            Name::AppendedAt => Kind::Time,
            Name::RelatedIp => Kind::Address,
            Name::Pipeline | Name::FlawKind | Name::FlawField | Name::RelatedUser => Kind::Text,
        }
    }
}

impl Known {
    /// The name that `text` writes.
    ///
    /// # Errors
    /// A sentence that says what is near, where no event has such a field.
    pub fn name(&self, text: &str) -> Result<Name, String> {
        if let Some((_, name)) = OWN_NAMES.iter().find(|(own, _)| *own == text) {
            return Ok(name.clone());
        }
        let field = Field::of(text);
        if matches!(&field, Field::Extra(name) if !self.0.contains(name)) {
            return Err(self.unknown(text));
        }
        Ok(Name::Event(field))
    }

    fn unknown(&self, text: &str) -> String {
        match self.nearest(text) {
            Some(near) => format!("no event has a field `{text}`; did you mean `{near}`?"),
            None => format!("no event has a field `{text}`; put it in quotes to look for it as text"),
        }
    }

    /// The known name that is most like `text`, where one is like it at all: by letters, or by its last part, since
    /// many know `ip` or `status_code` and not what stands before.
    fn nearest(&self, text: &str) -> Option<&str> {
        let slots = TEXT_NAMES.iter().map(|(_, name)| *name).chain(NUMBER_NAMES.iter().map(|(_, name)| *name));
        let slots = slots.chain(ADDRESS_NAMES.iter().map(|(_, name)| *name));
        let names = slots.chain(OWN_NAMES.iter().map(|(name, _)| *name)).chain(SPECIAL_NAMES.iter().copied());
        let names = names.chain(self.0.iter().map(String::as_str));
        let wanted = text.to_ascii_lowercase();
        let likeness = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            strsim::jaro_winkler(name, &wanted).max(0.95 * strsim::jaro_winkler(last, &wanted))
        };
        let mut best: Option<(f64, &str)> = None;
        for name in names {
            let found = likeness(name);
            if found > best.map_or(LIKENESS_MIN, |(best, _)| best) {
                best = Some((found, name));
            }
        }
        best.map(|(_, name)| name)
    }
}

/// Below this, a name is not what was meant (Jaro-Winkler; `clientip` and `client.ip` give 0.97).
const LIKENESS_MIN: f64 = 0.84;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered() {
        let known = Known(["user_agent.name".to_owned()].into());
        for (text, near) in [
            ("clientip", "client.ip"),
            ("client.ipp", "client.ip"),
            ("status_code", "http.response.status_code"),
            ("user_agent.nam", "user_agent.name"),
            ("url.Path", "url.path"),
        ] {
            let fault = known.name(text).unwrap_err();
            assert!(fault.contains(&format!("did you mean `{near}`?")), "{fault}");
        }
        assert!(known.name("zzzz").unwrap_err().contains("quotes"));
        assert!(known.name("user_agent.name").is_ok());
        assert_eq!(known.name("related.ip"), Ok(Name::RelatedIp));
        assert_eq!(Name::RelatedIp.as_str(), "related.ip");
    }
}
