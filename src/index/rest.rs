//! What columns cannot give back exactly, as bytes in the store: fields without a slot, and texts cut in their column.
//! Pure.
//!
//! A name, a tag, a value, again and again; lengths are LEB128. Reading is total: bytes that are none of ours end the
//! list. Deliberately without JSON: a float must come back to the bit.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use crate::event::{Event, Scalar};

/// Lists in lists are read to this depth: writing holds to it too.
const DEPTH_MAX: usize = 8;

const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const LIST: u8 = 5;

/// Appends one field.
pub(super) fn write(name: &str, value: &Scalar<'_>, out: &mut Vec<u8>) {
    write_text(name, out);
    write_value(value, DEPTH_MAX, out);
}

fn write_value(value: &Scalar<'_>, depth: usize, out: &mut Vec<u8>) {
    match value {
        Scalar::Text(text) => {
            out.push(TEXT);
            write_text(text, out);
        }
        Scalar::Integer(number) => {
            out.push(INTEGER);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Scalar::Float(number) => {
            out.push(FLOAT);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Scalar::Bool(false) => out.push(FALSE),
        Scalar::Bool(true) => out.push(TRUE),
        Scalar::List(values) => {
            out.push(LIST);
            let values = if depth == 0 { &[][..] } else { values };
            write_length(values.len(), out);
            values.iter().for_each(|value| write_value(value, depth - 1, out));
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Calls `found` with every field, in the order they were written.
pub(super) fn read<'a>(mut bytes: &'a [u8], arena: &'a Bump, mut found: impl FnMut(&'a str, Scalar<'a>)) {
    while !bytes.is_empty() {
        let Some((name, value)) = read_field(&mut bytes, arena) else { return };
        found(name, value);
    }
}

fn read_field<'a>(bytes: &mut &'a [u8], arena: &'a Bump) -> Option<(&'a str, Scalar<'a>)> {
    Some((read_text(bytes)?, read_value(bytes, arena, DEPTH_MAX)?))
}

fn read_value<'a>(bytes: &mut &'a [u8], arena: &'a Bump, depth: usize) -> Option<Scalar<'a>> {
    let (tag, rest) = bytes.split_first()?;
    *bytes = rest;
    match *tag {
        TEXT => read_text(bytes).map(Scalar::Text),
        INTEGER => read_eight(bytes).map(|eight| Scalar::Integer(i64::from_le_bytes(eight))),
        FLOAT => read_eight(bytes).map(|eight| Scalar::Float(f64::from_bits(u64::from_le_bytes(eight)))),
        FALSE => Some(Scalar::Bool(false)),
        TRUE => Some(Scalar::Bool(true)),
        LIST => {
            let length = read_length(bytes)?;
            let depth = if length == 0 { 0 } else { depth.checked_sub(1)? };
            let mut values = ArenaVec::new_in(arena);
            for _ in 0..length {
                values.push(read_value(bytes, arena, depth)?);
            }
            Some(Scalar::List(values.into_bump_slice()))
        }
        _ => None,
    }
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = read_length(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn read_eight(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    let (eight, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(*eight)
}

fn read_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0usize;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

/// Every field of `event` that has no slot.
pub(super) fn write_extras(event: &Event<'_>, out: &mut Vec<u8>) {
    event.extras().iter().for_each(|(name, value)| write(name, value, out));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_come_back_to_the_bit() {
        let arena = Bump::new();
        let inner = [Scalar::Float(0.1 + 0.2), Scalar::Text(""), Scalar::List(&[])];
        let fields = [
            ("a.b", Scalar::Text("é\0")),
            ("n", Scalar::Integer(i64::MIN)),
            ("l", Scalar::List(&inner)),
            ("t", Scalar::Bool(true)),
        ];
        let mut bytes = Vec::new();
        fields.iter().for_each(|(name, value)| write(name, value, &mut bytes));
        let mut back = Vec::new();
        read(&bytes, &arena, |name, value| back.push((name, value)));
        assert_eq!(back, fields);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let arena = Bump::new();
            let mut count = 0;
            read(&bytes, &arena, |_, _| count += 1);
            prop_assert!(count <= bytes.len());
        }
    }
}
