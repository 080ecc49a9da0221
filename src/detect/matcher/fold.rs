//! Case folding: the one mapping under which text and literals are compared. Pure.
//!
//! Character by character, so that a literal that occurs in a text occurs folded in the folded text too. Deliberately
//! not `str::to_lowercase`, which looks at neighbours (the Greek final sigma) and would break that.

/// Appends the folded form of `text` to `out`.
pub(super) fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// The folded form of `text`.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_folds_as_it_does_in_the_whole() {
        assert_eq!(fold("GET /Ä"), "get /ä");
        assert_eq!(fold("ΟΔΟΣ ΟΔΟΣ"), fold("ΟΔΟΣ") + " " + &fold("ΟΔΟΣ"));
        assert_eq!(fold("ΟΔΟΣΑ"), fold("ΟΔΟΣ") + &fold("Α"));
    }
}
