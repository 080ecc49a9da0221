//! The times that log lines claim, as text → instant. Pure.
//!
//! Every function takes the whole text and answers `None` where it is not that form, or lies outside
//! [`Time::MIN`]..=[`Time::MAX`]. Deliberately without guessing between forms: the format knows which one it writes.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::event::{Civil, DAY, MINUTE, SECOND, Time};

/// Half a year: a date nearer than this to the reference needs no other year tried.
const HALF_YEAR: i64 = 182 * DAY;
/// The years to each side in which 29 February occurs at least once (1896 to 1904 have none between).
const LEAP_YEARS_APART: i64 = 8;

/// The access-log form `23/Nov/2026:17:02:03 +0000`, with or without a fraction of the second.
pub fn clf(text: &[u8]) -> Option<Time> {
    clf_in_utc(text).or_else(|| clf_in_zone(text))
}

fn clf_in_zone(text: &[u8]) -> Option<Time> {
    let [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':', rest @ ..] = text else { return None };
    let day = two(*d1, *d2)?;
    let month = month(&[*m1, *m2, *m3])?;
    let year = i64::from(two(*y1, *y2)?) * 100 + i64::from(two(*y3, *y4)?);
    let (clock, used) = clock(rest)?;
    let zone = rest[used..].strip_prefix(b" ")?;
    let time = Time::from_civil(clock.on(year, month, day))?;
    held(time.0.checked_sub(offset(zone)?)?)
}

/// The usual length of [`clf`]'s form in UTC, read at fixed places: nearly every access line is one of these.
fn clf_in_utc(text: &[u8]) -> Option<Time> {
    let text: &[u8; 26] = text.try_into().ok()?;
    let marks = [text[2], text[6], text[11], text[14], text[17]];
    if marks != *b"//:::" || text[20..] != *b" +0000" {
        return None;
    }
    let places = [0, 1, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19];
    let digits = places.map(|at: usize| text[at].wrapping_sub(b'0'));
    // One look at all of them: each by itself costs a branch.
    if digits.iter().fold(0, |most, digit| most.max(*digit)) > 9 {
        return None;
    }
    let [day, century, year, hour, minute, second] =
        [0, 2, 4, 6, 8, 10].map(|at: usize| digits[at] * 10 + digits[at + 1]);
    let clock = Clock { hour, minute, second, millisecond: 0 };
    let year = i64::from(century) * 100 + i64::from(year);
    Time::from_civil(clock.on(year, month(&text[3..6])?, day))
}

/// RFC 3339 and its relatives: `2026-11-23T17:02:03.414Z`, `2026-11-23 17:02:03,414 +0100`; any fraction, and where
/// no offset is given, `zone`.
pub fn rfc3339(text: &[u8], zone: &TimeZone) -> Option<Time> {
    microseconds_in_utc(text).or_else(|| rfc3339_in_zone(text, zone))
}

/// `2026-11-23T17:02:03.414159+0000`, Suricata's form of [`rfc3339`], read at fixed places.
fn microseconds_in_utc(text: &[u8]) -> Option<Time> {
    let text: &[u8; 31] = text.try_into().ok()?;
    let marks = [text[4], text[7], text[10], text[13], text[16], text[19]];
    let fraction = &text[20..26];
    if marks != *b"--T::." || text[26..] != *b"+0000" || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let clock = Clock {
        hour: two(text[11], text[12])?,
        minute: two(text[14], text[15])?,
        second: two(text[17], text[18])?,
        millisecond: thousandths(fraction) as u16,
    };
    let year = i64::from(two(text[0], text[1])?) * 100 + i64::from(two(text[2], text[3])?);
    Time::from_civil(clock.on(year, two(text[5], text[6])?, two(text[8], text[9])?))
}

fn rfc3339_in_zone(text: &[u8], zone: &TimeZone) -> Option<Time> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', rest @ ..] = text else { return None };
    let year = i64::from(two(*y1, *y2)?) * 100 + i64::from(two(*y3, *y4)?);
    let (clock, used) = clock(rest)?;
    let civil = clock.on(year, two(*m1, *m2)?, two(*d1, *d2)?);
    let rest = &rest[used..];
    if rest.is_empty() {
        return in_zone(civil, zone);
    }
    let shift = offset(rest.strip_prefix(b" ").unwrap_or(rest))?;
    held(Time::from_civil(civil)?.0.checked_sub(shift)?)
}

