//! Just enough of DER and PEM to read public keys and to tell private ones apart.

use crate::KeyError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longer texts hold no key that is accepted here.
const LONGEST_PEM: usize = 32 * 1024;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The label and the content of the first block of `text`.
pub(crate) fn pem(text: &str) -> Result<(&str, Vec<u8>), KeyError> {
    if text.len() > LONGEST_PEM {
        return Err(KeyError::Pem);
    }
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::Pem)?;
    let (label, rest) = rest.split_once("-----").ok_or(KeyError::Pem)?;
    let (body, rest) = rest.split_once("-----END ").ok_or(KeyError::Pem)?;
    if !rest.strip_prefix(label).is_some_and(|rest| rest.starts_with("-----")) {
        return Err(KeyError::Pem);
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let content = STANDARD.decode(body).map_err(|_| KeyError::Pem)?;
    Ok((label, content))
}

/// What is left to read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The content of the next element, which must have `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let (&found, rest) = self.0.split_first().ok_or(KeyError::Malformed)?;
        if found != tag {
            return Err(KeyError::Malformed);
        }
        let (length, rest) = length(rest)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(KeyError::Malformed)?;
        self.0 = rest;
        Ok(content)
    }

    /// A number that is not negative, without leading zeros.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], KeyError> {
        match self.expect(INTEGER)? {
            [first, ..] if *first >= 0x80 => Err(KeyError::Malformed),
            [0, second, ..] if *second < 0x80 => Err(KeyError::Malformed),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            [] => Err(KeyError::Malformed),
            number => Ok(number),
        }
    }

    /// Bits that fill whole bytes.
    pub(crate) fn bits(&mut self) -> Result<&'a [u8], KeyError> {
        match self.expect(BIT_STRING)?.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), KeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(KeyError::Malformed) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), KeyError> {
    match bytes {
        [short, rest @ ..] if *short < 0x80 => Ok((usize::from(*short), rest)),
        [0x81, length, rest @ ..] if *length >= 0x80 => Ok((usize::from(*length), rest)),
        [0x82, high, low, rest @ ..] if *high > 0 => {
            Ok((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => Err(KeyError::Malformed),
    }
}

/// One element, encoded.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => {
            let [.., high, low] = length.to_be_bytes();
            out.extend([0x82, high, low]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// An unsigned number, encoded.
pub(crate) fn integer(number: &[u8]) -> Vec<u8> {
    if number.first().is_some_and(|first| *first >= 0x80) {
        let mut padded = vec![0];
        padded.extend_from_slice(number);
        return element(INTEGER, &padded);
    }
    element(INTEGER, number)
}

/// Elements one after the other, in a sequence.
pub(crate) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &elements.concat())
}

/// `content` as a PEM block.
pub(crate) fn to_pem(label: &str, content: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let body = STANDARD.encode(content);
    for (at, c) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}
