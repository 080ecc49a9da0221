//! The encodings that Sigma's modifiers apply to a value before it is sought. Pure.

/// The alphabet of RFC 4648 §4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What Windows takes for the dash of an option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// Five spellings for each dash: three dashes give 125 values, and no real rule has more than two.
const DASHES_MAX: usize = 3;

/// How text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    LittleEndian,
    BigEndian,
    /// Little endian after a byte order mark.
    Marked,
}

/// UTF-16.
pub(super) fn wide(text: &str, wide: Wide) -> Vec<u8> {
    let mark = (wide == Wide::Marked).then_some(0xfeff);
    let units = mark.into_iter().chain(text.encode_utf16());
    match wide {
        Wide::LittleEndian | Wide::Marked => units.flat_map(u16::to_le_bytes).collect(),
        Wide::BigEndian => units.flat_map(u16::to_be_bytes).collect(),
    }
}

/// Base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let six = (bits >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit > group.len() { '=' } else { char::from(ALPHABET[six]) });
        }
    }
    out
}

/// What `bytes` look like in the middle of longer base64, at each of the three alignments, without the characters
/// that their neighbours also decide.
pub(super) fn base64_offsets(bytes: &[u8]) -> [String; 3] {
    [0, 2, 3].map(|start| {
        let offset = if start == 0 { 0 } else { start - 1 };
        let shifted = [vec![0; offset], bytes.to_vec()].concat();
        let encoded = base64(&shifted);
        let cut = [0, 3, 2][shifted.len() % 3];
        encoded.get(start..encoded.len() - cut).unwrap_or_default().to_owned()
    })
}

/// The spellings of a text whose options may start with another dash. `None` where there are too many dashes.
pub(super) fn dashes(text: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = text.chars().collect();
    let word = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let is_option = |at: usize| matches!(chars[at], '-' | '/') && !word(at.checked_sub(1)) && word(Some(at + 1));
    let places: Vec<usize> = (0..chars.len()).filter(|at| is_option(*at)).collect();
    if places.len() > DASHES_MAX {
        return None;
    }
    let mut all = vec![chars.clone()];
    for place in places {
        let spelled = |spelling: &Vec<char>, dash| {
            let mut other = spelling.clone();
            other[place] = dash;
            other
        };
        all = all.iter().flat_map(|spelling| DASHES.map(|dash| spelled(spelling, dash))).collect();
    }
    Some(all.into_iter().map(String::from_iter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648() {
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn offsets_stand_in_any_longer_text() {
        for before in ["", "a", "ab", "abc", "abcd"] {
            for after in ["", "x", "xy"] {
                let whole = base64(format!("{before}/bin/bash{after}").as_bytes());
                assert!(base64_offsets(b"/bin/bash").iter().any(|part| whole.contains(part)), "{before} {after}");
            }
        }
        assert_eq!(base64_offsets(b"foobar"), ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
    }

    #[test]
    fn utf_16() {
        assert_eq!(wide("a", Wide::LittleEndian), [b'a', 0]);
        assert_eq!(wide("a", Wide::BigEndian), [0, b'a']);
        assert_eq!(wide("a", Wide::Marked), [0xff, 0xfe, b'a', 0]);
    }

    #[test]
    fn only_the_dash_of_an_option_varies() {
        let all = dashes("x-y -f").unwrap();
        assert_eq!(all.len(), DASHES.len());
        assert!(all.contains(&"x-y /f".to_owned()) && all.contains(&"x-y -f".to_owned()));
        assert!(dashes("-a -b -c -d").is_none());
    }
}
