//! Bytes → chunks of lines, bounded whatever the bytes are. I/O only through the reader it is given.
//!
//! A line is a record: its number is its offset, and an empty line is one too. Deliberately without opinion on what a
//! line says.

use std::io::{self, Read};

use memchr::memchr;

use crate::event::LINE_BYTES_MAX;

/// A chunk ends after so many lines: enough to make hand-over cheap, few enough that what examining says of them stays
/// in a core's second-level cache until it is folded, and that its memory is used again while it is warm.
pub const CHUNK_LINES_MAX: usize = 1024;
/// A chunk ends after the line with which it reaches so many bytes: some more than usual lines of that number take.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Of a line too long one byte more than the limit is kept, so that whoever decodes it sees that it was cut.
const KEPT_BYTES_MAX: usize = LINE_BYTES_MAX + 1;
/// Bytes read at a time.
const BLOCK_BYTES: usize = 128 * 1024;

/// Some consecutive lines of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The offset of the first line.
    pub first: u64,
    /// How many bytes of the input these lines were, with their ends and what was cut.
    pub input_bytes: u64,
    /// Offset and true length of the lines that were cut.
    pub cut: Vec<(u64, u64)>,
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`; it starts where the one before ends.
    ends: Vec<u32>,
}

/// Splits a reader into chunks.
pub struct Lines<R> {
    reader: R,
    block: Vec<u8>,
    at: usize,
    filled: usize,
    next: u64,
    chunk_bytes_max: usize,
}

impl Chunk {
    /// How many lines it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The lines without their ends, in order.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| *end as usize));
        let spans = starts.zip(self.ends.iter().map(|end| *end as usize));
        spans.zip(self.first..).map(|((start, end), offset)| (offset, &self.bytes[start..end]))
    }

    fn end_line(&mut self, length: u64) {
        let start = self.ends.last().map_or(0, |end| *end as usize);
        if length > LINE_BYTES_MAX as u64 {
            self.cut.push((self.first + self.ends.len() as u64, length));
        } else if self.bytes.len() > start && self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
        // A chunk stays below its limit and one line more: far from 4 GiB.
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }
}

impl<R: Read> Lines<R> {
    /// Starts at offset 0; chunks end at the given number of bytes, at most [`CHUNK_BYTES_MAX`].
    pub fn new(reader: R, chunk_bytes_max: usize) -> Lines<R> {
        let chunk_bytes_max = chunk_bytes_max.min(CHUNK_BYTES_MAX);
        Lines { reader, block: vec![0; BLOCK_BYTES], at: 0, filled: 0, next: 0, chunk_bytes_max }
    }

    /// The next chunk; `None` at the end of the input. A last line without its end counts.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        self.next_chunk_in(Chunk::default())
    }

    /// The next chunk, in the memory of one that is no longer needed.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn next_chunk_in(&mut self, spare: Chunk) -> io::Result<Option<Chunk>> {
        let Chunk { mut bytes, mut ends, .. } = spare;
        bytes.clear();
        ends.clear();
        // Room for a whole chunk at once: growing step by step would copy each line twice.
        bytes.reserve(self.chunk_bytes_max);
        ends.reserve(CHUNK_LINES_MAX);
        let mut chunk = Chunk { first: self.next, bytes, ends, ..Chunk::default() };
        while chunk.len() < CHUNK_LINES_MAX && chunk.bytes.len() < self.chunk_bytes_max {
            let Some(length) = self.read_line(&mut chunk)? else { break };
            chunk.end_line(length);
        }
        self.next += chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// Appends one line to the chunk, as far as it is kept; gives its true length, or `None` at the end.
    fn read_line(&mut self, chunk: &mut Chunk) -> io::Result<Option<u64>> {
        let start = chunk.bytes.len();
        let mut length = 0;
        loop {
            if self.at == self.filled && !self.fill()? {
                return Ok((length > 0).then_some(length));
            }
            let rest = &self.block[self.at..self.filled];
            let end = memchr(b'\n', rest);
            let part = &rest[..end.unwrap_or(rest.len())];
            let room = KEPT_BYTES_MAX - (chunk.bytes.len() - start);
            chunk.bytes.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len() as u64;
            chunk.input_bytes += part.len() as u64 + u64::from(end.is_some());
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.at = 0;
        self.filled = 0;
        loop {
            match self.reader.read(&mut self.block) {
                Ok(count) => {
                    self.filled = count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], chunk_bytes_max: usize) -> Vec<Chunk> {
        let mut lines = Lines::new(bytes, chunk_bytes_max);
        std::iter::from_fn(|| lines.next_chunk().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_split(text in "[ab\r\n]{0,200}", size in 1usize..50) {
            let chunks = all(text.as_bytes(), size);
            let found: Vec<(u64, Vec<u8>)> =
                chunks.iter().flat_map(|chunk| chunk.lines().map(|(offset, line)| (offset, line.to_vec()))).collect();
            let body = text.strip_suffix('\n').unwrap_or(&text);
            let expected: Vec<(u64, Vec<u8>)> = body
                .split('\n')
                .filter(|_| !text.is_empty())
                .map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec())
                .zip(0..)
                .map(|(line, offset)| (offset, line))
                .collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(chunks.iter().map(|chunk| chunk.input_bytes).sum::<u64>(), text.len() as u64);
        }
    }

    #[test]
    fn a_line_of_ten_megabytes_is_one_record_and_cut() {
        let bytes = [&b"first\n"[..], &vec![b'x'; 10_000_000], b"\nlast"].concat();
        let chunks = all(&bytes, CHUNK_BYTES_MAX);
        let lengths: Vec<(u64, usize)> =
            chunks.iter().flat_map(|chunk| chunk.lines().map(|(offset, line)| (offset, line.len()))).collect();
        assert_eq!(lengths, [(0, 5), (1, LINE_BYTES_MAX + 1), (2, 4)]);
        assert_eq!(chunks[0].cut, [(1, 10_000_000)]);
    }

    #[test]
    fn chunks_end_by_lines_too() {
        let chunks = all(&b"\n".repeat(CHUNK_LINES_MAX * 2 + 1), CHUNK_BYTES_MAX);
        assert_eq!(chunks.iter().map(Chunk::len).collect::<Vec<_>>(), [CHUNK_LINES_MAX, CHUNK_LINES_MAX, 1]);
        assert_eq!(chunks[2].first, 2 * CHUNK_LINES_MAX as u64);
    }
}
