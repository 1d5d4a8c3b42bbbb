//! The environment variables of the original.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::table;
use crate::config::{Config, Secret};

/// One variable of the original.
pub(super) struct Original {
    pub(super) name: &'static str,
    /// Takes it, with a note where it has no effect.
    pub(super) set: fn(&mut Config, &str) -> Result<Option<&'static str>, String>,
}

const EVENTS: &str = "has no effect: the cluster is followed by its events, not polled";

pub(super) const ORIGINAL: &[Original] = &[
    Original {
        name: "DEFAULT_SCHEME",
        set: |config, text| {
            config.default_scheme = match text {
                "http://" => proxy::Scheme::Http,
                "https://" => proxy::Scheme::Https,
                _ => return Err(format!("expected http:// or https://, not '{text}'")),
            };
            Ok(None)
        },
    },
    Original {
        name: "HOST_IP",
        set: |config, text| match text.parse::<Ipv4Addr>() {
            Ok(ip) => {
                config.host_ip = Some(ip.into());
                Ok(None)
            }
            // As with the original, it only means that no leader is known to be here.
            Err(_) => Ok(Some("is no IPv4 address: whether a leader is on this host is unknown")),
        },
    },
    Original {
        name: "UPSTREAM_MESOS",
        set: |config, text| {
            config.upstreams.mesos = vec![table::asked(text)?];
            Ok(None)
        },
    },
    Original {
        name: "UPSTREAM_MARATHON",
        set: |config, text| {
            config.upstreams.marathon = vec![table::asked(text)?];
            Ok(None)
        },
    },
    Original {
        name: "SERVICE_AUTH_TOKEN",
        set: |config, text| {
            config.service_token = Some(Secret::new(text));
            Ok(None)
        },
    },
    Original {
        name: "EXHIBITOR_ADMIN_HTTPBASICAUTH_CREDS",
        set: |config, text| {
            if !text.contains(':') {
                return Err("expected user:password".to_owned());
            }
            config.exhibitor_credentials = Some(Secret::new(text));
            Ok(None)
        },
    },
    Original {
        name: "AUTH_TOKEN_VERIFICATION_KEY_FILE_PATH",
        set: |_, _| {
            Ok(Some("has no effect: IAM tells its keys with its policy, also when they change"))
        },
    },
    Original {
        name: "SECRET_KEY_FILE_PATH",
        set: |_, _| {
            Err("tokens signed with a shared secret (HS256) are not accepted: whoever can check one \
             could make one. Let users log in at IAM and unset it"
            .to_owned())
        },
    },
    Original {
        name: "AUTH_ERROR_PAGE_DIR_PATH",
        set: |config, text| {
            config.site.error_pages = Some(text.into());
            Ok(None)
        },
    },
    Original {
        name: "ADMINROUTER_ACTIVATE_AUTH_MODULE",
        set: |config, text| {
            if text == "false" {
                config.authentication = false;
                return Ok(Some("everybody may do everything: authentication is off"));
            }
            Ok(None)
        },
    },
    Original {
        name: "OAUTH_CLIENT_ID",
        set: |config, text| {
            let (url, _) = config.redirector.take().unwrap_or_default();
            config.redirector = Some((url, text.to_owned()));
            Ok(None)
        },
    },
    Original {
        name: "OAUTH_AUTH_REDIRECTOR",
        set: |config, text| {
            let url = text.trim_end_matches('/');
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(format!("expected a URL, not '{text}'"));
            }
            let (_, id) = config.redirector.take().unwrap_or_default();
            config.redirector = Some((url.to_owned(), id));
            Ok(None)
        },
    },
    Original {
        name: "CACHE_MAX_AGE_HARD_LIMIT",
        set: |config, text| {
            config.knowledge_max_age = seconds(text)?;
            Ok(None)
        },
    },
    Original {
        name: "CACHE_BACKEND_REQUEST_TIMEOUT",
        set: |config, text| {
            config.knowledge_timeout = seconds(text)?;
            Ok(None)
        },
    },
    Original { name: "CACHE_FIRST_POLL_DELAY", set: unused },
    Original { name: "CACHE_POLL_PERIOD", set: unused },
    Original { name: "CACHE_EXPIRATION", set: unused },
    Original { name: "CACHE_MAX_AGE_SOFT_LIMIT", set: unused },
    Original { name: "CACHE_REFRESH_LOCK_TIMEOUT", set: unused },
];

/// A number as the original wants it, which means nothing here.
fn unused(_: &mut Config, text: &str) -> Result<Option<&'static str>, String> {
    seconds(text).map(|_| Some(EVENTS))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok();
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    duration.ok_or_else(|| format!("expected a number of seconds, not '{text}'"))
}
