//! How values print: as the Java objects that the original makes of them.

use serde_json::{Number, Value};

/// Prints a value. Strings that stand directly in a list keep their quotes.
pub(super) fn print(value: &Value, in_list: bool, out: &mut String) {
    match value {
        // A null within a list or an object; alone it prints nothing, which the caller sees to.
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => print_number(number, out),
        Value::String(text) if in_list => {
            out.push('"');
            escape(text, out);
            out.push('"');
        }
        Value::String(text) => escape(text, out),
        Value::Array(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                print(item, true, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (at, (key, item)) in object.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                out.push_str(key);
                out.push('=');
                print(item, false, out);
            }
            out.push('}');
        }
    }
}

/// Text as it stands in JSON, without the quotes: the template has them.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Whole numbers without decimals, however they were written; others as Java's doubles.
fn print_number(number: &Number, out: &mut String) {
    if !number.is_f64() {
        out.push_str(&number.to_string());
        return;
    }
    let value = number.as_f64().unwrap_or_default();
    let (negative, digits, exponent) = decimal(value);
    if value == 0.0 {
        out.push('0');
        return;
    }
    if negative {
        out.push('-');
    }
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if point >= count {
        out.push_str(&digits);
        (count..point).for_each(|_| out.push('0'));
    } else if (-2..=7).contains(&point) {
        print_plain(&digits, point, out);
    } else {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        out.push_str(&format!("{first}.{rest}E{exponent}"));
    }
}

fn print_plain(digits: &str, point: i32, out: &mut String) {
    let Ok(whole) = usize::try_from(point) else {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(digits);
        return;
    };
    let (before, after) = digits.split_at(whole.min(digits.len()));
    out.push_str(if before.is_empty() { "0" } else { before });
    out.push('.');
    out.push_str(after);
}

/// Sign, shortest digits, and the power of ten of the first of them.
fn decimal(value: f64) -> (bool, String, i32) {
    let text = format!("{:e}", value.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    (value < 0.0, digits, exponent.parse().unwrap_or_default())
}
