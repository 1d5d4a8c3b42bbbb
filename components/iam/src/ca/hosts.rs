//! Names that may stand in a certificate.

use std::net::IpAddr;

use rcgen::SanType;

use super::RequestError;

/// More names than that are a mistake.
pub(super) const MOST: usize = 100;

/// A host as somebody wrote it: an address, or a name of letters, digits and hyphens, whose
/// first label may be `*`.
pub(super) fn parse(host: &str) -> Result<SanType, RequestError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || RequestError::Host(host.chars().take(253).collect());
    if !is_name(host) {
        return Err(refused());
    }
    let name = host.to_ascii_lowercase().try_into().map_err(|_| refused())?;
    Ok(SanType::DnsName(name))
}

fn is_name(host: &str) -> bool {
    let rest = host.strip_prefix("*.").unwrap_or(host);
    // `*.com` would be everybody's.
    let wide = rest.len() != host.len() && !rest.contains('.');
    // What looks like an address but is none (`10.1`, `1.2.3.256`) is no name either.
    let last_is_number =
        rest.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    host.len() <= 253 && !wide && !last_is_number && rest.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let good = [
            "master.mesos",
            "localhost",
            "*.marathon.mesos",
            "a-b.c",
            "xn--bcher-kva.example",
            "web_1.mesos",
            "127.0.0.1",
            "::1",
            "2001:db8::1",
        ];
        for host in good {
            assert!(parse(host).is_ok(), "{host}");
        }
        let long = format!("{}.com", "a".repeat(64));
        let longer = vec!["abcdefgh"; 29].join(".");
        let bad = [
            "",
            ".",
            "a..b",
            ".a",
            "a.",
            "-a.b",
            "a-.b",
            "*",
            "*.com",
            "a.*.b",
            "**.a.b",
            "a b",
            "a/b",
            "a:80",
            "bücher.example",
            "a\0.b",
            "10.1",
            "1.2.3.256",
            "0x7f.1",
            "user@host",
            "https://a.b",
            &long,
            &longer,
        ];
        for host in bad {
            assert!(parse(host).is_err(), "{host:?}");
        }
    }

    #[test]
    fn names_are_kept_in_lower_case() {
        assert!(
            matches!(parse("Master.Mesos"), Ok(SanType::DnsName(name)) if name == "master.mesos")
        );
    }
}
