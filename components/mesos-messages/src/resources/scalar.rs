//! Amounts with three decimals, held as whole thousandths so that sums never drift.
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// A scalar amount in thousandths.
///
/// Sums saturate instead of wrapping. Values that come from outside pass through
/// [`Scalar::from_f64`], whose limit leaves room for thousands of sums before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(i64);

/// The largest amount accepted from outside: doubles still hold three decimals of it.
const LARGEST: f64 = 1e12;

impl Scalar {
    pub const ZERO: Scalar = Scalar(0);

    /// Rounds to three decimals; `None` for NaN, infinities and what no cluster has.
    pub fn from_f64(value: f64) -> Option<Scalar> {
        let sane = value.is_finite() && value.abs() <= LARGEST;
        sane.then(|| Scalar((value * 1000.0).round() as i64))
    }

    pub const fn from_whole(value: u32) -> Scalar {
        Scalar(value as i64 * 1000)
    }

    pub const fn from_millis(thousandths: i64) -> Scalar {
        Scalar(thousandths)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub fn to_f64(self) -> f64 {
        // Two exact conversions: dividing the whole would round large amounts.
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Appends the number as the original's JSON writes doubles: `4.0`, `0.1`.
    pub fn write_json(self, out: &mut Vec<u8>) {
        let text = self.to_string();
        out.extend_from_slice(text.as_bytes());
        if !text.contains('.') {
            out.extend_from_slice(b".0");
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        match (rest, rest % 10, rest % 100) {
            (0, _, _) => write!(f, "{sign}{whole}"),
            (_, _, 0) => write!(f, "{sign}{whole}.{}", rest / 100),
            (_, 0, _) => write!(f, "{sign}{whole}.{:02}", rest / 10),
            _ => write!(f, "{sign}{whole}.{rest:03}"),
        }
    }
}

impl Add for Scalar {
    type Output = Scalar;
    fn add(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_add(other.0))
    }
}

impl Sub for Scalar {
    type Output = Scalar;
    fn sub(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Scalar) {
        *self = *self + other;
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Scalar) {
        *self = *self - other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Scalar>>(amounts: I) -> Scalar {
        amounts.fold(Scalar::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1e13] {
            assert_eq!(Scalar::from_f64(value), None, "{value}");
        }
        assert_eq!(Scalar::from_f64(-0.0), Some(Scalar::ZERO));
    }

    #[test]
    fn prints_without_noise() {
        for (value, text, json) in [
            (0.1, "0.1", "0.1"),
            (32.0, "32", "32.0"),
            (1_000_000.0, "1000000", "1000000.0"),
            (1.05, "1.05", "1.05"),
            (1.005, "1.005", "1.005"),
            (0.0004, "0", "0.0"),
            (-2.5, "-2.5", "-2.5"),
        ] {
            let scalar = Scalar::from_f64(value).unwrap();
            assert_eq!(scalar.to_string(), text);
            let mut out = Vec::new();
            scalar.write_json(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }

    #[test]
    fn ten_tenths_are_one() {
        let sum: Scalar = (0..10).map(|_| Scalar::from_f64(0.1).unwrap()).sum();
        assert_eq!(sum, Scalar::from_whole(1));
        assert_eq!(sum.to_f64(), 1.0);
    }
}
