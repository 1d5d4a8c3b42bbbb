//! Points in time handed to pure cores, and the text forms of durations and sizes in flags and endpoints.
//!
//! Nothing here reads a clock: the shells fill in [`Now`].
use crate::v1;
use std::{fmt, time::Duration};

/// What time it is: one reading handed along with every input of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// Since an arbitrary start, never going back: for timers.
    pub mono: Duration,
    /// Since the Unix epoch: for timestamps that leave the process.
    pub wall: Duration,
}

impl Now {
    /// The wall clock as `TaskStatus.timestamp` and the `/state` times have it.
    pub fn seconds(&self) -> f64 {
        seconds(self.wall)
    }

    /// The wall clock as a message.
    pub fn time_info(&self) -> v1::TimeInfo {
        self.wall.into()
    }

    /// This reading moved on by `by`, on both clocks.
    #[must_use]
    pub fn plus(&self, by: Duration) -> Self {
        Self { mono: self.mono.saturating_add(by), wall: self.wall.saturating_add(by) }
    }
}

/// A duration or a time since the epoch in seconds, rounded once.
pub fn seconds(time: Duration) -> f64 {
    // One division of the whole keeps the nearest double; adding a fraction to seconds may not.
    (time.as_nanos() as f64) / 1e9
}

/// Nanoseconds that fit a message, saturating.
pub fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Seconds as a duration; `None` for what the original's 64-bit nanoseconds cannot hold, for negatives and for NaN.
pub fn from_seconds(seconds: f64) -> Option<Duration> {
    let nanos = seconds * 1e9;
    (0.0..9_223_372_036_854_775_808.0).contains(&nanos).then(|| Duration::from_nanos(nanos as u64))
}

impl From<Duration> for v1::TimeInfo {
    fn from(time: Duration) -> Self {
        Self { nanoseconds: nanos(time) }
    }
}

impl From<Duration> for v1::DurationInfo {
    fn from(time: Duration) -> Self {
        Self { nanoseconds: nanos(time) }
    }
}

impl v1::TimeInfo {
    /// As time since the epoch; what lies before it counts as the epoch.
    pub fn to_duration(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

impl v1::DurationInfo {
    /// As a duration; a negative one counts as zero.
    pub fn to_duration(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

/// Why a duration or size could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The digits are no number.
    #[error("Failed to convert '{0}' to number")]
    Number(String),
    /// A duration without a unit.
    #[error("Invalid duration '{0}'")]
    Duration(String),
    /// A unit that durations do not have.
    #[error(
        "Unknown duration unit '{0}'; supported units are 'ns', 'us', 'ms', 'secs', 'mins', 'hrs', 'days', and 'weeks'"
    )]
    DurationUnit(String),
    /// More than 64-bit nanoseconds.
    #[error("Argument out of the range that a Duration can represent due to int64_t's size limit")]
    DurationRange,
    /// A size without a unit.
    #[error("Invalid bytes '{0}'")]
    Size(String),
    /// A unit that sizes do not have.
    #[error("Unknown bytes unit '{0}'")]
    SizeUnit(String),
    /// Sizes are whole numbers.
    #[error("Fractional bytes '{0}'")]
    Fraction(String),
}

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

const DURATION_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", MICRO),
    ("ms", MILLI),
    ("secs", SECOND),
    ("mins", MINUTE),
    ("hrs", HOUR),
    ("days", DAY),
    ("weeks", WEEK),
];

/// Reads `15secs`, `1.5hrs`, `500ms`.
pub fn parse_duration(text: &str) -> Result<Duration, ParseError> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(|| ParseError::Duration(text.to_owned()))?;
    let (digits, unit) = text.split_at(split);
    let value: f64 = digits.parse().map_err(|_| ParseError::Number(digits.to_owned()))?;
    let factor = DURATION_UNITS
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))
        .ok_or_else(|| ParseError::DurationUnit(unit.to_owned()))?;
    let nanos = value * factor as f64;
    if nanos >= 9_223_372_036_854_775_808.0 {
        return Err(ParseError::DurationRange);
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// Prints a duration as the original does: `15secs`, `1.5hrs`, `10days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = nanos(self.0) as u64;
        let bucket = DURATION_UNITS.iter().rposition(|(_, unit)| nanos >= *unit).unwrap_or(0);
        // A smaller unit is taken where it makes the number whole and this one does not.
        let (name, unit) = match bucket {
            0 => DURATION_UNITS[0],
            1 if !nanos.is_multiple_of(MICRO) => DURATION_UNITS[0],
            _ => {
                let (here, below) = (DURATION_UNITS[bucket], DURATION_UNITS[bucket - 1]);
                if !nanos.is_multiple_of(here.1) && nanos.is_multiple_of(below.1) {
                    below
                } else {
                    here
                }
            }
        };
        write!(f, "{}{name}", general(nanos as f64 / unit as f64, 15))
    }
}

