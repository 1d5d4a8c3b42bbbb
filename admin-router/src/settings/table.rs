//! Every setting of our own.

use std::str::FromStr;

use crate::Origin;
use crate::config::{Challenge, Config, Role};

/// One setting.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

const fn setting(
    name: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
) -> Setting {
    Setting { name, help, set }
}

/// Assigns a value that may fail to be read, and is fine with it.
macro_rules! put {
    ($($place:ident).+, $read:expr) => {
        |config: &mut Config, text: &str| {
            config.$($place).+ = $read(text)?;
            Ok(())
        }
    };
}

pub(super) const SETTINGS: &[Setting] = &[
    setting("role", "master or agent. (master)", put!(role, role)),
    setting("plain", "IP:PORT to listen on without TLS.", put!(plain, some)),
    setting("tls", "IP:PORT to listen on with TLS.", put!(tls, some)),
    setting(
        "names",
        "Names and addresses that clients use, comma-separated; the certificate is for them. \
         (localhost and the addresses it listens on)",
        put!(names, names),
    ),
    setting(
        "public_tls_port",
        "Port with TLS as clients see it, where it is mapped.",
        put!(public_tls_port, some),
    ),
    setting("workers", "Threads that serve; 0 is one a processor. (0)", put!(workers, parsed)),
    setting("data_dir", "Where its key and certificate live. Required.", put!(data_dir, parsed)),
    setting(
        "authentication",
        "false serves everybody everything. (true)",
        put!(authentication, parsed),
    ),
    setting(
        "challenge",
        "acsjwt, or oauthjwt as in the open DC/OS: what WWW-Authenticate says. (acsjwt)",
        put!(challenge, challenge),
    ),
    setting(
        "service_account",
        "File of the account as which the gateway follows IAM's policy.",
        put!(service_account, some),
    ),
    setting("certificate", "PEM file with the own certificate chain.", |config, text| {
        config.certificate.get_or_insert_default().0 = parsed(text)?;
        Ok(())
    }),
    setting("key", "PEM file with the key of --certificate.", |config, text| {
        config.certificate.get_or_insert_default().1 = parsed(text)?;
        Ok(())
    }),
    setting(
        "ca_file",
        "Authorities trusted for servers with https, beside the public ones.",
        put!(ca_file, some),
    ),
    setting(
        "trusted_proxies",
        "Networks of proxies whose X-Forwarded-* is believed, comma-separated.",
        put!(trusted_proxies, listed),
    ),
    setting("iam", "URL of IAM.", put!(upstreams.iam, host)),
    setting(
        "iam_plain",
        "true lets IAM be http:// on another machine; whoever is on the way hears passwords. \
         (false)",
        put!(plain_iam, parsed),
    ),
    setting("mesos", "URLs of the masters, comma-separated.", put!(upstreams.mesos, hosts)),
    setting("marathon", "URLs of Marathons, comma-separated.", put!(upstreams.marathon, hosts)),
    setting("cosmos", "URL of Cosmos.", put!(upstreams.cosmos, server)),
    setting("mesos_dns", "URL of Mesos-DNS.", put!(upstreams.mesos_dns, host)),
    setting("net", "URL of dcos-net.", put!(upstreams.net, server)),
    setting("diagnostics", "URL or socket of diagnostics.", put!(upstreams.diagnostics, server)),
    setting("logs", "URL or socket of the logs.", put!(upstreams.logs, server)),
    setting("metrics", "URL or socket of the metrics.", put!(upstreams.metrics, server)),
    setting("checks", "URL or socket of the checks.", put!(upstreams.checks, server)),
    setting("pkgpanda", "URL or socket of Pkgpanda.", put!(upstreams.pkgpanda, server)),
    setting("exhibitor", "URL of Exhibitor.", put!(upstreams.exhibitor, server)),
    setting("ui_update", "URL or socket of the UI's updates.", put!(upstreams.ui_update, server)),
    setting("ui", "Folder with the web page.", put!(site.ui, some)),
    setting("metadata", "Folder for /dcos-metadata/.", put!(site.metadata, some)),
    setting(
        "build_info",
        "File for /pkgpanda/active.buildinfo.full.json.",
        put!(site.build_info, some),
    ),
    setting("cluster_id", "File with the cluster's id.", put!(site.cluster_id, some)),
    setting("public_ip", "Public address, for /metadata.", put!(site.public_ip, some)),
    setting(
        "error_pages",
        "Folder with 401.html and 403.html instead of the own.",
        put!(site.error_pages, some),
    ),
    setting("frame_options", "X-Frame-Options of pages. (DENY)", put!(site.frame_options, some)),
    setting("host_ip", "This host's address as Mesos knows it.", put!(host_ip, some)),
    setting(
        "master_port",
        "Port of the gateways on other masters. (443 with TLS, else 80)",
        put!(master_port, some),
    ),
    setting("agent_port", "Port of the gateways on agents. (61001)", put!(agent_port, parsed)),
    setting("access_log", "File for the access log; - is the output.", put!(access_log, some)),
];

fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn some<T: FromStr>(text: &str) -> Result<Option<T>, String>
where
    T::Err: ToString,
{
    parsed(text).map(Some)
}

fn listed<T: FromStr>(text: &str) -> Result<Vec<T>, String>
where
    T::Err: ToString,
{
    words(text).map(parsed).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Names that a redirect may lead to, and a certificate may be for.
fn names(text: &str) -> Result<Vec<String>, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:*".contains(&byte);
    // A wildcard is a whole label, the first one.
    let is_name = |word: &str| {
        word.bytes().all(good) && !word.strip_prefix("*.").unwrap_or(word).contains('*')
    };
    let name = |word: &str| match is_name(word) {
        true => Ok(word.to_owned()),
        false => Err(format!("'{word}' is neither a name nor an address")),
    };
    words(text).map(name).collect()
}

/// A server as a URL.
pub(super) fn origin(text: &str) -> Result<Origin, String> {
    parsed(text.trim_end_matches('/'))
}

fn server(text: &str) -> Result<Option<Origin>, String> {
    origin(text).map(Some)
}

/// A server that the gateway asks something itself.
pub(super) fn asked(text: &str) -> Result<Origin, String> {
    match origin(text)? {
        Origin::Unix(_) => Err("this server cannot be asked at a socket".to_owned()),
        origin => Ok(origin),
    }
}

fn host(text: &str) -> Result<Option<Origin>, String> {
    asked(text).map(Some)
}

fn hosts(text: &str) -> Result<Vec<Origin>, String> {
    words(text).map(asked).collect()
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "master" => Ok(Role::Master),
        "agent" => Ok(Role::Agent),
        _ => Err("expected master or agent".to_owned()),
    }
}

fn challenge(text: &str) -> Result<Challenge, String> {
    match text {
        "acsjwt" => Ok(Challenge::Acs),
        "oauthjwt" => Ok(Challenge::Oauth),
        _ => Err("expected acsjwt or oauthjwt".to_owned()),
    }
}
