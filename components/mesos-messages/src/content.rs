//! The two body formats of the v1 APIs.
use crate::json::{JsonError, JsonMessage};
use crate::required;
use bytes::Bytes;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// `application/json`, in the JSON flavour of [`crate::json`].
    Json,
    /// `application/x-protobuf`.
    Protobuf,
}

impl ContentType {
    /// The header value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// From a `Content-Type` header. The original compares the whole value, so `; charset=utf-8` is refused as there.
    pub fn from_header(value: &str) -> Option<Self> {
        match value {
            "application/json" => Some(Self::Json),
            "application/x-protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Why a body was refused. The text is the original's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON at all.
    #[error("Failed to parse body into JSON: {0}")]
    Json(String),
    /// JSON, but not of this message.
    #[error("Failed to convert JSON into {message} protobuf: {text}")]
    Convert {
        /// The last part of the message's name: `Call`.
        message: &'static str,
        /// What does not fit.
        text: String,
    },
    /// Not protobuf, not of this message, or lacking required fields.
    #[error("Failed to parse body into {message} protobuf")]
    Protobuf {
        /// The last part of the message's name: `Call`.
        message: &'static str,
        /// The required fields that are missing, if that is the reason; the original does not tell them.
        missing: Vec<String>,
    },
}

impl From<DecodeError> for String {
    fn from(error: DecodeError) -> Self {
        error.to_string()
    }
}

/// Reads a body, required fields checked.
pub fn decode<M: JsonMessage>(content: ContentType, body: &[u8]) -> Result<M, DecodeError> {
    match content {
        ContentType::Json => decode_json(body),
        ContentType::Protobuf => decode_protobuf(body),
    }
}

fn short_name<M: JsonMessage>() -> &'static str {
    M::NAME.rsplit('.').next().unwrap_or(M::NAME)
}

fn decode_json<M: JsonMessage>(body: &[u8]) -> Result<M, DecodeError> {
    M::from_json_slice(body).map_err(|error| match error {
        JsonError::Syntax(text) => DecodeError::Json(text),
        JsonError::Mismatch(text) => DecodeError::Convert { message: short_name::<M>(), text },
    })
}

/// Reads a protobuf body, required fields checked.
pub fn decode_protobuf<M: JsonMessage>(body: &[u8]) -> Result<M, DecodeError> {
    let refuse = |missing| DecodeError::Protobuf { message: short_name::<M>(), missing };
    let survey = required::survey::<M>(body);
    if survey.size > required::budget(body.len()) {
        return Err(refuse(Vec::new()));
    }
    let message = M::decode(body).map_err(|_| refuse(Vec::new()))?;
    if survey.complete {
        return Ok(message);
    }
    match required::missing_required::<M>(body) {
        missing if missing.is_empty() => Ok(message),
        missing => Err(refuse(missing)),
    }
}

/// Writes a body.
pub fn encode<M: JsonMessage>(content: ContentType, message: &M) -> Vec<u8> {
    match content {
        ContentType::Json => message.to_json(),
        ContentType::Protobuf => message.encode_to_vec(),
    }
}

/// Appends a body.
pub fn encode_into<M: JsonMessage>(content: ContentType, message: &M, out: &mut Vec<u8>) {
    match content {
        ContentType::Json => message.write_json(out),
        // A vector has room without end; nothing else can fail.
        ContentType::Protobuf => message.encode(out).unwrap_or_default(),
    }
}

/// Writes a record of an event stream, its RecordIO header included.
pub fn encode_record<M: JsonMessage>(content: ContentType, message: &M) -> Bytes {
    // The length is known only at the end, so the header gets room and is set before what was written.
    const ROOM: usize = 21;
    let mut out = Vec::with_capacity(512);
    out.resize(ROOM, b'\n');
    encode_into(content, message, &mut out);
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(out.len() - ROOM).as_bytes();
    let start = ROOM - 1 - digits.len();
    if let Some(header) = out.get_mut(start..ROOM - 1) {
        header.copy_from_slice(digits);
    }
    Bytes::from(out).slice(start..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn check<M: JsonMessage>(content: ContentType, body: &str, expected: &str) {
        let error = decode::<M>(content, body.as_bytes()).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected), "{body}");
    }

    #[test]
    fn errors_read_as_the_originals() {
        use ContentType::{Json, Protobuf};
        type Scheduler = v1::scheduler::Call;
        check::<v1::master::Call>(
            Json,
            "{not json",
            "Failed to parse body into JSON: syntax error at line 1 near: not json",
        );
        check::<v1::master::Call>(
            Json,
            "",
            "Failed to parse body into JSON: syntax error at line 1 near: ",
        );
        check::<v1::master::Call>(
            Json,
            "{\"type\":5}",
            "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'type'",
        );
        check::<v1::master::Call>(
            Json,
            "{\"type\":5,",
            "Failed to parse body into JSON: syntax error at line 1 near: ",
        );
        check::<v1::executor::Call>(
            Json,
            "{\"type\":\"SUBSCRIBE\"}",
            "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, framework_id",
        );
        check::<Scheduler>(
            Json,
            "{\"type\":\"SUBSCRIBE\",\"subscribe\":{\"framework_info\":{\"name\":\"x\"}}}",
            "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info.user",
        );
        check::<Scheduler>(
            Json,
            "[]",
            "Failed to convert JSON into Call protobuf: Expecting a JSON object",
        );
        check::<Scheduler>(Protobuf, "\u{1}", "Failed to parse body into Call protobuf");
        check::<Scheduler>(Protobuf, "\u{1a}\u{0}", "Failed to parse body into Call protobuf");
    }

    #[test]
    fn records_are_framed() {
        let event = v1::scheduler::Event {
            r#type: Some(v1::scheduler::event::Type::Heartbeat as i32),
            ..Default::default()
        };
        assert_eq!(encode_record(ContentType::Json, &event), "20\n{\"type\":\"HEARTBEAT\"}");
        assert_eq!(encode_record(ContentType::Protobuf, &event), "2\n\u{8}\u{8}");
    }

    #[test]
    fn a_short_body_is_not_blown_up() {
        let json = format!("{{\"accept\":{{\"operations\":[{}{{}}]}}}}", "{},".repeat(1 << 20));
        check::<v1::scheduler::Call>(
            ContentType::Json,
            &json,
            "Failed to convert JSON into Call protobuf: Too many elements for a body of 3145758 bytes",
        );
        let mut body = b"\x22\x80\x80\x80\x01".to_vec();
        body.extend(b"\x12\x00".repeat(1 << 20));
        let refused = decode::<v1::scheduler::Call>(ContentType::Protobuf, &body);
        assert!(matches!(refused, Err(DecodeError::Protobuf { .. })));
    }

    #[test]
    fn a_type_that_is_not_known_is_no_type() {
        let call: Result<v1::scheduler::Call, _> =
            decode(ContentType::Json, b"{\"type\":\"DANCE\"}");
        assert_eq!(call, Ok(v1::scheduler::Call::default()));
    }
}