/// [`DurationText`] as a string.
pub fn format_duration(duration: Duration) -> String {
    DurationText(duration).to_string()
}

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Reads `2GB`, `512kb` as bytes.
pub fn parse_size(text: &str) -> Result<u64, ParseError> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(|| ParseError::Size(text.to_owned()))?;
    let (digits, unit) = text.split_at(split);
    if unit.starts_with('.') {
        return Err(ParseError::Fraction(text.to_owned()));
    }
    let value: u64 = digits.parse().map_err(|_| ParseError::Number(digits.to_owned()))?;
    let unit = unit.to_ascii_uppercase();
    let factor = SIZE_UNITS
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))
        .ok_or(ParseError::SizeUnit(unit))?;
    value.checked_mul(factor).ok_or_else(|| ParseError::Number(digits.to_owned()))
}

/// Prints bytes in the largest unit that loses nothing: `2GB`, `1500B`.
pub fn format_size(bytes: u64) -> String {
    let (name, unit) = SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit))
        .copied()
        .unwrap_or(SIZE_UNITS[0]);
    format!("{}{name}", bytes / unit)
}

/// A double as C's `%.<precision>g` prints it, which is how the original writes numbers in text.
pub fn general(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_duration(text: &str, nanos: u64, printed: &str) {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        assert_eq!(format_duration(Duration::from_nanos(nanos)), printed);
    }

    #[test]
    fn durations() {
        check_duration("0ns", 0, "0ns");
        check_duration("15secs", 15 * SECOND, "15secs");
        check_duration("1.5hrs", 90 * MINUTE, "90mins");
        check_duration("10days", 10 * DAY, "10days");
        check_duration("75secs", 75 * SECOND, "75secs");
        check_duration("10mins", 10 * MINUTE, "10mins");
        check_duration("1001us", 1_001 * MICRO, "1001us");
        check_duration("1001ns", 1_001, "1001ns");
        check_duration("1weeks", WEEK, "1weeks");
        check_duration("2.5ms", 2_500_000, "2500us");
        check_duration("3.123456789secs", 3_123_456_789, "3.123456789secs");
    }

    #[test]
    fn bad_durations() {
        let message = |text: &str| parse_duration(text).map_err(|error| error.to_string());
        assert_eq!(message("15"), Err("Invalid duration '15'".to_owned()));
        assert_eq!(message(""), Err("Invalid duration ''".to_owned()));
        assert_eq!(message("secs"), Err("Failed to convert '' to number".to_owned()));
        assert_eq!(message("1.2.3secs"), Err("Failed to convert '1.2.3' to number".to_owned()));
        assert!(message("1s").is_err_and(|text| {
            text.starts_with("Unknown duration unit 's'; supported units are 'ns'")
        }));
        assert!(
            message("99999999weeks")
                .is_err_and(|text| text.starts_with("Argument out of the range"))
        );
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("2GB"), Ok(2 << 30));
        assert_eq!(parse_size("10mb"), Ok(10 << 20));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(parse_size("1.5GB"), Err(ParseError::Fraction("1.5GB".to_owned())));
        assert_eq!(parse_size("7"), Err(ParseError::Size("7".to_owned())));
        assert_eq!(parse_size("7PB"), Err(ParseError::SizeUnit("PB".to_owned())));
        assert_eq!(parse_size("99999999TB"), Err(ParseError::Number("99999999".to_owned())));
        assert_eq!(format_size(0), "0B");
        assert_eq!(format_size(1500), "1500B");
        assert_eq!(format_size(2 << 30), "2GB");
        assert_eq!(format_size(1 << 20), "1MB");
    }

    #[test]
    fn general_numbers() {
        for (value, precision, text) in [
            (0.0, 6, "0"),
            (100000.0, 6, "100000"),
            (1e6, 6, "1e+06"),
            (0.0001, 6, "0.0001"),
            (0.00001, 6, "1e-05"),
            (1.0 / 3.0, 6, "0.333333"),
            (-2.5, 15, "-2.5"),
            (999_999.5, 6, "1e+06"),
            (f64::INFINITY, 6, "inf"),
        ] {
            assert_eq!(general(value, precision), text);
        }
    }

    #[test]
    fn seconds_as_the_recordings_have_them() {
        assert_eq!(seconds(Duration::from_nanos(1_795_200_989_334_599_000)), 1_795_200_989.334_599);
        assert_eq!(from_seconds(-1.0), None);
        assert_eq!(from_seconds(f64::NAN), None);
        assert_eq!(from_seconds(9.3e9), None);
        assert_eq!(from_seconds(1.5), Some(Duration::from_millis(1500)));
    }

    proptest! {
        #[test]
        fn durations_round_trip_to_the_printed_digits(nanos in 0u64..(1 << 62)) {
            let duration = Duration::from_nanos(nanos);
            let again = parse_duration(&format_duration(duration)).map(|again| again.as_nanos() as f64);
            prop_assert!(again.is_ok_and(|again| (again - nanos as f64).abs() <= nanos as f64 * 1e-14));
        }

        #[test]
        fn sizes_round_trip(bytes in 0u64..=u64::MAX) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
