//! Moments as Marathon writes them: UTC, three digits of milliseconds, `Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr, time::Duration};
use thiserror::Error;

/// Milliseconds since the Unix epoch; versions of apps, groups and plans are timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A text that is no timestamp.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Invalid timestamp provided '{0}'. Expecting ISO-8601 datetime string.")]
pub struct TimestampError(pub String);

// === impl Timestamp ===

impl Timestamp {
    /// From a time since the Unix epoch, cut to milliseconds.
    pub fn from_wall(wall: Duration) -> Self {
        Self(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time since the Unix epoch.
    pub fn wall(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).ok_or_else(|| TimestampError(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Year, month and day of a day since 1970-01-01 (the proleptic Gregorian calendar, counted in
/// eras of 400 years that begin on the first of March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let leaps = day_of_era / 1460;
    let year_of_era = (day_of_era - leaps + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-').map(|part| digits(part, 2));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (clock, offset) = split_offset(time)?;
    let (clock, millis) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, milliseconds(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.splitn(3, ':').map(|part| digits(part, 2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let in_range = (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day).filter(|_| in_range && year < 10_000 && day > 0)?;
    // A day that the month does not have comes back as another.
    if civil(days) != (year, month, day) {
        return None;
    }
    let local = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis;
    Some(Timestamp(u64::try_from(i64::try_from(local).ok()? - offset).ok()?))
}

/// The clock part, and the offset from UTC in milliseconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let at = time.find(['+', '-'])?;
    let (clock, offset) = time.split_at_checked(at)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':').or_else(|| offset.split_at_checked(2))?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let millis = i64::try_from((hours * 60 + minutes) * 60_000).ok()?;
    (hours < 24 && minutes < 60).then_some((clock, if sign == "-" { -millis } else { millis }))
}

fn digits(text: &str, at_least: usize) -> Option<u64> {
    let plain = text.len() >= at_least && text.len() <= 4;
    (plain && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded: String = fraction.chars().chain("00".chars()).take(3).collect();
    padded.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_580_464_800_000).to_string(), "2020-01-31T10:00:00.000Z");
        assert_eq!(Timestamp(951_826_154_321).to_string(), "2000-02-29T12:09:14.321Z");
        for (text, millis) in [
            ("2020-01-31T10:00:00.000Z", 1_580_464_800_000),
            ("2020-01-31T10:00:00Z", 1_580_464_800_000),
            ("2020-01-31T12:30:00.5+02:30", 1_580_464_800_500),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp() {
        for bad in [
            "",
            "now",
            "2020-02-30T00:00:00Z",
            "2020-13-01T00:00:00Z",
            "2020-01-01",
            "2020-01-01T25:00:00Z",
            "2020-01-01T00:00:00.Z",
            "1969-12-31T23:59:59Z",
            "é-1-1T0:0Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(millis in 0u64..253_402_300_800_000) {
            prop_assert_eq!(Timestamp(millis).to_string().parse(), Ok(Timestamp(millis)));
        }

        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
