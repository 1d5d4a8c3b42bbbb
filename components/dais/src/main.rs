//! The one binary of Dais: argument parsing and wiring.
//!
//! It is not: a place for decisions; those live in the components.
fn main() {}
