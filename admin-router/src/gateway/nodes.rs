//! Routes to other nodes: an agent itself, and the gateways of agents and leaders.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use proxy::{Decision, Path, Upstream};

use super::forward::{FORWARDED, target};
use super::{Ask, Gateway, Inner};
use crate::access::Caller;
use crate::cluster::{Known, Leader};
use crate::routes::{Found, Table};

/// What is asked of `/system/v1/…` on another node needs the same as on this one.
pub(super) fn rid(path: &Path) -> &'static str {
    // `/system/v1/agent/<id>/<this>`, `/system/v1/leader/mesos/<this>`
    match path.encoded_segments().nth(4) {
        Some("logs") => "dcos:adminrouter:ops:system-logs",
        Some("metrics" | "nginx") => "dcos:adminrouter:ops:system-metrics",
        Some("dcos-metadata") => "dcos:adminrouter:ops:metadata",
        _ => "dcos:adminrouter:ops:system-health",
    }
}

/// The id of an agent and what follows it, after `skip` segments.
fn agent(path: &Path, skip: usize) -> Option<(&str, &str)> {
    let id = path.encoded_segments().nth(skip)?;
    Some((id, path.after(skip + 1)?))
}

/// What the gateway on an agent is asked for; none for what is not asked through here.
fn agent_target(rest: &str) -> Option<&'static str> {
    let below = |base: &str| {
        rest.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match rest {
        "/dcos-metadata/dcos-version.json" | "/nginx/metrics" => Some(""),
        _ if below("/logs") || below("/metrics/v0") => Some("/system/v1"),
        _ => None,
    }
}

// === impl Inner ===

impl Inner {
    /// `/agent/<id>/…`: the agent itself.
    pub(super) fn to_agent(&self, ask: &Ask, caller: &Caller) -> Decision {
        let Some((id, rest)) = agent(&ask.path, 1) else {
            return self.own(ask, |inner, ask| inner.not_found(&ask.head, &ask.peer));
        };
        let rest = if rest.is_empty() { "/" } else { rest };
        match self.cluster.agent(id) {
            Known::Found(agent) => self.onward(ask, caller, agent.upstream, target(ask, "", rest)),
            Known::Missing => self.no_agent(ask, id),
            Known::Unknown => self.no_state(ask),
        }
    }

    /// `/system/v1/agent/<id>/…`: the gateway on the agent's host.
    pub(super) fn to_agent_gateway(&self, ask: &Ask, caller: &Caller) -> Decision {
        let asked = agent(&ask.path, 3)
            .and_then(|(id, rest)| agent_target(rest).map(|prefix| (id, prefix, rest)));
        let Some((id, prefix, rest)) = asked else {
            return self.own(ask, |inner, ask| inner.not_found(&ask.head, &ask.peer));
        };
        match self.cluster.agent(id) {
            Known::Found(agent) => {
                self.onward(ask, caller, agent.gateway, target(ask, prefix, rest))
            }
            Known::Missing => self.no_agent(ask, id),
            Known::Unknown => self.no_state(ask),
        }
    }

    fn onward(&self, ask: &Ask, caller: &Caller, to: Arc<Upstream>, target: Bytes) -> Decision {
        Decision::Forward(Box::new(self.forward(ask, caller, to, target)))
    }

    fn no_agent(&self, ask: &Ask, id: &str) -> Decision {
        self.original(ask, StatusCode::NOT_FOUND, format!("agent `{id}` unknown."))
    }

    fn no_state(&self, ask: &Ask) -> Decision {
        self.original(ask, StatusCode::SERVICE_UNAVAILABLE, "cache state is invalid")
    }
}

// === impl Gateway ===

impl Gateway {
    /// `/system/v1/leader/mesos…`
    pub(super) fn to_mesos_host(&self, ask: Ask, caller: &Caller) -> Decision {
        match self.0.cluster.leader() {
            Known::Found(leader) => self.to_leader(ask, caller, &leader, "mesos"),
            Known::Missing | Known::Unknown => self.0.unavailable(&ask, "the leading master"),
        }
    }

    /// `/system/v1/leader/marathon…`
    pub(super) fn to_marathon_host(&self, ask: Ask, caller: &Caller) -> Decision {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match self.0.cluster.marathon_leader() {
            Known::Found(leader) if leader.is_local.is_some() => {
                self.to_leader(ask, caller, &leader, "marathon")
            }
            // Which host this is is not known, so neither is whether the leader is here.
            Known::Found(_) | Known::Missing => {
                self.0.original(&ask, unavailable, "marathon leader is unknown.")
            }
            Known::Unknown => self.0.original(&ask, unavailable, "cache is invalid"),
        }
    }

    /// `/system/v1<rest>` on the leader's host: here, or by the gateway there.
    fn to_leader(&self, ask: Ask, caller: &Caller, leader: &Leader, name: &str) -> Decision {
        let rest = ask.path.strip_prefix(ask.route.pattern.base()).unwrap_or_default();
        if leader.is_local == Some(true) {
            let path = Path::parse(format!("/system/v1{rest}").as_bytes());
            return match path.ok().and_then(|path| elsewhere(&self.0.table, &ask, path)) {
                Some(ask) => self.serve(ask),
                None => self.0.own(&ask, |inner, ask| inner.not_found(&ask.head, &ask.peer)),
            };
        }
        if ask.head.header(FORWARDED.as_str()) == Some(b"true") {
            let text = format!("{name} leader is unknown");
            return self.0.original(&ask, StatusCode::SERVICE_UNAVAILABLE, text);
        }
        let target = target(&ask, "/system/v1", rest);
        let ask = Ask { hop: true, ..ask };
        self.0.onward(&ask, caller, Arc::clone(&leader.gateway), target)
    }
}

/// The same request for another path of this gateway; none if nothing is there, or if it would
/// lead to a leader again.
fn elsewhere(table: &Table, ask: &Ask, path: Path) -> Option<Ask> {
    let Some(Found::Route { route, id, .. }) = table.find(&path) else { return None };
    let again = path.strip_prefix("/system/v1/leader").is_some();
    let inside = path.strip_prefix("/system/v1").is_some();
    (inside && !again).then(|| Ask { path, route, id: proxy::RouteId(id), ..ask.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_asked_of_gateways_on_agents() {
        for (rest, expected) in [
            ("/logs", Some("/system/v1")),
            ("/logs/v1/x", Some("/system/v1")),
            ("/metrics/v0/node", Some("/system/v1")),
            ("/nginx/metrics", Some("")),
            ("/dcos-metadata/dcos-version.json", Some("")),
            ("/logsx", None),
            ("/metrics/v1", None),
            ("/pkgpanda/", None),
            ("/nginx/metrics/x", None),
            ("", None),
        ] {
            assert_eq!(agent_target(rest), expected, "{rest}");
        }
    }

    #[test]
    fn what_is_asked_for_says_which_permission() {
        let rid = |path: &str| rid(&Path::parse(path.as_bytes()).unwrap());
        assert_eq!(rid("/system/v1/agent/a/logs/v1"), "dcos:adminrouter:ops:system-logs");
        assert_eq!(
            rid("/system/v1/leader/mesos/metrics/v0"),
            "dcos:adminrouter:ops:system-metrics"
        );
        let metrics = "dcos:adminrouter:ops:system-metrics";
        assert_eq!(rid("/system/v1/agent/logs/metrics/v0/logs"), metrics);
        assert_eq!(rid("/system/v1/leader/mesos"), "dcos:adminrouter:ops:system-health");
    }
}
