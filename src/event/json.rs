//! JSON text as it leaves: one line, and no control character in it but as an escape. Pure.
//!
//! Log text is written by attackers and ends on terminals: DEL and the C1 controls, which JSON allows as they are, are
//! escaped too. Deliberately without reading.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// Appends `value` as one line of JSON, without the line end.
///
/// # Errors
/// Only where `value` itself refuses to be written, which none of our own types does.
pub fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Plain))
}

/// Compact JSON whose texts hold no control characters.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(control) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(found) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(found))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// DEL, C1, and the marks that turn the direction of text: what serde_json leaves alone and terminals obey.
fn control(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_leave_as_escapes_and_come_back() {
        let text = "a\u{1b}[31m\u{7f}\u{9b}b\u{202e}é\"\n";
        let mut out = Vec::new();
        write_json(text, &mut out).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), r#""a\u001b[31m\u007f\u009bb\u202eé\"\n""#);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
