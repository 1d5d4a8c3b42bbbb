//! Developer commands: up, test, bench, fuzz.
//!
//! It is not: part of the product.
fn main() {}
