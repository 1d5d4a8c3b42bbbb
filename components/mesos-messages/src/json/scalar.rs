//! Values that are not made of others: from strings, numbers and booleans.
use super::JsonError;
use super::lexer::{Kind, Lexer, Number};
use base64::{Engine, alphabet, engine};
use bytes::Bytes;

pub(super) fn mismatch<T>(text: String) -> Result<T, JsonError> {
    Err(JsonError::Mismatch(text))
}

pub(super) fn unexpected<T>(what: &str, name: &str) -> Result<T, JsonError> {
    mismatch(format!("Not expecting a JSON {what} for field '{name}'"))
}

/// A value that is not made of others.
pub trait Scalar: Sized + Default {
    /// From a string; `None` leaves the field unset.
    fn from_text(text: &str, name: &str) -> Result<Self, JsonError>;
    /// From a number, if it can be one.
    fn from_number(_: Number) -> Option<Self> {
        None
    }
    /// From a boolean, if it can be one.
    fn from_boolean(_: bool) -> Option<Self> {
        None
    }
}

impl Scalar for String {
    fn from_text(text: &str, _: &str) -> Result<Self, JsonError> {
        Ok(text.to_owned())
    }
}

/// The original's decoder asks for neither padding nor clean trailing bits.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Scalar for Bytes {
    fn from_text(text: &str, name: &str) -> Result<Self, JsonError> {
        if let Ok(bytes) = BASE64.decode(text) {
            return Ok(bytes.into());
        }
        // Space is passed over, and what follows the first `=` is not looked at.
        let text = text.split('=').next().unwrap_or_default();
        let text: String = text.chars().filter(|c| !matches!(c, ' ' | '\t'..='\r')).collect();
        let alien = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/')));
        match (alien, BASE64.decode(&text)) {
            (Some(alien), _) => mismatch(format!(
                "Failed to base64 decode bytes field '{name}': Invalid character '{alien}'"
            )),
            (None, Ok(bytes)) => Ok(bytes.into()),
            // One digit over: there it is dropped.
            (None, Err(_)) => {
                let whole = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
                Ok(BASE64.decode(whole).unwrap_or_default().into())
            }
        }
    }
}

impl Scalar for bool {
    fn from_text(text: &str, name: &str) -> Result<Self, JsonError> {
        embedded(text, name, "boolean", |lexer| match lexer.kind() {
            Kind::Boolean => lexer.boolean().map(Some),
            _ => lexer.skip().map(|()| None),
        })
    }

    fn from_boolean(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// Reads a string that holds a boolean or a number.
fn embedded<T>(
    text: &str,
    name: &str,
    kind: &str,
    read: impl FnOnce(&mut Lexer<'_>) -> Result<Option<T>, JsonError>,
) -> Result<T, JsonError> {
    let parsed = Lexer::new(text.as_bytes()).and_then(|mut lexer| {
        let value = read(&mut lexer)?;
        lexer.end()?;
        value.ok_or_else(|| JsonError::Mismatch("Unexpected JSON type parsed".to_owned()))
    });
    parsed.map_err(|error| {
        JsonError::Mismatch(format!(
            "Failed to parse '{text}' as a JSON {kind} for field '{name}': {error}"
        ))
    })
}

fn number_in_text(text: &str, name: &str) -> Result<Number, JsonError> {
    embedded(text, name, "number", |lexer| match lexer.kind() {
        Kind::Number => lexer.number().map(Some),
        _ => lexer.skip().map(|()| None),
    })
}

impl Scalar for f64 {
    fn from_text(text: &str, name: &str) -> Result<Self, JsonError> {
        match text {
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => number_in_text(text, name)
                .map(|number| Self::from_number(number).unwrap_or_default()),
        }
    }

    fn from_number(number: Number) -> Option<Self> {
        Some(match number {
            Number::Signed(value) => value as f64,
            Number::Unsigned(value) => value as f64,
            Number::Double(value) => value,
        })
    }
}

// Numbers out of range wrap or saturate, as the original's casts do: none is refused.
macro_rules! integer {
    ($($integer:ty)*) => {$(
        impl Scalar for $integer {
            fn from_text(text: &str, name: &str) -> Result<Self, JsonError> {
                number_in_text(text, name).map(|number| Self::from_number(number).unwrap_or_default())
            }

            fn from_number(number: Number) -> Option<Self> {
                Some(match number {
                    Number::Signed(value) => value as $integer,
                    Number::Unsigned(value) => value as $integer,
                    Number::Double(value) => value as $integer,
                })
            }
        }
    )*};
}
integer!(i32 u32 i64 u64);
