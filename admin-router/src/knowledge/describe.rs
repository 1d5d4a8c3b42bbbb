//! What is known, for people who look for a fault.

use std::time::Duration;

use proxy::{Address, Scheme, Upstream};
use serde_json::{Map, Value, json};

use super::snapshot::{Snapshot, Source, Web};
use crate::cluster::{Leader, Service};

impl Snapshot {
    /// All of it, at `now` of the table's clock. There are no secrets in it.
    pub fn describe(&self, now: Duration) -> Value {
        let leader = |leader: &Option<_>| leader.as_deref().map_or(Value::Null, describe_leader);
        let agents = self.agents.iter().map(|(id, agent)| (id, address(&agent.upstream).into()));
        let frameworks = self.frameworks.iter().map(|(id, web)| (id, describe_web(web)));
        let names = self.named_frameworks.iter().map(|(name, web)| (name, describe_web(web)));
        let services =
            self.services.iter().map(|(name, service)| (name, describe_service(service)));
        let ignored = self.ignored.iter().map(|(app, why)| (app, Value::from(&**why)));
        json!({
            "mesos": describe_source(self.mesos, now),
            "marathon": describe_source(self.marathon, now),
            "leader": leader(&self.leader),
            "marathon_leader": leader(&self.marathon_leader),
            "agents": sorted(agents),
            "frameworks": sorted(frameworks),
            "frameworks_by_name": sorted(names),
            "services": sorted(services),
            "ignored_apps": sorted(ignored),
        })
    }
}

fn sorted<K: ToString>(all: impl Iterator<Item = (K, Value)>) -> Value {
    let mut all: Vec<(String, Value)> = all.map(|(key, value)| (key.to_string(), value)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Value::Object(all.into_iter().collect::<Map<_, _>>())
}

fn describe_source(source: Source, now: Duration) -> Value {
    let (state, since) = match source {
        Source::Never => ("never reached", None),
        Source::Live => ("live", None),
        Source::Cut { since } => ("cut", Some(since)),
        Source::Expired { since } => ("too old", Some(since)),
    };
    let age = since.map_or(0, |since| now.saturating_sub(since).as_secs());
    json!({"state": state, "age_seconds": age})
}

fn describe_leader(leader: &Leader) -> Value {
    json!({"address": address(&leader.upstream), "is_local": leader.is_local})
}

fn describe_web(web: &Web) -> Value {
    match web {
        Web::Nowhere => Value::Null,
        Web::Away => json!({"connected": false}),
        Web::Ask { dotted, .. } => json!({"mesos_dns": **dotted}),
        Web::At(service) => describe_service(service),
    }
}

fn describe_service(service: &Service) -> Value {
    json!({
        "path": *service.path,
        "permission": *service.rid,
        "address": address(&service.upstream),
        "scheme": if service.scheme == Scheme::Https { "https" } else { "http" },
        "base": *service.base,
        "rewrite_request_urls": service.rewrite,
        "request_buffering": service.buffering,
    })
}

fn address(upstream: &Upstream) -> String {
    match &upstream.address {
        Address::Tcp(address) => address.to_string(),
        Address::Name(name, port) => format!("{name}:{port}"),
        Address::Unix(path) => path.display().to_string(),
    }
}
