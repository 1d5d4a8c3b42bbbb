//! The labels of apps that say how they are reached from outside, as Marathon-LB reads them.
//! Pure.
//!
//! 1. [`read`] gives the settings of one port, with the original's defaults.
//! 2. Every label that begins with `HAPROXY_` and is not honoured, or not all of it, is a
//!    [`Problem`]: none is ignored in silence.
//! 3. What cannot be understood and would have kept somebody out (credentials, networks) makes
//!    the port not served at all.

mod directives;
pub(crate) mod names;
mod problem;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proxy::Network;

pub use directives::{Action, CookieOptions, HeaderRule, Options, Timeouts, When};
pub use problem::{Kind, Problem};
pub use values::{Auth, Balance, Mode, Paths};

use names::{Known, Setting, Template};

/// All labels of an app.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// What the labels say of one port. Fields that are absent leave it to the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Instead of those of the app.
    pub groups: Option<Vec<Arc<str>>>,
    pub hosts: Vec<Arc<str>>,
    pub paths: Option<Paths>,
    pub port: Option<u16>,
    pub mode: Option<Mode>,
    pub balance: Balance,
    pub sticky: bool,
    pub redirect_to_https: bool,
    pub ssl_cert: Option<Arc<str>>,
    pub bind_address: Option<IpAddr>,
    pub hsts: bool,
    pub auth: Option<Auth>,
    pub enabled: Option<bool>,
    /// Larger ones are looked at first.
    pub weight: i64,
    /// Empty: from everywhere.
    pub networks: Vec<(Arc<str>, Network)>,
    pub health_check_port_index: Option<i64>,
    pub proxypass: Option<Arc<str>>,
    pub revproxy: Option<Arc<str>>,
    pub redir: Option<Arc<str>>,
    pub options: Options,
    /// It must not be served: see the problems.
    pub refused: bool,
}

// === impl Settings ===

impl Settings {
    fn take(&mut self, setting: Setting, label: &str, value: &str, problems: &mut Vec<Problem>) {
        if let Err((kind, text)) = self.set(setting, value) {
            self.refused |= kind == Kind::Refused;
            problems.push(Problem::new(label, kind, text));
        }
    }

    fn set(&mut self, setting: Setting, value: &str) -> Result<(), (Kind, String)> {
        let invalid = |text: &str| (Kind::Invalid, text.to_owned());
        let integer = || invalid("expecting a whole number");
        let flag = |field: &mut bool| {
            *field = values::boolean(value);
            let known = values::is_boolean(value);
            known.then_some(()).ok_or_else(|| invalid("expecting true or false: it means false"))
        };
        match setting {
            Setting::Group => self.groups = Some(groups(value)),
            Setting::Sticky => flag(&mut self.sticky)?,
            Setting::RedirectToHttps => flag(&mut self.redirect_to_https)?,
            Setting::UseHsts => flag(&mut self.hsts)?,
            Setting::Enabled => {
                let mut enabled = false;
                let known = flag(&mut enabled);
                self.enabled = Some(enabled);
                known?;
            }
            Setting::VHost => {
                let hosts = values::hosts(value);
                self.hosts = hosts.ok_or_else(|| invalid("expecting host names"))?;
            }
            Setting::Path => {
                let refused = |text: &str| (Kind::Refused, text.to_owned());
                let paths = Paths::parse(value);
                // Without it the whole host would go there.
                self.paths =
                    Some(paths.ok_or_else(|| refused("expecting paths, or -i and paths"))?);
                if self.weight == 0 {
                    self.weight = 1;
                }
            }
            Setting::Port => {
                let port = values::integer(value).filter(|port| *port != 0);
                self.port = Some(port.ok_or_else(|| invalid("expecting a port"))?);
            }
            Setting::Mode => {
                self.mode = Some(match value.to_ascii_lowercase().as_str() {
                    "http" => Mode::Http,
                    "tcp" => Mode::Tcp,
                    _ => return Err(invalid("expecting http or tcp")),
                });
            }
            Setting::Weight => self.weight = values::integer(value).ok_or_else(integer)?,
            Setting::HealthCheckPortIndex => {
                self.health_check_port_index = Some(values::integer(value).ok_or_else(integer)?);
            }
            Setting::Balance => {
                let balance = Balance::parse(value);
                self.balance = balance.ok_or_else(|| {
                    invalid(
                        "expecting roundrobin, leastconn, source, first, uri, random, hdr(name)",
                    )
                })?;
            }
            _ => return self.set_more(setting, value),
        }
        Ok(())
    }

