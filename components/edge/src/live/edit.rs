//! What is changed of requests and answers of one service.

use std::sync::Arc;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use proxy::{HeaderEdits, RequestHead, ResponseEdit, ResponseHead, Scheme};

use crate::labels::{Action, HeaderRule, When};
use crate::routes::{Server, Service};

/// The cookie that binds clients to servers, unless a template names another.
pub const COOKIE: &str = "mesosphere_server_id";
const COOKIES: [&str; 1] = [COOKIE];
/// As long as the original says it: half a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=15768000");

/// Changes of the answers of one service, or of one server of it.
pub(crate) struct Edit {
    rules: Vec<HeaderRule>,
    hsts: bool,
    /// Where redirects lead instead, and of which host.
    location: Option<(HeaderValue, Vec<Arc<str>>)>,
    cookie: Option<HeaderValue>,
}

// === impl Edit ===

impl Edit {
    /// None where nothing is changed. With a server: for clients that are to be bound to it.
    pub(crate) fn of(service: &Service, server: Option<&Server>) -> Option<Arc<dyn ResponseEdit>> {
        let settings = &service.settings;
        let location = settings
            .revproxy
            .as_ref()
            .and_then(|path| Some((HeaderValue::from_str(path).ok()?, settings.hosts.clone())));
        let cookie = server.and_then(|server| {
            let (name, more) = match &settings.options.cookie {
                None => (COOKIE, String::new()),
                Some(options) => {
                    let http_only = if options.http_only { "; HttpOnly" } else { "" };
                    let secure = if options.secure { "; Secure" } else { "" };
                    (options.name.as_str(), format!("{http_only}{secure}"))
                }
            };
            HeaderValue::from_str(&format!("{name}={}; path=/{more}", server.cookie)).ok()
        });
        let rules = settings.options.response.clone();
        let edit = Edit { rules, hsts: settings.hsts && !has_hsts(settings), location, cookie };
        let nothing =
            edit.rules.is_empty() && !edit.hsts && edit.location.is_none() && edit.cookie.is_none();
        (!nothing).then(|| Arc::new(edit) as Arc<dyn ResponseEdit>)
    }
}

/// A template says it in its own words.
fn has_hsts(settings: &crate::labels::Settings) -> bool {
    settings.options.response.iter().any(|rule| rule.name == STRICT_TRANSPORT_SECURITY)
}

impl ResponseEdit for Edit {
    fn edit(&self, response: &mut ResponseHead) {
        let headers = &mut response.headers;
        if self.hsts {
            headers.push((STRICT_TRANSPORT_SECURITY, HSTS));
        }
        for rule in &self.rules {
            // Which connection an answer is for is not known here: such rules are for requests.
            if rule.when != When::Always {
                continue;
            }
            if rule.action != Action::Add {
                headers.retain(|(name, _)| *name != rule.name);
            }
            if rule.action != Action::Delete {
                headers.push((rule.name.clone(), rule.value.clone()));
            }
        }
        if let Some((path, hosts)) = &self.location {
            let found = headers.iter_mut().find(|(name, _)| *name == LOCATION);
            if let Some((_, value)) = found
                && value.to_str().is_ok_and(|location| is_local(location, hosts))
            {
                value.clone_from(path);
            }
        }
        if let Some(cookie) = &self.cookie {
            headers.push((SET_COOKIE, cookie.clone()));
            private(headers);
        }
    }
}

/// Nobody in between may keep an answer that binds its client.
fn private(headers: &mut Vec<(HeaderName, HeaderValue)>) {
    let uncached = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        ["private", "no-cache", "no-store"].iter().any(|word| value.contains(word))
    };
    if !headers.iter().any(|(name, value)| *name == CACHE_CONTROL && uncached(value)) {
        headers.push((CACHE_CONTROL, HeaderValue::from_static("private")));
    }
}

/// Whether a redirect leads to a path, of nobody or of one of these hosts.
fn is_local(location: &str, hosts: &[Arc<str>]) -> bool {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        location.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else { return location.starts_with('/') };
    let rest = location.get(scheme.len()..).unwrap_or_default();
    let Some((host, _)) = rest.split_once('/') else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// What is changed of a request, beside its path and host.
pub(crate) fn request(service: &Service, head: &RequestHead, scheme: Scheme) -> HeaderEdits {
    let settings = &service.settings;
    let mut edits = HeaderEdits::default();
    if settings.sticky && settings.options.cookie.is_none() {
        edits.remove_cookies = &COOKIES;
    }
    for rule in &settings.options.request {
        let holds = match rule.when {
            When::Always => true,
            When::Tls => scheme == Scheme::Https,
            When::Plain => scheme == Scheme::Http,
        };
        if !holds {
            continue;
        }
        match rule.action {
            Action::Delete => {
                edits.set.retain(|(name, _)| *name != rule.name);
                edits.remove.push(rule.name.clone());
            }
            Action::Set => {
                edits.set.retain(|(name, _)| *name != rule.name);
                edits.set.push((rule.name.clone(), rule.value.clone()));
            }
            Action::Add => {
                let known = edits.set.iter().any(|(name, _)| *name == rule.name);
                if !known && !edits.remove.contains(&rule.name) {
                    // What is set stands instead of the client's.
                    let own = head.all(rule.name.as_str());
                    let own = own.filter_map(|value| HeaderValue::from_bytes(value).ok());
                    edits.set.extend(own.map(|value| (rule.name.clone(), value)));
                }
                edits.set.push((rule.name.clone(), rule.value.clone()));
            }
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_of_the_service_are_known() {
        let hosts = ["a.example.com".into()];
        for (location, local) in [
            ("/x", true),
            ("http://a.example.com/x", true),
            ("HTTPS://A.example.com:8443/x", true),
            ("http://a.example.com", false),
            ("http://b.example.com/x", false),
            ("ftp://a.example.com/x", false),
            ("x", false),
        ] {
            assert_eq!(is_local(location, &hosts), local, "{location}");
        }
    }
}
