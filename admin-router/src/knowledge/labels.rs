//! What an app's labels say about the service it is.

use std::sync::Arc;

use proxy::Scheme;
use serde_json::Value;

use super::name;

/// The label that makes an app a service.
pub(super) const SERVICE_NAME: &str = "DCOS_SERVICE_NAME";

/// A service as its app describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    /// `group/app`.
    pub(crate) path: Arc<str>,
    /// `app.group`.
    pub(crate) dotted: Arc<str>,
    /// Which of the ports.
    pub(crate) index: usize,
    pub(crate) scheme: Scheme,
    pub(crate) rewrite: bool,
    pub(crate) buffering: bool,
    pub(crate) reach: Reach,
}

/// How a task of an app is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On its host, by its host port. `definitions` is how many ports the app asks for, if it
    /// says so where the order of a task's own ports is the same.
    Host { definitions: Option<usize> },
    /// At its own address, by this port.
    Container { port: u16 },
    /// At its own address, by the port that was given to it.
    ContainerAssigned,
}

/// Reads an app as Marathon shows it. None if it is no service, else why it cannot be one.
pub(super) fn read(app: &Value) -> Option<Result<Labelled, String>> {
    let labels = app.get("labels")?;
    let name = labels.get(SERVICE_NAME)?;
    Some(labelled(app, labels, name))
}

fn labelled(app: &Value, labels: &Value, name: &Value) -> Result<Labelled, String> {
    let segments = name::segments(name.as_str().unwrap_or_default());
    if segments.is_empty() || segments.len() > name::DEEPEST {
        return Err(format!("{SERVICE_NAME} has no segment, or more than {}", name::DEEPEST));
    }
    let index = port_index(labels)?;
    Ok(Labelled {
        path: name::path(&segments).into(),
        dotted: name::dotted(&segments).as_ref().into(),
        index,
        scheme: scheme(labels)?,
        rewrite: !is_false(labels.get("DCOS_SERVICE_REWRITE_REQUEST_URLS")),
        buffering: !is_false(labels.get("DCOS_SERVICE_REQUEST_BUFFERING")),
        reach: reach(app, index)?,
    })
}

fn scheme(labels: &Value) -> Result<Scheme, String> {
    let text = labels.get("DCOS_SERVICE_SCHEME").and_then(Value::as_str);
    let text = text.ok_or("there is no DCOS_SERVICE_SCHEME")?;
    match text {
        _ if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        _ if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        _ => Err("DCOS_SERVICE_SCHEME is neither http nor https".to_owned()),
    }
}

fn port_index(labels: &Value) -> Result<usize, String> {
    let value =
        labels.get("DCOS_SERVICE_PORT_INDEX").ok_or("there is no DCOS_SERVICE_PORT_INDEX")?;
    let text = value.as_str().map(str::trim);
    let number = text.map_or_else(|| value.as_u64(), |text| text.parse().ok());
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| "DCOS_SERVICE_PORT_INDEX is no number of a port".to_owned())
}

/// Only this word: anything else leaves what the label is about switched on.
fn is_false(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Bool(false))) || value.and_then(Value::as_str) == Some("false")
}

fn reach(app: &Value, index: usize) -> Result<Reach, String> {
    let mode = app.get("networks").and_then(|networks| networks.get(0));
    let mode = mode.and_then(|network| network.get("mode")).and_then(Value::as_str);
    let container = app.get("container").filter(|container| !container.is_null());
    if let (Some("container"), Some(container)) = (mode, container) {
        let mapping = container.get("portMappings").and_then(|mappings| mappings.get(index));
        let mapping = mapping.ok_or("its container has no port of that index")?;
        let port = mapping.get("containerPort").and_then(Value::as_u64).unwrap_or_default();
        return match u16::try_from(port) {
            Ok(0) => Ok(Reach::ContainerAssigned),
            Ok(port) => Ok(Reach::Container { port }),
            Err(_) => Err("its containerPort is no port".to_owned()),
        };
    }
    // With a bridge a task tells of ports in its container too.
    let definitions = app.get("portDefinitions").and_then(Value::as_array).map(Vec::len);
    Ok(Reach::Host { definitions: definitions.filter(|_| mode != Some("container/bridge")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app(labels: &Value) -> Value {
        json!({"id": "/a", "labels": labels, "portDefinitions": [{"port": 0}]})
    }

    fn good() -> Value {
        json!({"DCOS_SERVICE_NAME": "g/a", "DCOS_SERVICE_SCHEME": "http",
            "DCOS_SERVICE_PORT_INDEX": "0"})
    }

    #[test]
    fn labels_describe_a_service() {
        let found = read(&app(&good())).unwrap().unwrap();
        assert_eq!((&*found.path, &*found.dotted, found.index), ("g/a", "a.g", 0));
        assert!(found.rewrite && found.buffering && found.scheme == Scheme::Http);
        assert_eq!(found.reach, Reach::Host { definitions: Some(1) });
        assert!(read(&app(&json!({}))).is_none());
        assert!(read(&json!({"id": "/a"})).is_none());
    }

    #[test]
    fn only_false_switches_off() {
        for (value, expected) in [("false", false), ("true", true), ("no", true), ("False", true)] {
            let mut labels = good();
            labels["DCOS_SERVICE_REWRITE_REQUEST_URLS"] = json!(value);
            labels["DCOS_SERVICE_REQUEST_BUFFERING"] = json!(value);
            let found = read(&app(&labels)).unwrap().unwrap();
            assert_eq!((found.rewrite, found.buffering), (expected, expected), "{value}");
        }
    }

    #[test]
    fn bad_labels_say_why() {
        for (label, value) in [
            ("DCOS_SERVICE_NAME", json!("//")),
            ("DCOS_SERVICE_NAME", json!("1/2/3/4/5/6/7/8/9/10/11")),
            ("DCOS_SERVICE_SCHEME", json!("ftp")),
            ("DCOS_SERVICE_SCHEME", Value::Null),
            ("DCOS_SERVICE_PORT_INDEX", json!("-1")),
            ("DCOS_SERVICE_PORT_INDEX", json!("one")),
            ("DCOS_SERVICE_PORT_INDEX", Value::Null),
        ] {
            let mut labels = good();
            labels[label] = value.clone();
            let why = read(&app(&labels)).unwrap().unwrap_err();
            assert!(why.contains(label), "{label}={value}: {why}");
        }
    }

    #[test]
    fn ports_of_containers() {
        let with = |mappings: Value, index: &str| {
            let mut app = app(&good());
            app["labels"]["DCOS_SERVICE_PORT_INDEX"] = json!(index);
            app["networks"] = json!([{"mode": "container", "name": "dcos"}]);
            app["container"] = json!({"type": "MESOS", "portMappings": mappings});
            read(&app).unwrap().map(|found| found.reach)
        };
        let mappings = json!([{"containerPort": 80}, {"containerPort": 0}]);
        assert_eq!(with(mappings.clone(), "0"), Ok(Reach::Container { port: 80 }));
        assert_eq!(with(mappings.clone(), "1"), Ok(Reach::ContainerAssigned));
        assert!(with(mappings, "2").is_err());
        assert!(with(Value::Null, "0").is_err());
        assert!(with(json!([{"containerPort": 99999}]), "0").is_err());
    }
}
