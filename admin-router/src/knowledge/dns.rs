//! Asks Mesos-DNS for what frameworks do not say themselves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster_events::asking::{Ask, AskConfig, Server};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proxy::{Address, Scheme, Upstream};
use serde::Deserialize;

use super::settings::{Settings, USER_AGENT};
use super::table::Upstreams;

/// The original's limits of one question.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(3);
/// Servers that are remembered, so that connections to them are kept.
const MOST: usize = 1024;
const LABEL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// There was no answer, or one that cannot be read.
#[derive(Debug)]
pub(super) struct Failed;

pub(super) struct Dns {
    ask: Ask,
    server: Server,
    upstreams: Upstreams,
    known: Mutex<HashMap<Arc<str>, Arc<Upstream>>>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    ip: String,
    #[serde(default)]
    port: Port,
}

/// Written as a text by some versions, as a number by others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Text(String),
    Number(u16),
}

// === impl Dns ===

impl Dns {
    pub(super) fn new(settings: &Settings, upstreams: Upstreams) -> Option<Dns> {
        let server = settings.mesos_dns.as_ref()?.server()?;
        let ask = Ask::new(AskConfig {
            authorities: settings.authorities.clone(),
            connect_timeout: CONNECT,
            timeout: ANSWER,
            ..AskConfig::new(USER_AGENT)
        });
        Some(Dns { ask, server, upstreams, known: Mutex::default() })
    }

    /// Where the service of a name (dotted) is; none if it does not know.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Arc<Upstream>>, Failed> {
        let label = utf8_percent_encode(name, LABEL);
        let url = self.server.url(&format!("/v1/services/_{label}._tcp.marathon.mesos"));
        let body = self.ask.get(&url).await.map_err(|error| {
            tracing::warn!(%error, name, "Mesos-DNS cannot be asked");
            Failed
        })?;
        let address = first(&body.ok_or(Failed)?)?;
        Ok(address.map(|address| self.upstream(name, address)))
    }

    /// The same one for as long as the answer is the same.
    fn upstream(&self, name: &str, address: Address) -> Arc<Upstream> {
        // Nothing that panics runs under the lock.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some(upstream) if upstream.address == address => return Arc::clone(upstream),
            Some(other) => other.retire(),
            None if known.len() >= MOST => known.clear(),
            None => {}
        }
        let upstream = self.upstreams.new_upstream(name, Scheme::Http, address);
        known.insert(name.into(), Arc::clone(&upstream));
        upstream
    }
}

impl Default for Port {
    fn default() -> Port {
        Port::Number(0)
    }
}

/// The address of the first record of an answer. What is not known is a record with empty texts.
fn first(body: &[u8]) -> Result<Option<Address>, Failed> {
    let records: Vec<Record> = serde_json::from_slice(body).map_err(|_| Failed)?;
    let Some(record) = records.first().filter(|record| !record.ip.is_empty()) else {
        return Ok(None);
    };
    let ip: IpAddr = record.ip.parse().map_err(|_| Failed)?;
    let port = match &record.port {
        Port::Text(text) => text.parse().map_err(|_| Failed)?,
        Port::Number(port) => *port,
    };
    Ok(Some(Address::Tcp((ip, port).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_counts() {
        let found = |body: &str| match first(body.as_bytes()) {
            Ok(Some(Address::Tcp(address))) => address.to_string(),
            Ok(Some(other)) => format!("{other:?}"),
            Ok(None) => "nothing".to_owned(),
            Err(Failed) => "failed".to_owned(),
        };
        let known =
            r#"{"service":"_s._tcp.marathon.mesos","host":"h","ip":"10.0.0.1","port":"80"}"#;
        assert_eq!(found(&format!("[{known},{{}}]")), "10.0.0.1:80");
        assert_eq!(found(r#"[{"ip":"10.0.0.1","port":80}]"#), "10.0.0.1:80");
        assert_eq!(found(r#"[{"service":"","host":"","ip":"","port":""}]"#), "nothing");
        assert_eq!(found("[]"), "nothing");
        for bad in ["", "{}", "[7]", r#"[{"ip":"x","port":"80"}]"#, r#"[{"ip":"::1","port":"x"}]"#]
        {
            assert_eq!(found(bad), "failed", "{bad}");
        }
    }
}
