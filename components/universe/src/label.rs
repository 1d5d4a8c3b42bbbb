//! The labels by which an installed package is known, and what they hold.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::{MediaType, Object, Package, describe};

pub const NAME: &str = "DCOS_PACKAGE_NAME";
pub const VERSION: &str = "DCOS_PACKAGE_VERSION";
pub const SOURCE: &str = "DCOS_PACKAGE_SOURCE";
pub const OPTIONS: &str = "DCOS_PACKAGE_OPTIONS";
pub const DEFINITION: &str = "DCOS_PACKAGE_DEFINITION";
pub const FRAMEWORK_NAME: &str = "DCOS_PACKAGE_FRAMEWORK_NAME";

/// The most bytes a label's definition may have, unpacked: labels come from whoever may write
/// to Marathon.
const MAX_DEFINITION: u64 = 16 * 1024 * 1024;

/// What is wrong with a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("the label is not base64")]
    Base64,
    #[error("the label does not hold JSON: {0}")]
    Json(String),
    #[error("the label is no envelope: {0}")]
    Envelope(&'static str),
    #[error("the label does not hold a package: {0}")]
    Package(String),
}

/// Options as a label: base64 of their JSON, without nulls as in the original.
pub fn encode_options(options: &Object) -> String {
    let mut plain = options.clone();
    describe::drop_nulls(&mut plain);
    STANDARD.encode(Value::Object(plain).to_string())
}

/// The options in a label; none where it holds something other than an object.
pub fn decode_options(label: &str) -> Result<Option<Object>, LabelError> {
    match decode(label)? {
        Value::Object(options) => Ok(Some(options)),
        _ => Ok(None),
    }
}

/// A definition as a label: base64 of an envelope around its packed JSON.
pub fn encode_definition(package: &Package) -> String {
    let envelope = json!({
        "metadata": {
            "Content-Type": MediaType::package(package.packaging().number()).to_string(),
            "Content-Encoding": "gzip",
        },
        "data": STANDARD.encode(pack(package.bytes())),
    });
    STANDARD.encode(envelope.to_string())
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::default());
    // A vector takes all that is written.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The package in a label.
pub fn decode_definition(label: &str) -> Result<Package, LabelError> {
    let envelope = decode(label)?;
    let metadata = envelope.get("metadata").ok_or(LabelError::Envelope("metadata is missing"))?;
    let kind = metadata.get("Content-Type").and_then(Value::as_str);
    let kind = kind.and_then(|kind| MediaType::parse(kind).ok());
    let kind = kind.ok_or(LabelError::Envelope("Content-Type is missing"))?;
    if !(2..=5).any(|version| MediaType::package(version).admits(&kind)) {
        return Err(LabelError::Envelope("Content-Type is not that of a package"));
    }
    let data = envelope.get("data").and_then(Value::as_str);
    let data = data.ok_or(LabelError::Envelope("data is missing"))?;
    let data = STANDARD.decode(data).map_err(|_| LabelError::Envelope("data is not base64"))?;
    let bytes = match metadata.get("Content-Encoding").and_then(Value::as_str) {
        Some("gzip") => unpack(&data)?,
        Some(_) => return Err(LabelError::Envelope("Content-Encoding is not gzip")),
        None => data,
    };
    Package::from_slice(&bytes).map_err(|fault| LabelError::Package(fault.to_string()))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, LabelError> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .take(MAX_DEFINITION)
        .read_to_end(&mut bytes)
        .map_err(|_| LabelError::Envelope("data is not packed with gzip"))?;
    Ok(bytes)
}

fn decode(label: &str) -> Result<Value, LabelError> {
    let bytes = STANDARD.decode(label).map_err(|_| LabelError::Base64)?;
    serde_json::from_slice(&bytes).map_err(|error| LabelError::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_definition_comes_back() {
        let text = r#"{"packagingVersion":"4.0","name":"n","version":"1","releaseVersion":3,
            "maintainer":"m","description":"d","tags":[],"upgradesFrom":["*"],"extra":{"a":null}}"#;
        let package = Package::from_slice(text.as_bytes()).unwrap();
        let back = decode_definition(&encode_definition(&package)).unwrap();
        assert_eq!(back, package);
        assert_eq!(back.definition(), package.definition());
    }

    #[test]
    fn options_come_back_without_nulls() {
        let options = json!({"a": {"b": 1, "c": null}, "d": [null]});
        let label = encode_options(options.as_object().unwrap());
        let back = decode_options(&label).unwrap().unwrap();
        assert_eq!(Value::Object(back), json!({"a": {"b": 1}, "d": [null]}));
        assert_eq!(decode_options("NQ==").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let envelope =
            |value: Value| decode_definition(&STANDARD.encode(value.to_string())).unwrap_err();
        assert_eq!(decode_definition("?").unwrap_err(), LabelError::Base64);
        assert_eq!(envelope(json!({})), LabelError::Envelope("metadata is missing"));
        let kind = MediaType::package(4).to_string();
        let both = json!({"Content-Type": kind, "Content-Encoding": "gzip"});
        assert_eq!(
            envelope(json!({"metadata": both, "data": "AAAA"})),
            LabelError::Envelope("data is not packed with gzip")
        );
    }

    proptest! {
        #[test]
        fn any_label_is_read_or_refused(text in ".{0,100}") {
            let _ = decode_definition(&text);
            let _ = decode_options(&text);
        }
    }
}
