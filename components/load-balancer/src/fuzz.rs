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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_hold(text in "[/a-zA-Z0-9_.:\\[\\]\n!é-]{0,80}") {
            super::vip_label(text.as_bytes());
        }

        #[test]
        fn streams_hold(
            lines in prop::collection::vec((0u8..4, 0u8..3, 0u8..3, any::<bool>()), 0..20),
            cut in 0usize..3000,
        ) {
            let line = |(kind, vip, ip, inside): (u8, u8, u8, bool)| {
                let key = format!(r#""protocol":"tcp","ip":"11.0.0.{ip}","port":80"#);
                let inside = if inside { r#","inside":"172.31.0.2:80""# } else { "" };
                let backend = format!(
                    r#"{{"ip":"10.0.0.{ip}","port":1,"weight":{vip},"agent":"10.0.0.{ip}"{inside}}}"#
                );
                let entry = format!(
                    r#"{{"vip":"v{vip}.m",{key},"backends":[{backend},{backend}]}}"#
                );
                match kind {
                    0 => format!(r#"{{"vips":[{entry},{entry}]}}"#),
                    1 => format!(r#"{{"put":{entry}}}"#),
                    2 => format!(r#"{{"gone":{{{key}}}}}"#),
                    _ => "{}".to_owned(),
                }
            };
            let text: String = lines.into_iter().map(|one| line(one) + "\n").collect();
            let bytes = text.as_bytes();
            super::vip_stream(&bytes[..cut.min(bytes.len())]);
        }
    }
}
