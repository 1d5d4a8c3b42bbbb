//! The keys of a cluster's configuration, with their meaning, as in the dcos CLI.

pub(crate) const URL: &str = "core.dcos_url";
pub(crate) const TOKEN: &str = "core.dcos_acs_token";
pub(crate) const SSL_VERIFY: &str = "core.ssl_verify";
pub(crate) const TIMEOUT: &str = "core.timeout";
pub(crate) const MESOS: &str = "core.mesos_master_url";
pub(crate) const DNS: &str = "core.mesos_dns_url";
pub(crate) const NAME: &str = "cluster.name";
pub(crate) const MARATHON: &str = "marathon.url";
pub(crate) const COSMOS: &str = "package.cosmos_url";

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Seconds,
    /// True, false, or the path of certificates.
    Verify,
}

/// Every key, in order, with what it means.
pub(crate) const ALL: [(&str, Kind, &str); 16] = [
    (NAME, Kind::Text, "human readable name of cluster"),
    (TOKEN, Kind::Text, "the authentication token"),
    (URL, Kind::Text, "the URL of the cluster's gateway"),
    (DNS, Kind::Text, "the HTTP URL of the name server (defaults to 'core.dcos_url')"),
    (MESOS, Kind::Text, "the Mesos master URL (defaults to 'core.dcos_url')"),
    ("core.pagination", Kind::Flag, "accepted for the dcos CLI's sake; output is never paginated"),
    (
        "core.prompt_login",
        Kind::Flag,
        "whether to prompt the user to log in when token expired, \
         otherwise automatically initiate login",
    ),
    ("core.reporting", Kind::Flag, "accepted for the dcos CLI's sake; nothing is ever reported"),
    ("core.ssh_proxy_ip", Kind::Text, "a fixed ssh proxy host (bastion) for node SSH access"),
    ("core.ssh_user", Kind::Text, "the user used when using ssh to connect to a node"),
    (SSL_VERIFY, Kind::Verify, "whether to verify SSL certificates"),
    (
        TIMEOUT,
        Kind::Seconds,
        "the request timeout in seconds, with a minimum value of 1 second \
         (defaults to 3 minutes)",
    ),
    ("job.service_name", Kind::Text, "the name of the metronome cluster"),
    ("job.url", Kind::Text, "API URL for talking to the Metronome scheduler"),
    (
        MARATHON,
        Kind::Text,
        "base URL for talking to Marathon, overwrites the value specified in 'core.dcos_url'",
    ),
    (
        COSMOS,
        Kind::Text,
        "base URL for talking to Cosmos, overwrites the value specified in 'core.dcos_url'",
    ),
];

/// What a key's value is; unknown keys hold text.
pub(crate) fn kind(key: &str) -> Kind {
    ALL.iter().find(|(known, ..)| *known == key).map_or(Kind::Text, |(_, kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order() {
        assert!(ALL.is_sorted_by_key(|(key, ..)| *key));
        assert_eq!(kind(TIMEOUT), Kind::Seconds);
        assert_eq!(kind("my.own"), Kind::Text);
    }
}
