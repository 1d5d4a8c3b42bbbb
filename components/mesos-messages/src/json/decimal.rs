//! Doubles in the shortest digits that read back the same, laid out as the original lays them out.

/// Below this many digits before the point, a number is written out; from there on with an exponent.
const LONGEST_WHOLE: i32 = 21;
/// From this many zeros behind the point on, a number is written with an exponent.
const MOST_ZEROS: i32 = 6;

/// Appends a double: `4.0`, `0.1`, `1e22`. JSON has no infinities; they are written as the strings that are read.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(match value {
            f64::INFINITY => b"\"Infinity\"",
            f64::NEG_INFINITY => b"\"-Infinity\"",
            _ => b"\"NaN\"",
        });
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    match text.split_once('e') {
        None => out.extend_from_slice(text.as_bytes()),
        Some((mantissa, exponent)) => expand(out, mantissa, exponent),
    }
}

/// Ryu takes to exponents sooner than the original; such numbers are written out here.
fn expand(out: &mut Vec<u8>, mantissa: &str, exponent: &str) {
    let power: i32 = exponent.parse().unwrap_or(0);
    let whole = power + 1;
    if (-MOST_ZEROS + 1..=LONGEST_WHOLE).contains(&whole) {
        let (sign, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", mantissa),
        };
        out.extend_from_slice(sign.as_bytes());
        let digits = digits.bytes().filter(u8::is_ascii_digit);
        if whole <= 0 {
            out.extend_from_slice(b"0.");
            out.extend((whole..0).map(|_| b'0'));
            out.extend(digits);
        } else {
            let start = out.len();
            out.extend(digits);
            let point = start + whole.unsigned_abs() as usize;
            if out.len() > point {
                out.insert(point, b'.');
            } else {
                out.resize(point, b'0');
                out.extend_from_slice(b".0");
            }
        }
        return;
    }
    out.extend_from_slice(mantissa.as_bytes());
    out.push(b'e');
    out.extend_from_slice(exponent.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_double(&mut out, value);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn as_the_original_prints() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (4.0, "4.0"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1_795_200_989.334_599, "1795200989.334599"),
            (23_081.0, "23081.0"),
            (1e16, "10000000000000000.0"),
            (123_456_789_012_345_678.0, "123456789012345680.0"),
            (-1.5e20, "-150000000000000000000.0"),
            (1e21, "1e21"),
            (1e22, "1e22"),
            (1.5e300, "1.5e300"),
            (0.000001, "0.000001"),
            (0.00000123, "0.00000123"),
            (0.000000123, "1.23e-7"),
            (-0.0000012, "-0.0000012"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    proptest! {
        #[test]
        fn reads_back_the_same(value in any::<f64>()) {
            let again: Option<f64> = text(value).trim_matches('"').parse().ok();
            prop_assert_eq!(again.map(f64::to_bits), Some(value.to_bits()));
        }
    }
}
