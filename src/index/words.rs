//! How free text falls into words, for the index and for the evaluator alike. Pure.
//!
//! A word is a run of letters and digits, ASCII letters lowered; every byte outside ASCII counts as a letter, so no
//! script is cut apart by rules made for another. One pass, no allocation per word. Deliberately without stemming,
//! stop words and percent-decoding: an analyst looks for what stood in the line.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longer words are cut here: a base64 payload of kilobytes is not looked up by its whole length, and the dictionary
/// stays small.
pub const WORD_BYTES_MAX: usize = 64;

/// The words of a text, in order, each lowered and cut at [`WORD_BYTES_MAX`].
#[derive(Clone, Debug)]
pub struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    /// Starts at the beginning of `text`.
    pub fn of(text: &'a str) -> Self {
        Words { text, at: 0 }
    }

    /// Writes the next word into `word`; `None` at the end, else the range of the whole word in the text.
    pub fn next_into(&mut self, word: &mut String) -> Option<std::ops::Range<usize>> {
        let bytes = self.text.as_bytes();
        let start = self.at + bytes[self.at..].iter().position(|byte| is_letter(*byte))?;
        let length = bytes[start..].iter().position(|byte| !is_letter(*byte)).unwrap_or(bytes.len() - start);
        self.at = start + length;
        word.clear();
        word.push_str(cut(&self.text[start..self.at], WORD_BYTES_MAX));
        word.make_ascii_lowercase();
        Some(start..self.at)
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut word = String::new();
        self.next_into(&mut word).map(|_| word)
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// The longest beginning of `text` within `bytes_max` that ends between characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Whether `phrase` stands in `text`, word after word.
pub fn holds_phrase(text: &str, phrase: &[String]) -> bool {
    let Some(first) = phrase.first() else { return false };
    let mut word = String::new();
    let mut words = Words::of(text);
    while words.next_into(&mut word).is_some() {
        if word == *first && follows(words.clone(), &phrase[1..]) {
            return true;
        }
    }
    false
}

fn follows(mut words: Words<'_>, rest: &[String]) -> bool {
    let mut word = String::new();
    rest.iter().all(|wanted| words.next_into(&mut word).is_some() && word == *wanted)
}

/// [`Words`] as a tokenizer.
#[derive(Clone, Debug, Default)]
pub struct WordTokenizer {
    token: Token,
}

/// The words of one text.
#[derive(Debug)]
pub struct WordStream<'a> {
    words: Words<'a>,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { words: Words::of(text), token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(range) = self.words.next_into(&mut self.token.text) else { return false };
        self.token.offset_from = range.start;
        self.token.offset_to = range.end;
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).collect()
    }

    #[test]
    fn texts_fall_into_lowered_runs() {
        assert_eq!(words("/Wp-Login.php?a=1%20b"), ["wp", "login", "php", "a", "1", "20b"]);
        assert_eq!(words("--"), Vec::<String>::new());
        assert_eq!(words("関所 Été"), ["関所", "Été"], "only ASCII letters are lowered");
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let word = words(&"é".repeat(100)).remove(0);
        assert_eq!(word.len(), WORD_BYTES_MAX);
        assert_eq!(cut("aé", 2), "a");
    }

    #[test]
    fn phrases_are_consecutive_words() {
        let phrase = |text: &str| words(text);
        assert!(holds_phrase("GET /a/b/a/c", &phrase("a/c")));
        assert!(!holds_phrase("GET /a/b/c", &phrase("a c")));
        assert!(!holds_phrase("anything", &[]));
    }
}
