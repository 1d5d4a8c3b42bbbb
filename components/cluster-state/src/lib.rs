//! The one key-value and election interface, with the embedded store behind it.
//!
//! It is not: a database for large values; large state is many small keys.
