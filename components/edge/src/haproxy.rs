//! The configuration with which HAProxy would do the same. Pure.
//!
//! It is what the original would write, in the words of HAProxy 2.2 and later, and with host
//! names compared as they are here: without the port, in any case of letters.

use std::fmt::Write;
use std::path::Path;

use crate::config::Config;
use crate::labels::{Action, HeaderRule, Mode, When};
use crate::live::COOKIE;
use crate::routes::{HealthCheck, Server, Service, cleaned};

/// Whether hashes of passwords are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    Shown,
    Hidden,
}

/// What of the configuration matters to HAProxy.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    pub config: &'a Config,
    pub secrets: Secrets,
}

/// Writes everything; `services` in the order of apps and ports.
pub fn render(frame: &Frame<'_>, services: &[&Service]) -> String {
    let mut out = String::new();
    let config = frame.config;
    head(&mut out, config);
    for service in services {
        if let Some(auth) = &service.settings.auth {
            let hash = match frame.secrets {
                Secrets::Shown => quoted(&auth.hash),
                Secrets::Hidden => "*".to_owned(),
            };
            let user = quoted(&auth.user);
            line(&mut out, 0, &format!("\nuserlist user_{}", service.name));
            line(&mut out, 1, &format!("user {user} password {hash}"));
        }
    }
    // Those of equal weight stay in their order.
    let mut by_weight: Vec<&Service> = services.to_vec();
    by_weight.sort_by_key(|service| std::cmp::Reverse(service.settings.weight));
    by_weight.retain(|service| !service.settings.hosts.is_empty() && service.mode == Mode::Http);
    if let Some(port) = config.http_port {
        line(&mut out, 0, "\nfrontend marathon_http_in");
        line(&mut out, 1, &format!("bind {}", address(config.bind, port)));
        line(&mut out, 1, "mode http");
        by_weight.iter().for_each(|service| virtual_host(&mut out, service, false));
        by_weight.iter().for_each(|service| use_host(&mut out, service, false));
    }
    if let Some(port) = config.app_id_port {
        app_ids(&mut out, &address(config.bind, port), services);
    }
    if let Some(port) = config.https_port {
        let certificates: String = match config.certificates.paths.as_slice() {
            [] => " crt /etc/ssl/cert.pem".to_owned(),
            paths => paths.iter().map(|path| format!(" crt {}", path_quoted(path))).collect(),
        };
        line(&mut out, 0, "\nfrontend marathon_https_in");
        let bind = address(config.bind, port);
        line(&mut out, 1, &format!("bind {bind} ssl{certificates} alpn h2,http/1.1"));
        line(&mut out, 1, "mode http");
        by_weight.iter().for_each(|service| virtual_host(&mut out, service, true));
        by_weight.iter().for_each(|service| use_host(&mut out, service, true));
    }
    for service in services.iter().filter(|service| has_listener(config, service)) {
        frontend(&mut out, config, service);
    }
    services.iter().for_each(|service| backend(&mut out, service));
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{:depth$}{text}", "", depth = depth * 2);
}

/// As one word of a configuration, whatever stands in it.
fn quoted(text: &str) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@+,=*-%".contains(&byte);
    if !text.is_empty() && text.bytes().all(harmless) {
        return text.to_owned();
    }
    let plain: String = text.chars().filter(|one| !one.is_control()).collect();
    format!("'{}'", plain.replace('\'', "'\\''"))
}

