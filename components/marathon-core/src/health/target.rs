//! Where the checks of an instance reach it.

use crate::ProbeTarget;
use marathon_model::app::{App, HealthProbe, NetworkMode, PortRef, ReadinessCheck};

const NO_PORT: &str = "Health check failed: unable to get the task's effectivePort";
const NO_ADDRESS: &str = "Health check failed: unable to get the task's effective IP address";

/// What is known about the place an instance runs at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The agent's name or address.
    pub host: String,
    /// In the order of the port definitions, or of those mappings that are published.
    pub host_ports: Vec<u16>,
    /// Of the container, once the task's status has said it.
    pub ips: Vec<String>,
}

/// One port of the app as an instance has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortAssignment<'a> {
    pub name: Option<&'a str>,
    /// With container networking only.
    pub container_port: Option<u16>,
    pub host_port: Option<u16>,
}

/// The ports of an instance by the index that checks use.
pub(crate) fn assignments<'a>(app: &'a App, host_ports: &[u16]) -> Vec<PortAssignment<'a>> {
    let mut free = host_ports.iter().copied();
    if is_host_mode(app) {
        let one = |(name, host_port)| PortAssignment { name, container_port: None, host_port };
        let definitions = app.port_definitions.iter();
        return definitions.map(|port| (port.name.as_deref(), free.next())).map(one).collect();
    }
    let mappings = app.container.iter().flat_map(|container| &container.port_mappings);
    mappings
        .map(|mapping| {
            let host_port = mapping.host_port.and_then(|_| free.next());
            // A mapping of container port 0 is the same number inside and outside.
            let container_port =
                if mapping.container_port == 0 { host_port } else { Some(mapping.container_port) };
            PortAssignment { name: mapping.name.as_deref(), container_port, host_port }
        })
        .collect()
}

pub(crate) fn is_host_mode(app: &App) -> bool {
    app.networks.iter().all(|network| network.mode == NetworkMode::Host)
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn has_container_network(app: &App) -> bool {
    app.networks.iter().any(|network| network.mode == NetworkMode::Container)
}

impl Target {
    /// Where a health check that the orchestrator makes itself goes; the text says why nowhere.
    pub(super) fn health(&self, app: &App, probe: &HealthProbe) -> Result<ProbeTarget, String> {
        match probe {
            HealthProbe::Http { https, path, port } => {
                let (host, port) = self.resolve(app, *port)?;
                let path = rooted(path.as_deref().unwrap_or_default());
                Ok(ProbeTarget::Http { https: *https, host, port, path })
            }
            HealthProbe::Tcp { port } => {
                let (host, port) = self.resolve(app, *port)?;
                Ok(ProbeTarget::Tcp { host, port })
            }
            _ => Err("the executor makes this check".to_owned()),
        }
    }

    /// Where a readiness check goes: to the port of that name.
    pub(super) fn readiness(
        &self,
        app: &App,
        check: &ReadinessCheck,
    ) -> Result<ProbeTarget, String> {
        let ports = assignments(app, &self.host_ports);
        let found = ports.iter().find(|port| port.name == Some(&check.port_name));
        let found =
            found.ok_or_else(|| format!("the app has no port named '{}'", check.port_name))?;
        let (host, port) = self.reach(app, found)?;
        let path = rooted(&check.path);
        Ok(ProbeTarget::Http { https: check.https, host, port, path })
    }

    fn resolve(&self, app: &App, port: PortRef) -> Result<(String, u16), String> {
        match port {
            PortRef::Number(port) => Ok((self.effective_host(app)?, port)),
            PortRef::Index(index) => {
                let ports = assignments(app, &self.host_ports);
                let at = usize::try_from(index).unwrap_or(usize::MAX);
                let found = ports.get(at).ok_or_else(|| NO_PORT.to_owned())?;
                self.reach(app, found)
            }
        }
    }

    /// The published port where there is one, otherwise the container's own address.
    fn reach(&self, app: &App, port: &PortAssignment<'_>) -> Result<(String, u16), String> {
        match (port.host_port, port.container_port) {
            (Some(port), _) => Ok((self.host.clone(), port)),
            (None, Some(port)) if has_container_network(app) => Ok((self.container_ip()?, port)),
            (None, Some(port)) => Ok((self.host.clone(), port)),
            (None, None) => Err(NO_PORT.to_owned()),
        }
    }

    fn effective_host(&self, app: &App) -> Result<String, String> {
        if has_container_network(app) { self.container_ip() } else { Ok(self.host.clone()) }
    }

    fn container_ip(&self) -> Result<String, String> {
        self.ips.first().cloned().ok_or_else(|| NO_ADDRESS.to_owned())
    }
}