/// RFC 3164 at the start of a line: `Nov 23 17:02:05`, `Nov  3 17:02:05`, with or without a fraction. The year is the
/// one that brings it nearest to `reference`. Also says how many bytes were read.
pub fn syslog(text: &[u8], reference: Time, zone: &TimeZone) -> Option<(Time, usize)> {
    let [m1, m2, m3, b' ', d1, d2, b' ', rest @ ..] = text else { return None };
    let month = month(&[*m1, *m2, *m3])?;
    let day = two(if *d1 == b' ' { b'0' } else { *d1 }, *d2)?;
    let (clock, used) = clock(rest)?;
    let time = nearest_year(clock, month, day, reference, zone)?;
    Some((time, text.len() - rest.len() + used))
}

/// C's `asctime`, as Apache's error log writes it: `Mon Nov 23 17:02:03 2026`, with or without a fraction.
pub fn asctime(text: &[u8], zone: &TimeZone) -> Option<Time> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let weekday = words.next()?;
    let month = month(words.next()?)?;
    let day = digits(words.next()?, 2)?;
    let hour = words.next()?;
    let (clock, used) = clock(hour)?;
    let year = digits(words.next()?, 4)?;
    let whole = weekday.len() == 3 && used == hour.len() && words.next().is_none();
    if whole { in_zone(clock.on(year, month, day as u8), zone) } else { None }
}

/// Time since 1970 as decimal text, with or without a fraction; seconds, milliseconds, microseconds or nanoseconds by
/// its size: counts below 10^11 are seconds (to the year 5138), below 10^14 milliseconds, below 10^17 microseconds.
pub fn epoch(text: &[u8]) -> Option<Time> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let dot = memchr::memchr(b'.', unsigned).unwrap_or(unsigned.len());
    let Some(whole) = digits(&unsigned[..dot], 18) else { return epoch_float(std::str::from_utf8(text).ok()?) };
    let fraction = unsigned.get(dot + 1..).unwrap_or(b"0");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return epoch_float(std::str::from_utf8(text).ok()?);
    }
    let (multiply, divide) = epoch_scale(whole as f64);
    let part = if multiply == 1_000 { thousandths(fraction) } else { 0 };
    let milliseconds = whole * multiply / divide + part;
    held(if negative { -milliseconds } else { milliseconds })
}

/// Numbers in scientific notation, and those with too many digits, which only a float can hold.
fn epoch_float(text: &str) -> Option<Time> {
    let starts_like_one = text.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite() && starts_like_one)?;
    let (multiply, divide) = epoch_scale(value.abs());
    let milliseconds = (value * multiply as f64 / divide as f64).floor();
    (milliseconds.abs() <= Time::MAX.0 as f64).then(|| held(milliseconds as i64)).flatten()
}

/// What to multiply and divide a count by to get milliseconds.
fn epoch_scale(size: f64) -> (i64, i64) {
    match size {
        size if size < 1e11 => (1_000, 1),
        size if size < 1e14 => (1, 1),
        size if size < 1e17 => (1, 1_000),
        _ => (1, 1_000_000),
    }
}

/// A time of day.
#[derive(Clone, Copy)]
struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    millisecond: u16,
}

impl Clock {
    fn on(self, year: i64, month: u8, day: u8) -> Civil {
        let Clock { hour, minute, second, millisecond } = self;
        Civil { year, month, day, hour, minute, second, millisecond }
    }
}

/// `17:02:03` with any fraction behind it, and how many bytes that took.
fn clock(text: &[u8]) -> Option<(Clock, usize)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else { return None };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    let [b'.' | b',', fraction @ ..] = rest else {
        return Some((Clock { hour, minute, second, millisecond: 0 }, 8));
    };
    let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let millisecond = thousandths(&fraction[..length]) as u16;
    (length > 0).then_some((Clock { hour, minute, second, millisecond }, 9 + length))
}

