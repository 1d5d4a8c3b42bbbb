//! What Marathon's events and answers say, but for what the follower's user reads of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Decode;
use super::sse::Event;

/// The events that are always asked for.
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
pub enum Told<Task> {
    Task(Task),
    /// These apps may have changed.
    Touched(Vec<Arc<str>>),
    /// It is another framework than before.
    Registered,
}

/// Makes sense of the events of one stream.
#[derive(Debug)]
pub struct Reader<D> {
    decoder: Arc<D>,
    /// Apps that deployments are about. The original tells of a deployment before it shows the
    /// new apps, and tells again when it does, without naming them.
    announced: BTreeSet<Arc<str>>,
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

impl<D: Decode> Reader<D> {
    pub fn new(decoder: Arc<D>) -> Reader<D> {
        Reader { decoder, announced: BTreeSet::new() }
    }

    pub(super) fn decoder(&self) -> &Arc<D> {
        &self.decoder
    }

    /// What an event says; none for nothing that matters here.
    pub fn event(&mut self, event: &Event) -> Result<Option<Told<D::Task>>, serde_json::Error> {
        let data = &*event.data;
        Ok(match event.name.as_str() {
            "status_update_event" => self.decoder.task(data)?.map(Told::Task),
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
            _ => self.decoder.event(event)?,
        })
    }

    fn changed(&mut self, mut apps: Vec<Arc<str>>) -> Told<D::Task> {
        apps.extend(std::mem::take(&mut self.announced));
        Told::Touched(apps)
    }
}

fn apps_of(deployment: Deployment) -> Vec<Arc<str>> {
    let steps = deployment.plan.steps.into_iter().chain(deployment.current_step);
    let apps: BTreeSet<Arc<str>> =
        steps.flat_map(|step| step.actions).filter_map(|action| Some(action.app?.into())).collect();
    apps.into_iter().collect()
}

/// Reads the list of apps; those that do not matter are left out.
pub fn apps<D: Decode>(decoder: &D, body: &[u8]) -> Result<Vec<D::App>, serde_json::Error> {
    #[derive(Deserialize)]
    struct List {
        apps: Vec<Value>,
    }
    let List { apps } = serde_json::from_slice(body)?;
    Ok(apps.into_iter().filter_map(|app| decoder.app(app)).collect())
}

/// Reads one app; none if it does not matter.
pub fn app<D: Decode>(decoder: &D, body: &[u8]) -> Result<Option<D::App>, serde_json::Error> {
    #[derive(Deserialize)]
    struct One {
        app: Value,
    }
    let One { app } = serde_json::from_slice(body)?;
    Ok(decoder.app(app))
}

/// Reads the id of the framework that Marathon is.
pub fn framework(body: &[u8]) -> Result<Option<Arc<str>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "frameworkId", default)]
        framework: Option<Box<str>>,
    }
    let Info { framework } = serde_json::from_slice(body)?;
    Ok(framework.filter(|id| !id.is_empty()).map(Arc::from))
}

/// Reads who leads, as `host:port`.
pub fn leader(body: &[u8]) -> Result<String, serde_json::Error> {
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

    struct Ids;

    impl Decode for Ids {
        type App = String;
        type Task = String;

        fn app(&self, app: Value) -> Option<String> {
            Some(app.get("id")?.as_str()?.to_owned())
        }

        fn task(&self, data: &[u8]) -> Result<Option<String>, serde_json::Error> {
            let value: Value = serde_json::from_slice(data)?;
            Ok(value.get("taskId").and_then(Value::as_str).map(str::to_owned))
        }

        fn event(&self, event: &Event) -> Result<Option<Told<String>>, serde_json::Error> {
            let touched = event.name == "health_status_changed_event";
            Ok(touched.then(|| Told::Touched(vec!["/h".into()])))
        }
    }

    fn reader() -> Reader<Ids> {
        Reader::new(Arc::new(Ids))
    }

    fn event(name: &str, data: &Value) -> Event {
        Event { name: name.to_owned(), data: data.to_string().into_bytes() }
    }

    #[test]
    fn what_matters_is_the_decoders_to_say() {
        let told = |name: &str, data: Value| reader().event(&event(name, &data)).ok().flatten();
        let task = told("status_update_event", json!({"taskId": "a.1"}));
        assert_eq!(task, Some(Told::Task("a.1".to_owned())));
        assert_eq!(told("status_update_event", json!({})), None);
        let broken = Event { name: "status_update_event".to_owned(), data: b"{".to_vec() };
        assert!(reader().event(&broken).is_err());
        let health = told("health_status_changed_event", json!({}));
        assert_eq!(health, Some(Told::Touched(vec!["/h".into()])));
        let list = json!({"apps": [{"id": "/a"}, {"id": 7}, null, {"id": "/b"}]});
        assert_eq!(apps(&Ids, list.to_string().as_bytes()).unwrap(), ["/a", "/b"]);
        assert_eq!(app(&Ids, br#"{"app":{}}"#).unwrap(), None);
    }

    #[test]
    fn announced_apps_are_touched_again_when_they_are_shown() {
        let mut reader = reader();
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
    fn who_it_is_and_who_leads() {
        assert_eq!(framework(br#"{"frameworkId":"f","x":1}"#).unwrap().as_deref(), Some("f"));
        assert_eq!(framework(br#"{"frameworkId":null}"#).unwrap(), None);
        assert_eq!(leader(br#"{"leader":"10.0.0.1:8080"}"#).unwrap(), "10.0.0.1:8080");
        assert!(leader(br#"{"message":"There is no leader"}"#).is_err());
    }
}
