//! libprocess against recorded traffic and over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod libprocess {
    mod golden;
    mod sockets;
}
