//! What commands print: one escaper for text that others wrote, tables, JSON. I/O.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use super::CliError;

/// How a command prints its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// Text as it may reach a terminal: control characters, and those that change the order of what is read, are written
/// out as `\u{1b}`. Line feeds are kept where `lines` says so; everything else that moves the cursor is not.
pub fn visible(text: &str, lines: Lines) -> Cow<'_, str> {
    let hidden = |c: char| match c {
        '\n' => lines == Lines::Escaped,
        c => c.is_control() || reorders(c),
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// What becomes of line feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    Kept,
    Escaped,
}

/// Bidirectional controls, line and paragraph separators, and characters without width: what is seen is not what is
/// there (security sheet §4.3).
fn reorders(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Stdout, buffered.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes stdout.
    pub fn stdout() -> Output {
        Output { out: BufWriter::new(io::stdout().lock()) }
    }

    /// Prints one line, made visible.
    ///
    /// # Errors
    /// Stdout cannot be written to, or its reader is gone.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        let written = writeln!(self.out, "{}", visible(text, Lines::Escaped));
        written.map_err(|error| CliError::of_stdout(&error))
    }

    /// Prints a text of many lines, made visible.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        let written = write!(self.out, "{}", visible(text, Lines::Kept));
        written.map_err(|error| CliError::of_stdout(&error))
    }

    /// Prints a value as indented JSON; control characters are JSON escapes, and the others are made visible as such.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json<T: Serialize>(&mut self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::environment(format!("cannot write as JSON: {error}")))?;
        self.json_text(&text)
    }

    /// Prints a JSON text on a line of its own, otherwise as [`Output::json`] does. Its bytes stay what they are but for
    /// characters that are made visible.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json_text(&mut self, text: &str) -> Result<(), CliError> {
        let mut shown = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            if c != '\n' && (c.is_control() || reorders(c)) {
                let mut units = [0u16; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
            } else {
                shown.push(c);
            }
        }
        shown.push('\n');
        self.out.write_all(shown.as_bytes()).map_err(|error| CliError::of_stdout(&error))
    }

    /// Prints rows under a heading, in columns as wide as their longest cell.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) -> Result<(), CliError> {
        let shown: Vec<[Cow<'_, str>; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| visible(cell, Lines::Escaped))).collect();
        let width = |column: usize| {
            let cells = shown.iter().map(|row| row[column].chars().count());
            cells.chain([heading[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        self.row(&heading.map(Cow::Borrowed), &widths)?;
        shown.iter().try_for_each(|row| self.row(row, &widths))
    }

    fn row<const N: usize>(&mut self, cells: &[Cow<'_, str>; N], widths: &[usize]) -> Result<(), CliError> {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        self.line(padded.join("  ").trim_end())
    }

    /// Shows what is buffered now, for output that is watched.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|error| CliError::of_stdout(&error))
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn finish(mut self) -> Result<(), CliError> {
        self.out.flush().map_err(|error| CliError::of_stdout(&error))
    }
}

/// Says on stderr what is wrong. Red where that is a terminal and `NO_COLOR` is not set.
pub fn complain(message: &str) {
    let (red, plain) = if colours() { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
    // Nothing better can be done when stderr cannot be written to.
    let _ = writeln!(io::stderr().lock(), "{red}error:{plain} {}", visible(message, Lines::Kept));
}

/// Says something on stderr that is no error.
pub fn remark(message: &str) {
    // Nothing better can be done when stderr cannot be written to.
    let _ = writeln!(io::stderr().lock(), "{}", visible(message, Lines::Kept));
}

/// Whether messages may be coloured: <https://no-color.org>.
pub fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_the_cursor_or_the_eye_is_written_out() {
        assert_eq!(visible("plain 関所 é", Lines::Escaped), "plain 関所 é");
        assert_eq!(visible("a\u{1b}[2Jb\r\n", Lines::Escaped), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(visible("a\nb\u{9b}c", Lines::Kept), "a\nb\\u{9b}c");
        assert_eq!(visible("gpj.\u{202e}exe\u{2066}", Lines::Kept), "gpj.\\u{202e}exe\\u{2066}");
    }
}
