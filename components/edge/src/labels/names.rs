//! The names of all labels that Marathon-LB knows.

/// What a label of a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// A setting with a value.
    Setting(Setting),
    /// A template whose directives are read.
    Directives(Template),
    /// A template about checks that Marathon makes: its results are used here.
    Checks,
    /// A template that glues pieces of a file together that does not exist here.
    Glue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Auth,
    Balance,
    BindAddr,
    BindOptions,
    Enabled,
    Group,
    HealthCheckPortIndex,
    Mode,
    NetworkAllowed,
    Path,
    Port,
    ProxyPass,
    Redir,
    RedirectToHttps,
    RevProxy,
    SslCert,
    Sticky,
    UseHsts,
    VHost,
    Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    BackendHead,
    FrontendHead,
    Hsts,
    HttpOptions,
    Sticky,
}

/// In the order in which the original reads them: by name.
pub(crate) const SETTINGS: [(&str, Setting); 20] = [
    ("AUTH", Setting::Auth),
    ("BACKEND_HEALTHCHECK_PORT_INDEX", Setting::HealthCheckPortIndex),
    ("BACKEND_NETWORK_ALLOWED_ACL", Setting::NetworkAllowed),
    ("BACKEND_WEIGHT", Setting::Weight),
    ("BALANCE", Setting::Balance),
    ("BIND_ADDR", Setting::BindAddr),
    ("BIND_OPTIONS", Setting::BindOptions),
    ("ENABLED", Setting::Enabled),
    ("GROUP", Setting::Group),
    ("HTTP_BACKEND_PROXYPASS_PATH", Setting::ProxyPass),
    ("HTTP_BACKEND_REDIR", Setting::Redir),
    ("HTTP_BACKEND_REVPROXY_PATH", Setting::RevProxy),
    ("MODE", Setting::Mode),
    ("PATH", Setting::Path),
    ("PORT", Setting::Port),
    ("REDIRECT_TO_HTTPS", Setting::RedirectToHttps),
    ("SSL_CERT", Setting::SslCert),
    ("STICKY", Setting::Sticky),
    ("USE_HSTS", Setting::UseHsts),
    ("VHOST", Setting::VHost),
];

const DIRECTIVES: [(&str, Template); 5] = [
    ("BACKEND_HEAD", Template::BackendHead),
    ("BACKEND_HSTS_OPTIONS", Template::Hsts),
    ("BACKEND_HTTP_OPTIONS", Template::HttpOptions),
    ("BACKEND_STICKY_OPTIONS", Template::Sticky),
    ("FRONTEND_HEAD", Template::FrontendHead),
];

const CHECKS: [&str; 4] = [
    "BACKEND_HTTP_HEALTHCHECK_OPTIONS",
    "BACKEND_SERVER_HTTP_HEALTHCHECK_OPTIONS",
    "BACKEND_SERVER_TCP_HEALTHCHECK_OPTIONS",
    "BACKEND_TCP_HEALTHCHECK_OPTIONS",
];

const GLUE: [&str; 28] = [
    "BACKEND_REDIRECT_HTTP_TO_HTTPS",
    "BACKEND_REDIRECT_HTTP_TO_HTTPS_WITH_PATH",
    "BACKEND_SERVER_OPTIONS",
    "FRONTEND_BACKEND_GLUE",
    "HTTPS_FRONTEND_ACL",
    "HTTPS_FRONTEND_ACL_ONLY_WITH_PATH",
    "HTTPS_FRONTEND_ACL_WITH_AUTH",
    "HTTPS_FRONTEND_ACL_WITH_AUTH_AND_PATH",
    "HTTPS_FRONTEND_ACL_WITH_PATH",
    "HTTP_BACKEND_NETWORK_ALLOWED_ACL",
    "HTTP_BACKEND_PROXYPASS_GLUE",
    "HTTP_BACKEND_REVPROXY_GLUE",
    "HTTP_FRONTEND_ACL",
    "HTTP_FRONTEND_ACL_ONLY",
    "HTTP_FRONTEND_ACL_ONLY_WITH_PATH",
    "HTTP_FRONTEND_ACL_ONLY_WITH_PATH_AND_AUTH",
    "HTTP_FRONTEND_ACL_WITH_AUTH",
    "HTTP_FRONTEND_ACL_WITH_AUTH_AND_PATH",
    "HTTP_FRONTEND_ACL_WITH_PATH",
    "HTTP_FRONTEND_APPID_ACL",
    "HTTP_FRONTEND_ROUTING_ONLY",
    "HTTP_FRONTEND_ROUTING_ONLY_WITH_AUTH",
    "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH",
    "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH",
    "MAP_HTTPS_FRONTEND_ACL",
    "MAP_HTTP_FRONTEND_ACL",
    "MAP_HTTP_FRONTEND_ACL_ONLY",
    "MAP_HTTP_FRONTEND_APPID_ACL",
];
const MORE_GLUE: [&str; 2] = ["TCP_BACKEND_NETWORK_ALLOWED_ACL", "USERLIST_HEAD"];

/// Labels of an app as a whole.
pub(crate) const OF_APP: [&str; 7] = [
    "HAPROXY_GROUP",
    "HAPROXY_DEPLOYMENT_GROUP",
    "HAPROXY_DEPLOYMENT_ALT_PORT",
    "HAPROXY_DEPLOYMENT_COLOUR",
    "HAPROXY_DEPLOYMENT_STARTED_AT",
    "HAPROXY_DEPLOYMENT_TARGET_INSTANCES",
    "HAPROXY_DEPLOYMENT_NEW_INSTANCES",
];

/// What the part of a port's label behind the number means.
pub(crate) fn known(name: &str) -> Option<Known> {
    if let Some((_, setting)) = SETTINGS.iter().find(|(known, _)| *known == name) {
        return Some(Known::Setting(*setting));
    }
    if let Some((_, template)) = DIRECTIVES.iter().find(|(known, _)| *known == name) {
        return Some(Known::Directives(*template));
    }
    match name {
        _ if CHECKS.contains(&name) => Some(Known::Checks),
        _ if GLUE.contains(&name) || MORE_GLUE.contains(&name) => Some(Known::Glue),
        _ => None,
    }
}

/// The number and the rest of `HAPROXY_<number>_<rest>`.
pub(crate) fn of_port(label: &str) -> Option<(usize, &str)> {
    let (number, rest) = label.strip_prefix("HAPROXY_")?.split_once('_')?;
    let plain = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    // As the original writes them: `HAPROXY_01_VHOST` is nothing.
    let plain = plain && (number == "0" || !number.starts_with('0'));
    plain.then(|| Some((number.parse().ok()?, rest)))?
}
