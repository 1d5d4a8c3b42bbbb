//! libprocess messages: those that come in, decoded, and those that go out, to encode.
mod inbound;
mod outbound;

pub use inbound::{Incoming, PidSubscribe, decode};
pub use outbound::{Outgoing, RunTask};
