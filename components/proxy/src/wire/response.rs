//! Heads of upstreams' answers. What makes no sense is an error, never passed on.

use std::mem::MaybeUninit;

use http::{Method, StatusCode};

use super::body::Length;
use super::field::{ConnectionOptions, Field, Fields, Kind};
use super::{MOST_HEADERS, decimal, lines_end_well};
use crate::config::HeadLimits;

/// A head that was read: its headers stand in the bytes it was read from.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    /// Bytes that the head takes.
    pub(crate) consumed: usize,
    pub(crate) body: AnswerBody,
    /// What Content-Length says, also where there is no body (HEAD, 304).
    pub(crate) content_length: Option<u64>,
    /// The connection may serve another request afterwards.
    pub(crate) keep_alive: bool,
    pub(crate) options: ConnectionOptions,
    reason: (u32, u32),
}

/// Where an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    None,
    Exact(u64),
    Chunked,
    /// At the end of the connection.
    Close,
}

// === impl AnswerBody ===

impl AnswerBody {
    pub(crate) fn length(self) -> Length {
        match self {
            AnswerBody::None => Length::None,
            AnswerBody::Exact(length) => Length::Exact(length),
            AnswerBody::Chunked | AnswerBody::Close => Length::Unknown,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The words behind the status.
    pub(crate) fn reason<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let (start, len) = (self.reason.0 as usize, self.reason.1 as usize);
        bytes.get(start..start + len).unwrap_or_default()
    }

    pub(crate) fn field<'a>(&self, bytes: &'a [u8], kind: Kind) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.kind == kind).map(|field| field.value(bytes))
    }
}

/// Reads a head from the front of `bytes`; none when it is not complete.
pub(crate) fn parse(
    bytes: &[u8],
    limits: &HeadLimits,
    method: &Method,
) -> Result<Option<Answer>, &'static str> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let most = limits.headers.min(MOST_HEADERS);
    let headers = headers.get_mut(..most).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, headers);
    let consumed = match parsed {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) if bytes.len() > limits.bytes => {
            return Err("the head of its answer is too large");
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("its answer has too many headers"),
        Err(_) => return Err("its answer is malformed"),
    };
    if consumed > limits.bytes {
        return Err("the head of its answer is too large");
    }
    let text = bytes.get(..consumed).unwrap_or_default();
    if !lines_end_well(text) || !text.starts_with(b"HTTP/1.") {
        return Err("its answer is malformed");
    }
    let (Some(code), Some(version)) = (response.code, response.version) else {
        return Err("its answer is malformed");
    };
    let status = StatusCode::from_u16(code).map_err(|_| "its status is invalid")?;
    let reason = response.reason.unwrap_or_default().as_bytes();
    let base = bytes.as_ptr() as usize;
    let reason_at = (reason.as_ptr() as usize).wrapping_sub(base);
    let reason =
        if reason_at < consumed { (reason_at as u32, reason.len() as u32) } else { (0, 0) };
    let facts = Facts::read(response.headers, base)?;
    let body = facts.body(status, method, version)?;
    Ok(Some(Answer {
        status,
        consumed,
        body,
        content_length: facts.content_length,
        keep_alive: version == 1 && !facts.options.close && body != AnswerBody::Close,
        options: facts.options,
        fields: facts.fields,
        reason,
    }))
}

/// What was gathered from the header lines.
#[derive(Default)]
struct Facts {
    fields: Fields,
    content_length: Option<u64>,
    chunked: bool,
    options: ConnectionOptions,
}

// === impl Facts ===

impl Facts {
    fn read(headers: &[httparse::Header<'_>], base: usize) -> Result<Facts, &'static str> {
        let mut facts = Facts::default();
        for header in headers {
            let name = header.name.as_bytes();
            if name.len() > usize::from(u16::MAX) {
                return Err("a header's name is too long");
            }
            let field = Field::within(base, name, header.value);
            facts.add(field.kind, header.value)?;
            facts.fields.push(field);
        }
        Ok(facts)
    }

    fn add(&mut self, kind: Kind, value: &[u8]) -> Result<(), &'static str> {
        match kind {
            Kind::ContentLength if self.content_length.is_some() => {
                return Err("its answer has more than one Content-Length");
            }
            Kind::ContentLength => {
                let length = decimal(value).ok_or("its Content-Length is no length")?;
                self.content_length = Some(length);
            }
            Kind::TransferEncoding if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err("its Transfer-Encoding is not known");
            }
            Kind::TransferEncoding => self.chunked = true,
            Kind::Connection => self.options.add(value),
            _ => {}
        }
        Ok(())
    }

    fn body(
        &self,
        status: StatusCode,
        method: &Method,
        version: u8,
    ) -> Result<AnswerBody, &'static str> {
        if self.chunked && self.content_length.is_some() {
            return Err("its answer has both Transfer-Encoding and Content-Length");
        }
        if self.chunked && version == 0 {
            return Err("its answer of HTTP/1.0 has a Transfer-Encoding");
        }
        let bodiless = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || method == Method::HEAD;
        Ok(match (bodiless, self.chunked, self.content_length) {
            (true, _, _) => AnswerBody::None,
            (false, true, _) => AnswerBody::Chunked,
            (false, false, Some(length)) => AnswerBody::Exact(length),
            (false, false, None) => AnswerBody::Close,
        })
    }
}

#[cfg(test)]
mod tests;
