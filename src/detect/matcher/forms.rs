//! The forms in which a URL text is matched: as written, percent-decoded once, decoded twice, and decoded with `+` as
//! space. Pure.
//!
//! An attacker chooses the encoding, the backend undoes it; a rule is written for the decoded text or for the raw one,
//! and should not have to know. Deliberately forgiving: an escape that is none stays as it is, and bytes that are no
//! UTF-8 after decoding become U+FFFD. A decoded form is never longer than the raw one, so the line's limit bounds
//! them all.

/// A decoded form of a URL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Once,
    Twice,
    /// `+` read as space, then decoded twice.
    Spaced,
}

/// The decoded forms that can differ from the raw text; most texts have none.
pub(super) fn forms_of(text: &str) -> &'static [Form] {
    let escaped = memchr::memchr(b'%', text.as_bytes()).is_some();
    let plus = memchr::memchr(b'+', text.as_bytes()).is_some();
    match (escaped, plus) {
        (false, false) => &[],
        (false, true) => &[Form::Spaced],
        (true, false) => &[Form::Once, Form::Twice],
        (true, true) => &[Form::Once, Form::Twice, Form::Spaced],
    }
}

/// A form of `text`.
pub(super) fn decoded(form: Form, text: &str) -> String {
    match form {
        Form::Once => percent_decoded(text),
        Form::Twice => percent_decoded(&percent_decoded(text)),
        Form::Spaced => percent_decoded(&percent_decoded(&text.replace('+', " "))),
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = 0;
    for at in memchr::memchr_iter(b'%', bytes) {
        // A per cent sign cannot be a digit of the escape before it, so `at` never lies behind `rest`.
        if let Some(byte) = escape(bytes, at) {
            out.extend_from_slice(&bytes[rest..at]);
            out.push(byte);
            rest = at + 3;
        }
    }
    out.extend_from_slice(&bytes[rest..]);
    match String::from_utf8(out) {
        Ok(decoded) => decoded,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
    Some((digit(1)? * 16 + digit(2)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_undoes_its_encoding() {
        assert_eq!(decoded(Form::Once, "/a%2fb%252f%zz%4"), "/a/b%2f%zz%4");
        assert_eq!(decoded(Form::Twice, "/a%252e%25252e"), "/a.%2e");
        assert_eq!(decoded(Form::Spaced, "union+select%2B1"), "union select+1");
        assert_eq!(decoded(Form::Once, "%ff%e6%97%a5%"), "\u{fffd}日%");
    }

    #[test]
    fn plain_text_has_no_other_form() {
        assert!(forms_of("/index.html?a=b").is_empty());
        assert_eq!(forms_of("/a+b"), [Form::Spaced]);
    }

    #[test]
    fn no_form_is_longer_than_the_text() {
        for text in ["%ff%ff%ff", "%25%25%2525", "a+%c3%28+%E6%97", "%%%"] {
            assert!(forms_of(text).iter().all(|form| decoded(*form, text).len() <= text.len()), "{text}");
        }
    }
}
