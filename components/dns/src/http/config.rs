//! `/v1/config`: what is in effect, in the words of the original.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::config::Config;
use crate::names::IpSource;

pub(super) fn shown(config: &Config, serial: u32) -> Value {
    let texts = |all: &[SocketAddr]| all.iter().map(SocketAddr::to_string).collect::<Vec<_>>();
    let zones = config.zone_resolvers.iter();
    let zones: serde_json::Map<String, Value> =
        zones.map(|(zone, servers)| (zone.clone(), json!(texts(servers)))).collect();
    let sources: Vec<&str> = config.ip_sources.iter().map(|source| source.name()).collect();
    let listener = config.listeners.first().map(ToString::to_string);
    let has_tls = config.masters.iter().any(|master| master.starts_with("https://"));
    json!({
        // Changes are told, nothing is refreshed.
        "RefreshSeconds": 0,
        "Port": config.port,
        "Timeout": config.timeout.as_secs(),
        "StateTimeoutSeconds": 0,
        "ZkDetectionTimeout": 0,
        "HttpPort": config.http_port,
        "TTL": config.ttl,
        "SRVRecordDefaultWeight": config.srv_record_default_weight,
        "SOASerial": serial,
        "SOARefresh": config.soa_refresh,
        "SOARetry": config.soa_retry,
        "SOAExpire": config.soa_expire,
        "SOAMinttl": config.ttl,
        "SOAMname": format!("{}.", config.soa_mname),
        "SOARname": format!("{}.", config.soa_rname),
        "Masters": config.masters,
        "ZoneResolvers": zones,
        "Resolvers": texts(&config.resolvers),
        "IPSources": sources,
        "Zk": "",
        "Domain": config.domain,
        "File": "",
        "Listener": listener,
        "HTTPListener": config.http_listener,
        "RecurseOn": config.recurse_on,
        "DnsOn": true,
        "HttpOn": true,
        "ExternalOn": config.external_on,
        "EnforceRFC952": config.enforce_rfc952,
        "SetTruncateBit": config.set_truncate_bit,
        "EnumerationOn": config.enumeration_on,
        "MesosHTTPSOn": has_tls,
    })
}

// === impl IpSource ===

impl IpSource {
    fn name(self) -> &'static str {
        match self {
            IpSource::Host => "host",
            IpSource::Netinfo => "netinfo",
            IpSource::Docker => "docker",
            IpSource::Mesos => "mesos",
        }
    }
}
