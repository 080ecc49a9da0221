//! Bytes of a file → lines, taken only once their end is there. Pure.
//!
//! A line is a record, an empty one too. What is kept of a line is what `replay` keeps: at most one byte more than
//! [`LINE_BYTES_MAX`], so that whoever decodes it sees that it was cut. Deliberately without memory: what was not taken
//! is read again from the file, so a cursor says everything and a restart in mid-line is no special case.

use memchr::memchr;

use crate::event::LINE_BYTES_MAX;

/// Of a line too long one byte more than the limit is kept, so that its decoder sees that it was cut.
pub const KEPT_BYTES_MAX: usize = LINE_BYTES_MAX + 1;

/// What was taken of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the block that need not be read again.
    pub bytes: usize,
    pub lines: u64,
    /// Lines of which the end was cut off.
    pub cut: u64,
    /// NUL bytes passed over at the start of lines.
    pub nuls: u64,
    /// Whether the bytes up to the next line end belong to a line that was already taken, cut.
    pub inside_cut: bool,
}

/// Takes the lines of `block` whose ends are in it and gives each to `line`. `inside_cut` is that of the block before.
/// A line that already has more than [`LINE_BYTES_MAX`] bytes is taken without its end, and its rest passed over.
/// NUL bytes at the start of a line are passed over: they are the hole that a truncated file has below the place where
/// its writer goes on.
pub fn take(block: &[u8], inside_cut: bool, mut line: impl FnMut(&[u8])) -> Taken {
    let mut taken = Taken { inside_cut, ..Taken::default() };
    if inside_cut {
        let Some(end) = memchr(b'\n', block) else { return Taken { bytes: block.len(), ..taken } };
        taken.bytes = end + 1;
        taken.inside_cut = false;
    }
    loop {
        let nuls = block[taken.bytes..].iter().take_while(|byte| **byte == 0).count();
        taken.nuls += nuls as u64;
        taken.bytes += nuls;
        let rest = &block[taken.bytes..];
        if let Some(end) = memchr(b'\n', rest) {
            taken.count(&rest[..end], &mut line);
            taken.bytes += end + 1;
        } else if rest.len() > LINE_BYTES_MAX {
            taken.count(rest, &mut line);
            taken.bytes = block.len();
            taken.inside_cut = true;
            return taken;
        } else {
            return taken;
        }
    }
}

/// The last line of a file that nobody writes any more: `rest` is what [`take`] left. Nothing is no line.
pub fn take_last(rest: &[u8], mut line: impl FnMut(&[u8])) -> Taken {
    let mut taken = Taken { bytes: rest.len(), ..Taken::default() };
    if !rest.is_empty() {
        taken.count(rest, &mut line);
    }
    taken
}

impl Taken {
    fn count(&mut self, text: &[u8], line: &mut impl FnMut(&[u8])) {
        self.lines += 1;
        if text.len() > LINE_BYTES_MAX {
            self.cut += 1;
            line(&text[..KEPT_BYTES_MAX]);
        } else {
            line(text.strip_suffix(b"\r").unwrap_or(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes `text` as a file that grows by these steps, read in blocks of at most `block` bytes.
    fn follow(text: &[u8], steps: &[usize], block: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut lines, mut offset, mut inside_cut, mut size) = (Vec::new(), 0, false, 0);
        for step in steps.iter().copied().chain([text.len()]) {
            size = (size + step).min(text.len());
            loop {
                let end = size.min(offset + block);
                let taken = take(&text[offset..end], inside_cut, |line| lines.push(line.to_vec()));
                offset += taken.bytes;
                inside_cut = taken.inside_cut;
                if taken.bytes == 0 {
                    break;
                }
            }
        }
        (lines, text[offset..].to_vec())
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_split(
            text in "[ab\r\n]{0,200}", steps in prop::collection::vec(0usize..40, 0..9), block in 201usize..300,
        ) {
            let (lines, rest) = follow(text.as_bytes(), &steps, block);
            let mut expected: Vec<&str> = text.split('\n').collect();
            prop_assert_eq!(rest, expected.pop().unwrap().as_bytes());
            let expected: Vec<&[u8]> = expected.iter().map(|l| l.strip_suffix('\r').unwrap_or(l).as_bytes()).collect();
            prop_assert_eq!(lines, expected);
        }
    }

    #[test]
    fn the_limit_is_exact_and_a_long_line_is_one_record() {
        for (length, kept, cut) in [
            (LINE_BYTES_MAX - 1, LINE_BYTES_MAX - 1, 0),
            (LINE_BYTES_MAX, LINE_BYTES_MAX, 0),
            (LINE_BYTES_MAX + 1, KEPT_BYTES_MAX, 1),
            (3_000_000, KEPT_BYTES_MAX, 1),
        ] {
            let text = [&vec![b'x'; length][..], b"\nnext\nhalf"].concat();
            let (lines, rest) = follow(&text, &[1_000, 200_000, 200_000], 2 * LINE_BYTES_MAX);
            assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [kept, 4], "{length}");
            assert_eq!(rest, b"half");
            assert_eq!(take(&text, false, |_| ()).cut, cut);
        }
    }

    #[test]
    fn holes_are_passed_over_and_counted() {
        let mut lines = Vec::new();
        let taken = take(b"\0\0\0one\n\0\0", false, |line| lines.push(line.to_vec()));
        assert_eq!((taken.bytes, taken.nuls, lines), (9, 5, vec![b"one".to_vec()]));
        assert_eq!(take(b"a\0b\n", false, |line| assert_eq!(line, b"a\0b")).nuls, 0);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(take_last(b"", |_| panic!("no line")).lines, 0);
        assert_eq!(take_last(b"half", |line| assert_eq!(line, b"half")).bytes, 4);
    }
}