    fn set_more(&mut self, setting: Setting, value: &str) -> Result<(), (Kind, String)> {
        let invalid = |text: &str| (Kind::Invalid, text.to_owned());
        let path = || {
            let path = values::location(value);
            path.ok_or_else(|| invalid("expecting a path without blanks"))
        };
        match setting {
            Setting::Auth => {
                let auth = Auth::parse(value);
                self.auth = Some(auth.map_err(|text| (Kind::Refused, text.to_owned()))?);
            }
            Setting::NetworkAllowed => {
                let wrong = |word: &str| (Kind::Refused, format!("'{word}' is no network"));
                self.networks = values::networks(value).map_err(wrong)?;
            }
            Setting::BindAddr => {
                // Every address would be more than what is asked for.
                let wrong = || (Kind::Refused, "expecting an address or *".to_owned());
                self.bind_address = values::bind_address(value).ok_or_else(wrong)?;
            }
            Setting::SslCert => self.ssl_cert = Some(value.trim().into()),
            Setting::ProxyPass => self.proxypass = Some(path()?),
            Setting::RevProxy => self.revproxy = Some(path()?),
            Setting::Redir => self.redir = Some(path()?),
            Setting::BindOptions => {
                let left = bind_options(value);
                if !left.is_empty() {
                    let text = format!("without effect: {}", left.join(" "));
                    return Err((Kind::Partial, text));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is no setting: templates, and what nobody knows.
    fn more(&mut self, name: &str, label: &str, text: &str) -> Vec<Problem> {
        let one = |kind, text: &str| vec![Problem::new(label, kind, text)];
        match names::known(name) {
            Some(Known::Setting(_)) => Vec::new(),
            Some(Known::Directives(template)) => {
                // Templates of what is not asked for are not read by the original either.
                let wanted = match template {
                    Template::Hsts => self.hsts,
                    Template::Sticky => self.sticky,
                    _ => true,
                };
                if wanted { self.directives(template, label, text) } else { Vec::new() }
            }
            Some(Known::Checks) => {
                one(Kind::Unneeded, "checks are Marathon's, whose results are used")
            }
            Some(Known::Glue) if directives::guards(text) => {
                self.refused = true;
                one(Kind::Refused, "the text would keep requests out, and has no effect here")
            }
            Some(Known::Glue) => {
                one(Kind::Unsupported, "there is no file that this text could stand in")
            }
            None => one(Kind::Unknown, "there is no such label"),
        }
    }

    fn directives(&mut self, template: Template, label: &str, text: &str) -> Vec<Problem> {
        let left = directives::read(template, text, &mut self.options);
        if let Some(balance) = self.options.balance.take() {
            self.balance = balance;
        }
        let problem = |left: &directives::Left| {
            let kind = if left.guards { Kind::Refused } else { Kind::Partial };
            Problem::new(label, kind, format!("without effect: {}", left.directive))
        };
        self.refused |= left.iter().any(|left| left.guards);
        left.iter().map(problem).collect()
    }
}

/// Reads the labels of port number `index`.
pub fn read(labels: &Labels, index: usize) -> (Settings, Vec<Problem>) {
    let (mut settings, mut problems) = (Settings::default(), Vec::new());
    let value = |name: &str| labels.get_key_value(format!("HAPROXY_{index}_{name}").as_str());
    for (name, setting) in names::SETTINGS {
        if let Some((label, text)) = value(name) {
            settings.take(setting, label, text, &mut problems);
        }
    }
    for (label, text) in labels {
        let of_this = names::of_port(label).filter(|(port, _)| *port == index);
        if let Some((_, name)) = of_this {
            problems.extend(settings.more(name, label, text));
        }
    }
    problems.extend(contradictions(&settings, index));
    (settings, problems)
}

/// Settings that need others.
fn contradictions(settings: &Settings, index: usize) -> Vec<Problem> {
    let label = |name: &str| format!("HAPROXY_{index}_{name}");
    let mut problems = Vec::new();
    let mut without_host = |name: &str| {
        let text = "without effect: no HAPROXY_n_VHOST says for which host";
        problems.push(Problem::new(&label(name), Kind::Invalid, text));
    };
    if !settings.hosts.is_empty() && settings.mode == Some(Mode::Tcp) {
        let text = "without effect: who only passes bytes on does not see hosts (HAPROXY_n_MODE)";
        return vec![Problem::new(&label("VHOST"), Kind::Invalid, text)];
    }
    if settings.hosts.is_empty() {
        if settings.paths.is_some() {
            without_host("PATH");
        }
        if settings.redirect_to_https {
            without_host("REDIRECT_TO_HTTPS");
        }
        if settings.auth.is_some() {
            without_host("AUTH");
        }
    }
    problems
}

/// What is wrong with labels that are not about one of the first `ports` ports.
pub fn of_app(labels: &Labels, ports: usize) -> Vec<Problem> {
    let ours = labels.keys().filter(|label| label.starts_with("HAPROXY_"));
    let wrong = ours.filter_map(|label| match names::of_port(label) {
        Some((port, _)) if port < ports => None,
        Some((port, _)) => {
            let text = format!("the app has no port number {port}");
            Some(Problem::new(label, Kind::Invalid, text))
        }
        None if names::OF_APP.contains(&&**label) => None,
        None => Some(Problem::new(label, Kind::Unknown, "there is no such label")),
    });
    wrong.collect()
}

/// Names of groups, as they stand between commas.
pub(crate) fn groups(text: &str) -> Vec<Arc<str>> {
    text.split(',').map(|group| group.trim().into()).collect()
}

/// Words without effect. Older versions of TLS than 1.2 and weak ciphers are never spoken.
fn bind_options(text: &str) -> Vec<&str> {
    let mut left = Vec::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word {
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" | "no-tls-tickets" | "force-tlsv12" | "ssl"
            | "transparent" | "v4v6" => {}
            "ssl-min-ver" if words.clone().next() != Some("TLSv1.3") => {
                words.next();
            }
            "ciphers" | "ciphersuites" | "ecdhe" | "curves" => {
                words.next();
            }
            "alpn" | "npn" if words.clone().next() == Some("h2,http/1.1") => {
                words.next();
            }
            _ => left.push(word),
        }
    }
    left
}

#[cfg(test)]
mod tests;
