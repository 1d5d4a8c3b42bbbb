//! HTTP/2 of clients' connections.
