//! `dais node`: masters and agents.

use crate::context::Context;
use crate::json::{list, shown, some_text, text};
use crate::server::path;
use crate::table::Table;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
pub struct Node {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Return the IP address(es) corresponding to a given hostname.
    Dns(Dns),
    /// Show all nodes in the cluster.
    List(List),
}

#[derive(Debug, Default, PartialEq, Args)]
struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A field of the JSON to show as one more column; may be given several times.
    #[arg(long, value_name = "FIELD")]
    field: Vec<String>,
    /// Only the node with this Mesos id.
    #[arg(long, value_name = "ID")]
    mesos_id: Option<String>,
}

#[derive(Debug, Args)]
struct Dns {
    hostname: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

// === impl Node ===

impl Node {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self.command {
            Some(NodeCommand::List(list)) => list.and(self.list).run(context).await,
            Some(NodeCommand::Dns(dns)) => {
                super::no_list(&self.list, "node")?;
                dns.run(context).await
            }
            None => {
                super::deprecated(context, "nodes", "node")?;
                self.list.run(context).await
            }
        }
    }
}

// === impl List ===

impl List {
    /// With the options that stood before the word.
    fn and(mut self, before: List) -> List {
        self.json |= before.json;
        self.field.extend(before.field);
        self.mesos_id = self.mesos_id.or(before.mesos_id);
        self
    }

    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let state = context.mesos()?.get("/master/state").await?;
        let mut nodes = nodes(&state);
        if let Some(id) = &self.mesos_id {
            nodes.retain(|node| text(node, "/id") == id);
            if nodes.is_empty() {
                bail!("no node has the Mesos id {id:?}");
            }
        }
        if self.json {
            return Ok(context.io.json(&Value::Array(nodes))?);
        }
        Ok(context.io.table(&self.table(&nodes))?)
    }

    fn table(&self, nodes: &[Value]) -> Table {
        let mut table = Table::new(
            ["HOSTNAME", "IP", "PUBLIC IP(S)", "ID", "TYPE", "STATUS", "REGION", "ZONE"]
                .map(str::to_owned)
                .into_iter()
                .chain(self.field.clone()),
        );
        for node in nodes {
            table.row(self.row(node));
        }
        table
    }

    fn row(&self, node: &Value) -> Vec<String> {
        let public = node.pointer("/attributes/public_ip").is_some_and(|ip| shown(ip) == "true");
        let kind = if public { "agent (public)" } else { text(node, "/type") };
        let or_not = |pointer| some_text(node, pointer).unwrap_or("N/A").to_owned();
        let ips: Vec<String> = list(node, "/public_ips").iter().map(shown).collect();
        let mut row = vec![
            text(node, "/hostname").to_owned(),
            text(node, "/ip").to_owned(),
            ips.join(", "),
            or_not("/id"),
            kind.to_owned(),
            text(node, "/status").to_owned(),
            or_not("/region"),
            or_not("/zone"),
        ];
        for field in &self.field {
            let pointer = format!("/{}", field.replace('.', "/"));
            row.push(node.pointer(&pointer).map(shown).unwrap_or_default());
        }
        row
    }
}

/// The list out of any value, for the fuzzer.
pub(super) fn show(state: &Value) -> Table {
    let list = List { json: false, field: vec!["attributes.a".to_owned()], mesos_id: None };
    list.table(&nodes(state))
}

/// Agents, then the master, each with what the list adds to the master's own words.
fn nodes(state: &Value) -> Vec<Value> {
    let mut nodes: Vec<Value> = list(state, "/slaves").iter().map(agent).collect();
    let (address, hostname) = (text(state, "/pid"), text(state, "/hostname"));
    let ip = ip(address);
    nodes.push(json!({
        "host": "leader.mesos.",
        "hostname": if hostname.is_empty() { ip } else { hostname },
        "ip": ip,
        "public_ips": [],
        "type": "master (leader)",
        "region": text(state, "/domain/fault_domain/region/name"),
        "zone": text(state, "/domain/fault_domain/zone/name"),
        "id": text(state, "/id"),
        "pid": address,
        "version": text(state, "/version"),
    }));
    nodes
}

fn agent(slave: &Value) -> Value {
    let mut node: Map<String, Value> = slave.as_object().cloned().unwrap_or_default();
    let drain = some_text(slave, "/drain_info/state");
    let status = match drain {
        Some(state) if state != "UNKNOWN" => state,
        _ if crate::json::flag(slave, "/deactivated") => "DEACTIVATED",
        _ if crate::json::flag(slave, "/active") => "ACTIVE",
        _ => "INACTIVE",
    };
    let own = json!({
        "ip": ip(text(slave, "/pid")),
        "public_ips": [],
        "region": text(slave, "/domain/fault_domain/region/name"),
        "status": status,
        "type": "agent",
        "zone": text(slave, "/domain/fault_domain/zone/name"),
    });
    node.extend(own.as_object().cloned().unwrap_or_default());
    Value::Object(node)
}

/// The address in `slave(1)@10.0.0.1:5051`.
fn ip(pid: &str) -> &str {
    let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

// === impl Dns ===

impl Dns {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let gateway = context.cluster()?.gateway.clone();
        let Some(gateway) = gateway else {
            bail!("this cluster has no DNS yet: names come with a gateway");
        };
        let server = context.server("the cluster's DNS", &gateway)?;
        let hosts = server.get(&format!("/mesos_dns/v1/hosts/{}", path(&self.hostname))).await?;
        if self.json {
            return Ok(context.io.json(&hosts)?);
        }
        let mut table = Table::new(["HOST", "IP"]);
        for host in list(&hosts, "") {
            table.row([text(host, "/host").to_owned(), text(host, "/ip").to_owned()]);
        }
        Ok(context.io.table(&table)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_agents_and_the_master() {
        let state = json!({
            "id": "m-1", "pid": "master@10.0.0.9:5050", "hostname": "boss", "version": "1.11.0",
            "slaves": [
                {"id": "S0", "pid": "slave(1)@10.0.0.1:5051", "hostname": "a", "active": true,
                 "attributes": {"public_ip": "true"},
                 "domain": {"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}},
                {"id": "S1", "pid": "slave(1)@[::1]:5051", "active": true,
                 "drain_info": {"state": "DRAINING"}},
            ],
        });
        let nodes = nodes(&state);
        let list = List { json: false, field: vec!["attributes.public_ip".into()], mesos_id: None };
        let rows: Vec<Vec<String>> = nodes.iter().map(|node| list.row(node)).collect();
        assert_eq!(
            rows[0],
            ["a", "10.0.0.1", "", "S0", "agent (public)", "ACTIVE", "r", "z", "true"]
        );
        assert_eq!(rows[1][1], "::1");
        assert_eq!(rows[1][5], "DRAINING");
        assert_eq!(rows[2][..5], ["boss", "10.0.0.9", "", "m-1", "master (leader)"]);
    }
}