fn path_quoted(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn address(ip: std::net::IpAddr, port: u16) -> String {
    match ip {
        _ if ip.is_unspecified() && ip.is_ipv4() => format!("*:{port}"),
        std::net::IpAddr::V4(ip) => format!("{ip}:{port}"),
        std::net::IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

fn head(out: &mut String, config: &Config) {
    let seconds = |duration: std::time::Duration| duration.as_millis();
    let (connect, client, server, tunnel) = (
        seconds(config.timeouts.connect),
        seconds(config.timeouts.client),
        seconds(config.timeouts.server),
        seconds(config.tunnel),
    );
    let retries = config.timeouts.retries;
    let stats = address(config.stats_bind, config.stats_port);
    out.push_str(&format!(
        "global
  log /dev/log local0
  log /dev/log local1 notice
  spread-checks 5
  max-spread-checks 15000
  maxconn 50000
  no strict-limits
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.2 no-tls-tickets
defaults
  log global
  retries {retries}
  backlog 10000
  maxconn 10000
  timeout connect {connect}
  timeout client {client}
  timeout server {server}
  timeout tunnel {tunnel}
  timeout http-keep-alive 1s
  timeout http-request 15s
  timeout queue 30s
  timeout tarpit 60s
  option dontlognull
  option http-server-close
  option redispatch
listen stats
  bind {stats}
  balance
  mode http
  stats enable
  monitor-uri /_haproxy_health_check
  http-request use-service prometheus-exporter if {{ path /metrics }}
"
    ));
}

fn host_acl(service: &Service) -> String {
    let first = service.settings.hosts.first().map_or("", |host| host);
    format!("host_{}_{}", cleaned(first), service.name)
}

fn condition(service: &Service) -> String {
    let path = service.settings.paths.as_ref().map(|_| format!(" path_{}", service.name));
    format!("{}{}", host_acl(service), path.unwrap_or_default())
}

/// What is matched, and what comes before any service is chosen.
fn virtual_host(out: &mut String, service: &Service, tls: bool) {
    let (settings, name) = (&service.settings, &service.name);
    for host in &settings.hosts {
        let fetch = match tls {
            true => "ssl_fc_sni,lower",
            false => "req.hdr(host),lower,regsub(:[0-9]*$,,)",
        };
        line(out, 1, &format!("acl {} {fetch} -m str {host}", host_acl(service)));
    }
    if let Some(paths) = &settings.paths {
        line(out, 1, &format!("acl path_{name} path_beg {}", words(&paths.text)));
    }
    let condition = condition(service);
    if let Some(auth) = settings.auth.as_ref().filter(|_| tls || !settings.redirect_to_https) {
        let realm = quoted(&auth.realm);
        line(out, 1, &format!("acl auth_{name} http_auth(user_{name})"));
        line(out, 1, &format!("http-request auth realm {realm} if {condition} !auth_{name}"));
    }
    if settings.redirect_to_https && !tls {
        let text = format!("redirect scheme https code 301 if !{{ ssl_fc }} {condition}");
        line(out, 1, &text);
    }
}

fn use_host(out: &mut String, service: &Service, tls: bool) {
    if tls || !service.settings.redirect_to_https {
        let text = format!("use_backend {} if {}", service.name, condition(service));
        line(out, 1, &text);
    }
}

fn words(text: &str) -> String {
    let words = text.split_ascii_whitespace();
    words
        .map(|word| if word == "-i" { word.to_owned() } else { quoted(word) })
        .collect::<Vec<_>>()
        .join(" ")
}

fn app_ids(out: &mut String, bind: &str, services: &[&Service]) {
    line(out, 0, "\nfrontend marathon_http_appid_in");
    line(out, 1, &format!("bind {bind}"));
    line(out, 1, "mode http");
    let mut seen = std::collections::BTreeSet::new();
    for service in services.iter().filter(|service| service.mode == Mode::Http) {
        if !seen.insert(&service.app) {
            continue;
        }
        let (acl, app) = (format!("app_{}", cleaned(&service.app)), quoted(&service.app));
        line(out, 1, &format!("acl {acl} hdr(x-marathon-app-id) -i {app}"));
        line(out, 1, &format!("use_backend {} if {acl}", service.name));
    }
}

fn has_listener(config: &Config, service: &Service) -> bool {
    config.service_ports.iter().any(|range| range.contains(&service.port))
        && (service.mode == Mode::Http || service.settings.ssl_cert.is_none())
}

fn frontend(out: &mut String, config: &Config, service: &Service) {
    let settings = &service.settings;
    let bind = address(settings.bind_address.unwrap_or(config.bind), service.port);
    let certificate = settings.ssl_cert.as_ref();
    let certificate = certificate.map(|path| format!(" ssl crt {}", quoted(path)));
    line(out, 0, &format!("\nfrontend {}", service.name));
    line(out, 1, &format!("bind {bind}{}", certificate.unwrap_or_default()));
    line(out, 1, &format!("mode {}", service.mode.name()));
    line(out, 1, &format!("use_backend {}", service.name));
}

fn backend(out: &mut String, service: &Service) {
    let settings = &service.settings;
    line(out, 0, &format!("\nbackend {}", service.name));
    line(out, 1, &format!("balance {}", settings.balance.haproxy()));
    // A service that hosts lead to is spoken to in HTTP there.
    let http = service.mode == Mode::Http;
    line(out, 1, &format!("mode {}", service.mode.name()));
    timeouts(out, service);
    if http {
        options(out, service);
    }
    if !settings.networks.is_empty() {
        for (network, _) in &settings.networks {
            line(out, 1, &format!("acl network_allowed src {network}"));
        }
        let rules = match http {
            true => ["http-request allow if network_allowed", "http-request deny"],
            false => {
                ["tcp-request content accept if network_allowed", "tcp-request content reject"]
            }
        };
        rules.iter().for_each(|rule| line(out, 1, rule));
    }
    if let Some(path) = settings.redir.as_ref().filter(|_| http) {
        line(out, 1, "acl is_root path -i /");
        for host in &settings.hosts {
            line(
                out,
                1,
                &format!("acl is_domain req.hdr(host),lower,regsub(:[0-9]*$,,) -m str {host}"),
            );
        }
        let text = format!("redirect code 301 location {} if is_domain is_root", quoted(path));
        if !settings.hosts.is_empty() {
            line(out, 1, &text);
        }
    }
    if settings.sticky && http {
        let (name, more) = match &settings.options.cookie {
            None => (COOKIE, String::new()),
            Some(cookie) => {
                let http_only = if cookie.http_only { " httponly" } else { "" };
                let secure = if cookie.secure { " secure" } else { "" };
                (cookie.name.as_str(), format!("{http_only}{secure}"))
            }
        };
        line(out, 1, &format!("cookie {name} insert indirect nocache{more}"));
    }
    let raw = service.mode == Mode::Tcp;
    let check = service.health_check.as_ref();
    if let Some(check) = check.filter(|check| !raw && !is_tcp(check)) {
        let path = quoted(check.path.as_deref().unwrap_or("/"));
        line(out, 1, &format!("option httpchk GET {path}"));
        line(out, 1, &format!("timeout check {}s", check.timeout_seconds.max(1)));
    }
    service.servers.iter().for_each(|server| self::server(out, service, server));
}

fn is_tcp(check: &HealthCheck) -> bool {
    matches!(&*check.protocol, "TCP" | "MESOS_TCP")
}

fn timeouts(out: &mut String, service: &Service) {
    let timeouts = &service.settings.options.timeouts;
    let all =
        [("connect", timeouts.connect), ("server", timeouts.server), ("tunnel", timeouts.tunnel)];
    for (name, duration) in all {
        if let Some(duration) = duration {
            line(out, 1, &format!("timeout {name} {}", duration.as_millis().max(1)));
        }
    }
}

fn options(out: &mut String, service: &Service) {
    let settings = &service.settings;
    line(out, 1, "option forwardfor");
    line(out, 1, "http-request set-header X-Forwarded-Port %[dst_port]");
    line(out, 1, "http-request set-header X-Forwarded-Proto https if { ssl_fc }");
    for rule in &settings.options.request {
        header(out, "http-request", rule);
    }
    let own = settings.options.response.iter().any(|rule| rule.name == "strict-transport-security");
    if settings.hsts && !own {
        line(out, 1, "http-response add-header Strict-Transport-Security max-age=15768000");
    }
    for rule in &settings.options.response {
        header(out, "http-response", rule);
    }
    if let Some(path) = &settings.proxypass {
        if let Some(host) = settings.hosts.first() {
            line(out, 1, &format!("http-request set-header Host {host}"));
        }
        let pattern = quoted(&format!("(?i)^{}/?(.*)", escaped(path)));
        line(out, 1, &format!("http-request replace-path {pattern} /\\1"));
    }
    if let Some(path) = &settings.revproxy {
        let hosts: Vec<String> = settings.hosts.iter().map(|host| escaped(host)).collect();
        let pattern = match hosts.is_empty() {
            true => "^/.*$".to_owned(),
            false => format!("(?i)^(https?://({})(:[0-9]+)?)?/.*$", hosts.join("|")),
        };
        let (pattern, path) = (quoted(&pattern), quoted(&path.replace('%', "%%")));
        line(out, 1, &format!("http-response replace-header Location {pattern} {path}"));
    }
}

fn header(out: &mut String, direction: &str, rule: &HeaderRule) {
    let value = rule.value.to_str().unwrap_or_default().replace('%', "%%");
    let value = if value.is_empty() { "''".to_owned() } else { quoted(&value) };
    let when = match rule.when {
        When::Always => "",
        When::Tls => " if { ssl_fc }",
        When::Plain => " if !{ ssl_fc }",
    };
    let name = rule.name.as_str();
    let text = match rule.action {
        Action::Set => format!("{direction} set-header {name} {value}{when}"),
        Action::Add => format!("{direction} add-header {name} {value}{when}"),
        Action::Delete => format!("{direction} del-header {name}{when}"),
    };
    line(out, 1, &text);
}

/// For a regular expression.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        if !one.is_ascii_alphanumeric() && one.is_ascii() && !matches!(one, '/' | '_' | '-') {
            escaped.push('\\');
        }
        escaped.push(one);
    }
    escaped
}

fn server(out: &mut String, service: &Service, server: &Server) {
    let settings = &service.settings;
    let address = match server.ip {
        std::net::IpAddr::V4(ip) => format!("{ip}:{}", server.port),
        std::net::IpAddr::V6(ip) => format!("[{ip}]:{}", server.port),
    };
    let mut text = format!("server {} {address} id {}", server.name, server.id);
    if settings.sticky && service.mode == Mode::Http {
        text.push_str(&format!(" check cookie {}", server.cookie));
    }
    if let Some(check) = &service.health_check {
        let (interval, falls) = (check.interval_seconds.max(1), check.failures + 1);
        text.push_str(&format!(" check inter {interval}s fall {falls}"));
        if let Some(port) = service.check_port.or(check.port) {
            text.push_str(&format!(" port {port}"));
        }
    }
    if server.draining {
        text.push_str(" disabled");
    } else if server.lost {
        text.push_str(" backup");
    }
    line(out, 1, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_one_word() {
        assert_eq!(quoted("plain-1.2_3"), "plain-1.2_3");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's\nuser x"), "'it'\\''suser x'");
        assert_eq!(quoted("$6$a"), "'$6$a'");
        assert_eq!(escaped("/a.b*"), "/a\\.b\\*");
    }
}
