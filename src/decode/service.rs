//! Which service an event belongs to: one of the pipeline's known names, anything else is its default. Pure.
//!
//! Deliberately without believing a name that is not known: the Host header is the client's word, and state is kept
//! per service.

use crate::event::{Event, Field, Scalar};

use super::settings::ServiceSettings;

/// The service's name, always one that the pipeline file names.
pub(super) fn name<'a>(settings: &'a ServiceSettings, event: &Event<'a>) -> &'a str {
    let claimed = settings.from.as_ref().and_then(|field| text_of(field, event));
    claimed.and_then(|claimed| known(settings, claimed)).unwrap_or(&settings.default)
}

fn text_of<'a>(field: &Field, event: &Event<'a>) -> Option<&'a str> {
    match field {
        Field::Text(field) => event.text(*field),
        Field::Extra(name) => match event.extra(name)? {
            Scalar::Text(text) => Some(text),
            Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::List(_) => None,
        },
        Field::Number(_)
        | Field::Address(_)
        | Field::Timestamp
        | Field::Original
        | Field::Category
        | Field::Type
        | Field::Tags => None,
    }
}

/// Host names are compared without case; the list is short, it was written by hand.
fn known<'a>(settings: &'a ServiceSettings, claimed: &str) -> Option<&'a str> {
    let exact = settings.known.get(claimed);
    let known = exact.or_else(|| settings.known.iter().find(|name| name.eq_ignore_ascii_case(claimed)));
    known.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;
    use crate::event::Text;

    #[test]
    fn unknown_names_become_the_default() {
        let settings = ServiceSettings {
            from: Some(Field::Text(Text::UrlDomain)),
            known: ["shop.example".to_owned()].into(),
            default: "web".to_owned(),
        };
        let arena = Bump::new();
        for (claimed, expected) in
            [("shop.example", "shop.example"), ("SHOP.example", "shop.example"), ("evil.example", "web"), ("", "web")]
        {
            let mut event = Event::new(b"", &arena);
            event.set_text(Text::UrlDomain, claimed);
            assert_eq!(name(&settings, &event), expected);
        }
        assert_eq!(name(&settings, &Event::new(b"", &arena)), "web");
    }
}
