//! Names of whatever somebody calls a task.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_events::picture::{
    Agent, Discovery, Framework, Input, Phase, Picture, Port, PortRange, Runtime, Task,
};

use super::{Names, Settings};
use crate::record::Change;

/// Everything that a task with such a text for its names gets, and that it all goes again.
pub(crate) fn fuzz(text: &str) -> Vec<Change> {
    let (first, second) = text.split_once('/').unwrap_or((text, ""));
    let port = |name: &str| Port {
        number: 80,
        name: Some(name.into()),
        protocol: None,
        labels: Box::default(),
    };
    let discovery = Discovery {
        name: (!second.is_empty()).then(|| second.into()),
        ports: vec![port(first)],
        labels: Vec::new(),
    };
    let mut picture = Picture::default();
    let mut names = Names::new(Settings::default());
    let before = names.all().len();
    let mut update = |input| {
        let changed = picture.apply(input);
        names.update(&picture, &changed);
        names.changes()
    };
    let agent = Agent {
        id: format!("x-{first}").into(),
        address: Some(SocketAddr::from(([10, 0, 0, 1], 5051))),
        hostname: "x".into(),
    };
    let framework = Framework {
        id: "f".into(),
        name: text.into(),
        active: true,
        connected: true,
        hostname: "10.0.0.2".into(),
        scheduler: None,
    };
    let task = Task {
        id: text.into(),
        framework: framework.id.clone(),
        agent: agent.id.clone(),
        name: first.into(),
        phase: Phase::Running,
        healthy: None,
        runtime: Runtime::Unknown,
        discovery: Some(Arc::new(discovery)),
        labels: Arc::default(),
        host_ports: [PortRange(31000, 31001)].into(),
        mappings: Arc::default(),
        network: Arc::default(),
        network_told: 0,
    };
    let mut changes = update(Input::Agent(agent.clone()));
    changes.append(&mut update(Input::Framework(framework)));
    changes.append(&mut update(Input::TaskAdded(task)));
    update(Input::FrameworkRemoved("f".into()));
    update(Input::AgentRemoved(agent.id));
    assert_eq!(names.all().len(), before);
    changes
}