/// The milliseconds of a decimal fraction, rounded down.
fn thousandths(fraction: &[u8]) -> i64 {
    let digit = |place: usize| i64::from(fraction.get(place).map_or(0, |digit| digit - b'0'));
    digit(0) * 100 + digit(1) * 10 + digit(2)
}

/// `Z`, `+01:00`, `+0100` or `+01` as milliseconds east of Greenwich.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match text {
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [sign, h1, h2] => (sign, two(*h1, *h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    let size = (i64::from(hours) * 60 + i64::from(minutes)) * MINUTE;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(size),
        b'-' => Some(-size),
        _ => None,
    }
}

fn nearest_year(clock: Clock, month: u8, day: u8, reference: Time, zone: &TimeZone) -> Option<Time> {
    let year = reference.to_civil().year;
    let same = in_zone(clock.on(year, month, day), zone);
    if let Some(time) = same
        && time.since(reference).abs() < HALF_YEAR
    {
        return same;
    }
    let reach = if (month, day) == (2, 29) { LEAP_YEARS_APART } else { 1 };
    let years = year - reach..=year + reach;
    let times = years.filter_map(|year| in_zone(clock.on(year, month, day), zone));
    times.min_by_key(|time| time.since(reference).abs())
}

/// The instant of a local time. Where clocks are set forward it lies as far behind the gap as it was in it; where they
/// are set back it is the earlier of the two.
fn in_zone(civil: Civil, zone: &TimeZone) -> Option<Time> {
    let time = Time::from_civil(civil)?;
    if *zone == TimeZone::UTC {
        return Some(time);
    }
    let civil = time.to_civil();
    let local = DateTime::new(
        i16::try_from(civil.year).ok()?,
        civil.month as i8,
        civil.day as i8,
        civil.hour as i8,
        civil.minute as i8,
        civil.second as i8,
        i32::from(civil.millisecond) * 1_000_000,
    );
    let instant = zone.to_ambiguous_timestamp(local.ok()?).compatible().ok()?;
    held(instant.as_millisecond())
}

fn month(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| tens * 10 + ones)
}

