//! Whether the way to IAM can be trusted.

use std::net::IpAddr;

use http::Uri;

use super::is_loopback;

/// IAM would be asked where whoever is on the way may hear logins, and answer in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "IAM at {host} is on another machine, and http:// protects nothing on the way: whoever is \
     there could answer in its place"
)]
pub struct PlainWay {
    host: String,
}

/// Refuses plain `http` to anything but this machine. What is no URL is told when it is used.
pub fn check_way(url: &str) -> Result<(), PlainWay> {
    let Ok(uri) = url.parse::<Uri>() else { return Ok(()) };
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("http") if !is_here(host) => Err(PlainWay { host: host.to_owned() }),
        _ => Ok(()),
    }
}

fn is_here(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_iam_is_asked_on_this_machine_only() {
        for good in [
            "http://127.0.0.1:8101",
            "http://127.0.0.2:8101/acs/api/v1/auth/login",
            "http://[::1]:8101",
            "http://LocalHost:8101",
            "https://10.0.0.1:8101",
            "https://iam.example.com",
        ] {
            assert_eq!(check_way(good), Ok(()), "{good}");
        }
        for bad in [
            "http://10.0.0.1:8101",
            "HTTP://10.0.0.1:8101",
            "http://iam.example.com",
            "http://localhost.example.com:8101",
            "http://localhost@10.0.0.1:8101",
            "http://127.0.0.1.example.com",
            "http://[::2]:8101",
            "http://0.0.0.0:8101",
        ] {
            assert!(check_way(bad).is_err(), "{bad}");
        }
    }
}
