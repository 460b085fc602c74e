//! Geminga.
fn main() {}
