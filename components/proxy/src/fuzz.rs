//! Entry points for fuzzing: one function for each kind of foreign bytes this crate reads.

/// Requests as HTTP/2 carries them.
pub fn http2_head(data: &[u8]) {
    crate::h2::fuzz(data);
}