/// A whole number of at most `length_max` digits; 18 is the most that always fits.
fn digits(text: &[u8], length_max: usize) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= length_max && text.iter().all(u8::is_ascii_digit);
    fits.then(|| text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn held(milliseconds: i64) -> Option<Time> {
    let time = Time(milliseconds);
    (Time::MIN..=Time::MAX).contains(&time).then_some(time)
}

const _: () = assert!(SECOND == 1_000, "fractions are counted in thousandths");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(time: Option<Time>) -> String {
        time.map_or_else(|| "none".to_owned(), |time| time.to_string())
    }

    #[test]
    fn access_log_times() {
        for (given, expected) in [
            ("23/Nov/2026:17:02:03 +0000", "2026-11-23T17:02:03.000Z"),
            ("07/Dec/2016:11:05:07 +0100", "2016-12-07T10:05:07.000Z"),
            ("29/Feb/2024:23:59:60 -0330", "2024-03-01T03:29:59.999Z"),
            ("23/Nov/2026:17:02:03.25 +0000", "2026-11-23T17:02:03.250Z"),
            ("29/Feb/2026:00:00:00 +0000", "none"),
            ("23/nov/2026:17:02:03 +0000", "none"),
            ("23/Nov/2026:17:02:03", "none"),
            ("23/Nov/2026:17:02:03 +0000 ", "none"),
            ("01/Jan/0000:00:00:00 +0100", "none"),
            ("", "none"),
        ] {
            assert_eq!(text(clf(given.as_bytes())), expected, "{given}");
        }
    }

    #[test]
    fn rfc3339_times() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        for (given, expected) in [
            ("2026-11-23T17:02:03Z", "2026-11-23T17:02:03.000Z"),
            ("2026-08-21T10:00:00.123456+0000", "2026-08-21T10:00:00.123Z"),
            ("2026-11-23t17:02:03.4-05:30", "2026-11-23T22:32:03.400Z"),
            ("2026-11-23 17:02:03,414 +01", "2026-11-23T16:02:03.414Z"),
            ("2026-11-23 17:02:03", "2026-11-23T08:02:03.000Z"),
            ("2026-11-23T17:02:03.", "none"),
            ("2026-11-23T25:02:03Z", "none"),
            ("2026-11-23T17:02:03 +25:00", "none"),
            ("9999-12-31T23:59:59-01:00", "none"),
        ] {
            assert_eq!(text(rfc3339(given.as_bytes(), &tokyo)), expected, "{given}");
        }
    }

    #[test]
    fn a_year_is_the_nearest() {
        let reference = rfc3339(b"2026-01-02T00:00:00Z", &TimeZone::UTC).unwrap();
        for (given, expected, used) in [
            ("Jan  3 17:02:05 host", "2026-01-03T17:02:05.000Z", 15),
            ("Dec 31 23:59:59 host", "2025-12-31T23:59:59.000Z", 15),
            ("Jun 30 00:00:00.5 host", "2026-06-30T00:00:00.500Z", 17),
            ("Feb 29 00:00:00", "2024-02-29T00:00:00.000Z", 15),
        ] {
            let (time, length) = syslog(given.as_bytes(), reference, &TimeZone::UTC).unwrap();
            assert_eq!((time.to_string().as_str(), length), (expected, used), "{given}");
        }
        assert_eq!(syslog(b"Nov 3 17:02:05 host", reference, &TimeZone::UTC), None);
        assert_eq!(syslog(b"Nov 31 17:02:05 host", reference, &TimeZone::UTC), None);
    }

    #[test]
    fn clocks_that_are_set_forward_and_back() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(text(asctime(b"Sun Mar 29 02:30:00 2026", &berlin)), "2026-03-29T01:30:00.000Z");
        assert_eq!(text(asctime(b"Sun Oct 25 02:30:00.25 2026", &berlin)), "2026-10-25T00:30:00.250Z");
        assert_eq!(text(asctime(b"Mon Nov  3 17:02:03 2025", &berlin)), "2025-11-03T16:02:03.000Z");
        assert_eq!(text(asctime(b"Mon Nov 3 17:02:03 2025 x", &berlin)), "none");
    }

    #[test]
    fn epochs_by_size() {
        for (given, expected) in [
            ("1795453503", "2026-11-23T17:05:03.000Z"),
            ("1795453503.4149", "2026-11-23T17:05:03.414Z"),
            ("1795453503414", "2026-11-23T17:05:03.414Z"),
            ("1795453503414000", "2026-11-23T17:05:03.414Z"),
            ("1795453503414000000", "2026-11-23T17:05:03.414Z"),
            ("1.795453503414e9", "2026-11-23T17:05:03.414Z"),
            ("-1.5", "1969-12-31T23:59:58.500Z"),
            ("9e300", "none"),
            ("nan", "none"),
            ("1.5x", "none"),
            ("", "none"),
        ] {
            assert_eq!(text(epoch(given.as_bytes())), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_time_within_bounds_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64),
                                                      near in "[0-9TZ :.+/,-]{0,40}") {
            let zone = TimeZone::get("America/St_Johns").unwrap();
            for text in [bytes.as_slice(), near.as_bytes()] {
                let syslog = syslog(text, Time(0), &zone).map(|(time, _)| time);
                let times = [clf(text), rfc3339(text, &zone), syslog, asctime(text, &zone), epoch(text)];
                prop_assert!(times.iter().flatten().all(|time| (Time::MIN..=Time::MAX).contains(time)));
            }
        }

        #[test]
        fn every_instant_is_read_from_its_own_text(milliseconds in Time::MIN.0..=Time::MAX.0) {
            let time = Time(milliseconds);
            prop_assert_eq!(rfc3339(time.to_string().as_bytes(), &TimeZone::UTC), Some(time));
        }

        #[test]
        fn times_at_fixed_places_are_as_elsewhere(
            usual in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{6}\\+0000",
            at in 0usize..31,
            other in any::<u8>(),
        ) {
            let mut text = usual.into_bytes();
            prop_assert_eq!(rfc3339(&text, &TimeZone::UTC), rfc3339_in_zone(&text, &TimeZone::UTC));
            text[at] = other;
            prop_assert_eq!(rfc3339(&text, &TimeZone::UTC), rfc3339_in_zone(&text, &TimeZone::UTC));
        }
    }
}
