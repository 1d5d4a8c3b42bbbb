//! Entry points for fuzzing: one function for each kind of foreign text this crate reads.

use crate::vips::label::{Asked, Host};
use crate::vips::name;

/// The value of a label, and the name of a framework after a line's end.
pub fn vip_label(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (value, framework) = text.split_once('\n').unwrap_or((&text, "marathon"));
    let fragment = name::fragment(value);
    assert_eq!(name::fragment(&fragment), fragment, "a host name stays what it is");
    let Ok(asked) = Asked::parse(value, framework) else { return };
    assert!(asked.port != 0 && value.ends_with(&asked.port.to_string()));
    if let Host::Name(name) = &asked.host {
        assert!(name.len() + 1 + name::ZONE.len() <= 253);
        for label in name.split('.') {
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            assert!((1..=63).contains(&label.len()) && label.bytes().all(good), "{name}");
            assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
        }
    }
}

/// What a controller tells its nodes.
pub fn vip_stream(data: &[u8]) {
    crate::remote::fuzz(data);
}
