//! Instants and durations in whole milliseconds, and their one text form. Pure.
//!
//! Deliberately without a clock: an instant only ever comes from a record, a setting or a test.

use std::fmt;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// Milliseconds in a second.
pub const SECOND: i64 = 1_000;
/// Milliseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Milliseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Milliseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// A calendar instant in UTC. Months and days count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub millisecond: u16,
}

impl Time {
    /// The earliest instant Sekisho keeps: year 0000. Earlier claims are flaws.
    pub const MIN: Time = Time(-62_167_219_200_000);
    /// The latest instant Sekisho keeps: the end of year 9999, the last with four digits (RFC 3339 §1).
    pub const MAX: Time = Time(253_402_300_799_999);

    /// The instant of a calendar date, or `None` where a part is out of its range.
    /// Second 60 (a leap second) is taken as the last millisecond of second 59.
    pub fn from_civil(civil: Civil) -> Option<Time> {
        let Civil { year, month, day, hour, minute, second, millisecond } = civil;
        let valid = (1..=12).contains(&month)
            && day >= 1
            && day <= days_in_month(year, month)
            && hour < 24
            && minute < 60
            && second <= 60
            && millisecond < 1_000
            && (0..=9_999).contains(&year);
        if !valid {
            return None;
        }
        let (second, millisecond) = if second == 60 { (59, 999) } else { (second, millisecond) };
        let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        let days = days_from_civil(year, i64::from(month), i64::from(day));
        Some(Time(days * DAY + seconds * SECOND + i64::from(millisecond)))
    }

    /// The calendar date of this instant, in UTC.
    pub fn to_civil(self) -> Civil {
        let days = self.0.div_euclid(DAY);
        let rest = self.0.rem_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: (rest / HOUR) as u8,
            minute: (rest / MINUTE % 60) as u8,
            second: (rest / SECOND % 60) as u8,
            millisecond: (rest % SECOND) as u16,
        }
    }

    /// The whole second this instant lies in, counted from the epoch.
    pub fn second(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// This instant moved by `milliseconds`, held to what [`Time`] can say.
    pub fn plus(self, milliseconds: i64) -> Time {
        Time(self.0.saturating_add(milliseconds).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds from `earlier` to this instant; negative where this one is the earlier.
    pub fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23T17:05:03.414Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = Time(self.0.clamp(Self::MIN.0, Self::MAX.0)).to_civil();
        let (hour, minute, second, millisecond) = (c.hour, c.minute, c.second, c.millisecond);
        write!(f, "{:04}-{:02}-{:02}T", c.year, c.month, c.day)?;
        write!(f, "{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

/// Reads the text form that [`Time`] is written in, and no other.
impl<'de> serde::Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Time);
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse_own_form(&text).ok_or_else(|| serde::de::Error::custom("not a time like 2026-11-23T17:05:03.414Z"))
    }
}

fn parse_own_form(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00.000Z";
    let fits = bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s });
    if !fits {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| bytes[range].iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Time::from_civil(Civil {
        year: number(0..4),
        month: number(5..7) as u8,
        day: number(8..10) as u8,
        hour: number(11..13) as u8,
        minute: number(14..16) as u8,
        second: number(17..19) as u8,
        millisecond: number(20..23) as u16,
    })
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the epoch to a proleptic Gregorian date (era arithmetic, 400 years at a time).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u8;
    let month = (if shifted < 10 { shifted + 3 } else { shifted - 9 }) as u8;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time(1_795_453_503_414).to_string(), "2026-11-23T17:05:03.414Z");
        assert_eq!(Time::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Time::MIN.to_string(), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -200_000..200_000 {
            let time = Time(day * DAY + 12_345_678);
            assert_eq!(Time::from_civil(time.to_civil()), Some(time));
        }
    }

    #[test]
    fn its_own_text_is_read_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Time>(serde_json::json!(text)).ok();
        assert_eq!(read("2026-11-23T17:05:03.414Z"), Some(Time(1_795_453_503_414)));
        assert_eq!(read("2026-11-23T17:05:03Z"), None);
        assert_eq!(read("2026-02-30T17:05:03.414Z"), None);
    }
}
