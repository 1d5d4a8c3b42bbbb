//! Marathon's answers and events in the words of the table.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::super::facts::{AppFact, MarathonTask, Phase};
use super::super::labels;
use super::sse::Event;

/// The events that are asked for.
pub(super) const EVENTS: [&str; 9] = [
    "event_stream_attached",
    "api_post_event",
    "app_terminated_event",
    "deployment_failed",
    "deployment_info",
    "deployment_success",
    "group_change_success",
    "scheduler_registered_event",
    "status_update_event",
];

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Task(MarathonTask),
    /// These apps may have changed.
    Touched(Vec<Arc<str>>),
    /// It is another framework than before.
    Registered,
}

/// Makes sense of the events of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Apps that deployments are about. The original tells of a deployment before it shows the
    /// new apps, and tells again when it does, without naming them.
    announced: BTreeSet<Arc<str>>,
}

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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    app_definition: Named,
}

#[derive(Deserialize)]
struct Named {
    id: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    app_id: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Deployment {
    plan: Plan,
    current_step: Option<Step>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plan {
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Step {
    actions: Vec<Action>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Action {
    app: Option<Box<str>>,
}

// === impl Reader ===

impl Reader {
    /// What an event says; none for nothing that matters here.
    pub(crate) fn event(&mut self, event: &Event) -> Result<Option<Told>, serde_json::Error> {
        let data = &*event.data;
        Ok(match event.name.as_str() {
            "status_update_event" => Some(Told::Task(status_update(serde_json::from_slice(data)?))),
            "api_post_event" => {
                let Posted { app_definition } = serde_json::from_slice(data)?;
                Some(self.changed(vec![app_definition.id.into()]))
            }
            "app_terminated_event" => {
                let Terminated { app_id } = serde_json::from_slice(data)?;
                Some(self.changed(vec![app_id.into()]))
            }
            "deployment_info" => {
                let apps = apps_of(serde_json::from_slice(data)?);
                self.announced.extend(apps.iter().cloned());
                Some(Told::Touched(apps))
            }
            "deployment_success" | "deployment_failed" => {
                let apps = apps_of(serde_json::from_slice(data)?);
                Some(self.changed(apps))
            }
            "group_change_success" => Some(self.changed(Vec::new())),
            "scheduler_registered_event" => Some(Told::Registered),
            _ => None,
        })
    }

    fn changed(&mut self, mut apps: Vec<Arc<str>>) -> Told {
        apps.extend(std::mem::take(&mut self.announced));
        Told::Touched(apps)
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

fn apps_of(deployment: Deployment) -> Vec<Arc<str>> {
    let steps = deployment.plan.steps.into_iter().chain(deployment.current_step);
    let apps: BTreeSet<Arc<str>> =
        steps.flat_map(|step| step.actions).filter_map(|action| Some(action.app?.into())).collect();
    apps.into_iter().collect()
}

/// Reads the list of apps; those that are no services are left out.
pub(crate) fn apps(body: &[u8]) -> Result<Vec<AppFact>, serde_json::Error> {
    #[derive(Deserialize)]
    struct List {
        apps: Vec<Value>,
    }
    let List { apps } = serde_json::from_slice(body)?;
    Ok(apps.into_iter().filter_map(fact).collect())
}

/// Reads one app; none if it is no service.
pub(crate) fn app(body: &[u8]) -> Result<Option<AppFact>, serde_json::Error> {
    #[derive(Deserialize)]
    struct One {
        app: Value,
    }
    let One { app } = serde_json::from_slice(body)?;
    Ok(fact(app))
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

/// Reads the id of the framework that Marathon is.
pub(crate) fn framework(body: &[u8]) -> Result<Option<Arc<str>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "frameworkId", default)]
        framework: Option<Box<str>>,
    }
    let Info { framework } = serde_json::from_slice(body)?;
    Ok(framework.filter(|id| !id.is_empty()).map(Arc::from))
}

/// Reads who leads, as `host:port`.
pub(crate) fn leader(body: &[u8]) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Leader {
        leader: String,
    }
    let Leader { leader } = serde_json::from_slice(body)?;
    Ok(leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(name: &str, data: &Value) -> Event {
        Event { name: name.to_owned(), data: data.to_string().into_bytes() }
    }

    #[test]
    fn status_updates_tell_where_a_task_is() {
        let data = json!({"slaveId": "s", "taskId": "a.1", "taskStatus": "TASK_RUNNING",
            "message": "", "appId": "/a", "host": "10.0.0.1", "ports": [31001, 31000],
            "ipAddresses": [{"ipAddress": "9.0.0.1", "protocol": "IPv4"}],
            "version": "2026-01-01T00:00:00.000Z", "eventType": "status_update_event"});
        let told = Reader::default().event(&event("status_update_event", &data)).unwrap();
        let expected = MarathonTask {
            id: "a.1".into(),
            app: "/a".into(),
            phase: Phase::Running,
            host: "10.0.0.1".into(),
            ports: vec![31001, 31000],
            ip: Some("9.0.0.1".parse().unwrap()),
        };
        assert_eq!(told, Some(Told::Task(expected)));
        assert!(Reader::default().event(&event("status_update_event", &json!({}))).is_err());
    }

    #[test]
    fn announced_apps_are_touched_again_when_they_are_shown() {
        let mut reader = Reader::default();
        let plan = json!({"id": "x", "steps": [
            {"actions": [{"action": "StartApplication", "app": "/b"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/a"}, {"action": "x"}]}]});
        let info = json!({"plan": plan, "currentStep": {"actions": [{"app": "/c"}]}});
        let touched =
            |ids: &[&str]| Some(Told::Touched(ids.iter().map(|id| Arc::from(*id)).collect()));
        let told = reader.event(&event("deployment_info", &info)).unwrap();
        assert_eq!(told, touched(&["/a", "/b", "/c"]));
        let change = event("group_change_success", &json!({"groupId": "/"}));
        assert_eq!(reader.event(&change).unwrap(), touched(&["/a", "/b", "/c"]));
        assert_eq!(reader.event(&change).unwrap(), touched(&[]));
        let posted = json!({"uri": "/v2/apps/d", "appDefinition": {"id": "/d", "labels": {}}});
        assert_eq!(reader.event(&event("api_post_event", &posted)).unwrap(), touched(&["/d"]));
        assert_eq!(reader.event(&event("unheard_of", &json!(7))).unwrap(), None);
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
        let apps = apps(body.to_string().as_bytes()).unwrap();
        let ids: Vec<_> = apps.iter().map(|app| (&*app.id, app.labelled.is_ok())).collect();
        assert_eq!(ids, [("/a", true), ("/b", false)]);
        assert_eq!(apps[0].tasks.len(), 1);
        let one = json!({"app": {"id": "/c", "labels": {}}});
        assert!(app(one.to_string().as_bytes()).unwrap().is_none());
    }

    #[test]
    fn who_it_is_and_who_leads() {
        assert_eq!(framework(br#"{"frameworkId":"f","x":1}"#).unwrap().as_deref(), Some("f"));
        assert_eq!(framework(br#"{"frameworkId":null}"#).unwrap(), None);
        assert_eq!(leader(br#"{"leader":"10.0.0.1:8080"}"#).unwrap(), "10.0.0.1:8080");
        assert!(leader(br#"{"message":"There is no leader"}"#).is_err());
    }
}
