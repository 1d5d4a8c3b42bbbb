//! Marathon's apps and tasks in the words of the table.

use std::net::IpAddr;
use std::sync::Arc;

use cluster_events::marathon::Decode;
use serde::Deserialize;
use serde_json::Value;

use super::facts::{AppFact, MarathonTask, Phase};
use super::labels;

/// Reads what the gateway needs to know of apps and their tasks.
#[derive(Debug)]
pub(crate) struct Services;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusUpdate {
    task_id: Box<str>,
    task_status: String,
    app_id: Box<str>,
    #[serde(default)]
    host: Option<Box<str>>,
    #[serde(default)]
    ports: Option<Vec<u16>>,
    #[serde(default)]
    ip_addresses: Option<Vec<Address>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    id: Box<str>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    host: Option<Box<str>>,
    #[serde(default)]
    ports: Option<Vec<u16>>,
    #[serde(default)]
    ip_addresses: Option<Vec<Address>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    #[serde(default)]
    ip_address: Option<String>,
}

// === impl Services ===

impl Decode for Services {
    type App = AppFact;
    type Task = MarathonTask;

    fn selector(&self) -> &str {
        "&label=DCOS_SERVICE_NAME"
    }

    /// None for one that is no service.
    fn app(&self, app: Value) -> Option<AppFact> {
        fact(app)
    }

    fn task(&self, data: &[u8]) -> Result<Option<MarathonTask>, serde_json::Error> {
        Ok(Some(status_update(serde_json::from_slice(data)?)))
    }
}

fn status_update(update: StatusUpdate) -> MarathonTask {
    MarathonTask {
        id: update.task_id.into(),
        app: update.app_id.into(),
        phase: Phase::of(&update.task_status),
        host: update.host.unwrap_or_default().into(),
        ports: update.ports.unwrap_or_default(),
        ip: first_ip(update.ip_addresses),
    }
}

fn first_ip(addresses: Option<Vec<Address>>) -> Option<IpAddr> {
    addresses?.into_iter().find_map(|address| address.ip_address?.parse().ok())
}

fn fact(mut app: Value) -> Option<AppFact> {
    let labelled = labels::read(&app)?.map(Arc::new);
    let id: Arc<str> = app.get("id")?.as_str()?.into();
    let mut tasks = app.get_mut("tasks").map(Value::take);
    let tasks = tasks.as_mut().and_then(Value::as_array_mut).map(std::mem::take);
    let read = |task: Value| {
        let task: Task = serde_json::from_value(task).ok()?;
        Some(MarathonTask {
            id: task.id.into(),
            app: Arc::clone(&id),
            phase: Phase::of(&task.state),
            host: task.host.unwrap_or_default().into(),
            ports: task.ports.unwrap_or_default(),
            ip: first_ip(task.ip_addresses),
        })
    };
    let tasks = tasks.unwrap_or_default().into_iter().filter_map(read).collect();
    Some(AppFact { id, labelled, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster_events::marathon;
    use serde_json::json;

    #[test]
    fn status_updates_tell_where_a_task_is() {
        let data = json!({"slaveId": "s", "taskId": "a.1", "taskStatus": "TASK_RUNNING",
            "message": "", "appId": "/a", "host": "10.0.0.1", "ports": [31001, 31000],
            "ipAddresses": [{"ipAddress": "9.0.0.1", "protocol": "IPv4"}],
            "version": "2026-01-01T00:00:00.000Z", "eventType": "status_update_event"});
        let told = Services.task(data.to_string().as_bytes()).unwrap();
        let expected = MarathonTask {
            id: "a.1".into(),
            app: "/a".into(),
            phase: Phase::Running,
            host: "10.0.0.1".into(),
            ports: vec![31001, 31000],
            ip: Some("9.0.0.1".parse().unwrap()),
        };
        assert_eq!(told, Some(expected));
        assert!(Services.task(b"{}").is_err());
    }

    #[test]
    fn lists_of_apps_keep_the_services() {
        let labels = json!({"DCOS_SERVICE_NAME": "a", "DCOS_SERVICE_SCHEME": "http",
            "DCOS_SERVICE_PORT_INDEX": "0"});
        let bad = json!({"DCOS_SERVICE_NAME": "b"});
        let body = json!({"apps": [
            {"id": "/a", "labels": labels, "portDefinitions": [{}], "tasks": [
                {"id": "a.1", "state": "TASK_RUNNING", "host": "h", "ports": [1],
                 "ipAddresses": null},
                {"no": "task"}]},
            {"id": "/b", "labels": bad},
            {"id": "/c", "labels": {}}, {"id": 7}, null]});
        let apps = marathon::apps(&Services, body.to_string().as_bytes()).unwrap();
        let ids: Vec<_> = apps.iter().map(|app| (&*app.id, app.labelled.is_ok())).collect();
        assert_eq!(ids, [("/a", true), ("/b", false)]);
        assert_eq!(apps[0].tasks.len(), 1);
        let one = json!({"app": {"id": "/c", "labels": {}}});
        assert!(marathon::app(&Services, one.to_string().as_bytes()).unwrap().is_none());
    }
}
