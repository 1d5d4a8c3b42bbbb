//! What Marathon tells of apps and their tasks, as far as it matters here. Pure.
//!
//! Nothing here refuses an app for what it does not know: whatever is missing or strange is left
//! out, as null is.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::labels::Labels;

/// An app with its tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppFact {
    pub id: Arc<str>,
    pub labels: Labels,
    pub instances: u32,
    /// In microseconds; 0 where it is not told.
    pub last_scaling_at: i64,
    pub health_checks: Vec<HealthCheck>,
    pub networking: Networking,
    /// Of `portDefinitions`, or `ports` where there are none.
    pub ports: Vec<u16>,
    pub port_mappings: Vec<PortMapping>,
    /// Of the address that the app has for itself, as Marathon had it before version 1.5.
    pub discovery_ports: Vec<u16>,
    pub tasks: Vec<TaskFact>,
}

/// How tasks are on the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Networking {
    #[default]
    Host,
    Bridge,
    /// Each task has an address.
    Container,
}

/// One port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    pub container: Option<u16>,
    pub service: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub protocol: Arc<str>,
    pub path: Option<Arc<str>>,
    pub port: Option<u16>,
    pub port_index: Option<i64>,
    pub grace_seconds: u64,
    pub interval_seconds: u64,
    pub timeout_seconds: u64,
    pub failures: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFact {
    pub id: Arc<str>,
    pub host: Arc<str>,
    pub ports: Vec<u16>,
    pub ip: Option<IpAddr>,
    pub state: State,
    /// Whether some check succeeds; none before any result.
    pub alive: Option<bool>,
}

/// How far a task is, as far as that says whether requests go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet, not any more, or on its way there.
    Unusable,
    Running,
    /// It was running, and nobody knows.
    Lost,
}

/// One thing that happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNews {
    pub app: Arc<str>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Its state, with all there is to know of it.
    Status { task: TaskFact, ended: bool },
    /// Whether an instance's checks succeed.
    Health { instance: Arc<str>, alive: bool },
    /// The task of an instance is told to stop, or will be in a moment.
    Stopping { instance: Arc<str> },
}

// === impl State ===

impl State {
    /// Of a state as Mesos names it.
    pub(crate) fn of(state: &str) -> State {
        match state {
            // What is not told is no hindrance, for the original either.
            "TASK_RUNNING" | "" => State::Running,
            "TASK_LOST" | "TASK_UNREACHABLE" => State::Lost,
            _ => State::Unusable,
        }
    }
}

/// Whether a task in such a state is gone for good.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(
        state,
        "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_ERROR"
            | "TASK_DROPPED"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR"
    )
}

// === impl TaskFact ===

impl TaskFact {
    /// Ids of tasks begin with those of their instances.
    pub(crate) fn is_of(&self, instance: &str) -> bool {
        self.id.strip_prefix(instance).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

// === impl AppFact ===

impl AppFact {
    /// Reads an app as `/v2/apps?embed=apps.tasks` shows it. None without an id.
    pub(crate) fn read(app: &Value) -> Option<AppFact> {
        let id = app.get("id")?.as_str().filter(|id| id.len() > 1 && id.starts_with('/'))?;
        let container = app.get("container").unwrap_or(&Value::Null);
        let docker = container.get("docker").unwrap_or(&Value::Null);
        let mappings = list(docker, "portMappings");
        let mappings = if mappings.is_empty() { list(container, "portMappings") } else { mappings };
        let definitions = app.get("portDefinitions").and_then(Value::as_array);
        let ports = match definitions {
            Some(definitions) => definitions.iter().filter_map(|one| port(one, "port")).collect(),
            None => list(app, "ports").iter().filter_map(number).collect(),
        };
        let address = app.get("ipAddress").filter(|one| is_full(one));
        let discovery = address.and_then(|one| one.get("discovery")).unwrap_or(&Value::Null);
        let found = app.get("labels").and_then(Value::as_object).into_iter().flatten();
        let labels =
            found.filter_map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into())));
        let info = app.get("versionInfo").unwrap_or(&Value::Null);
        let scaled = info.get("lastScalingAt").and_then(Value::as_str).and_then(moment);
        Some(AppFact {
            id: id.into(),
            labels: labels.collect(),
            instances: app.get("instances").and_then(integer).unwrap_or_default(),
            last_scaling_at: scaled.unwrap_or_default(),
            health_checks: list(app, "healthChecks").iter().filter_map(HealthCheck::read).collect(),
            networking: networking(app, docker, address.is_some()),
            ports,
            port_mappings: mappings.iter().map(PortMapping::read).collect(),
            discovery_ports: list(discovery, "ports")
                .iter()
                .filter_map(|one| port(one, "number"))
                .collect(),
            tasks: list(app, "tasks").iter().filter_map(task).collect(),
        })
    }
}

fn networking(app: &Value, docker: &Value, has_address: bool) -> Networking {
    let mut found = if has_address { Networking::Container } else { Networking::Host };
    match docker.get("network").and_then(Value::as_str) {
        Some("USER") => found = Networking::Container,
        Some("BRIDGE") => found = Networking::Bridge,
        _ => {}
    }
    for network in list(app, "networks") {
        found = match network.get("mode").and_then(Value::as_str) {
            Some("host") => Networking::Host,
            Some("container/bridge") => Networking::Bridge,
            _ => Networking::Container,
        };
    }
    found
}

// === impl PortMapping ===

impl PortMapping {
    fn read(mapping: &Value) -> PortMapping {
        PortMapping {
            container: port(mapping, "containerPort"),
            service: port(mapping, "servicePort"),
        }
    }
}

// === impl HealthCheck ===

impl HealthCheck {
    fn read(check: &Value) -> Option<HealthCheck> {
        let seconds = |name: &str, usual| check.get(name).and_then(integer).unwrap_or(usual);
        Some(HealthCheck {
            protocol: check.get("protocol").and_then(Value::as_str).unwrap_or("HTTP").into(),
            path: check.get("path").and_then(Value::as_str).map(Arc::from),
            port: port(check, "port").filter(|port| *port != 0),
            port_index: check.get("portIndex").and_then(Value::as_i64),
            grace_seconds: seconds("gracePeriodSeconds", 300),
            interval_seconds: seconds("intervalSeconds", 60),
            timeout_seconds: seconds("timeoutSeconds", 20),
            failures: seconds("maxConsecutiveFailures", 3),
        })
    }
}

fn task(task: &Value) -> Option<TaskFact> {
    let text = |name: &str| task.get(name).and_then(Value::as_str).unwrap_or_default();
    let results = task.get("healthCheckResults").and_then(Value::as_array);
    let alive = |one: &Value| one.get("alive").and_then(Value::as_bool).unwrap_or_default();
    Some(TaskFact {
        id: task.get("id")?.as_str()?.into(),
        host: text("host").into(),
        ports: list(task, "ports").iter().filter_map(number).collect(),
        ip: first_ip(list(task, "ipAddresses")),
        state: State::of(text("state")),
        alive: results.filter(|all| !all.is_empty()).map(|all| all.iter().any(alive)),
    })
}

/// Reads a `status_update_event`.
pub(crate) fn status_update(event: &Value) -> Option<TaskNews> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let state = text("taskStatus");
    let task = TaskFact {
        id: event.get("taskId")?.as_str()?.into(),
        host: text("host").into(),
        ports: list(event, "ports").iter().filter_map(number).collect(),
        ip: first_ip(list(event, "ipAddresses")),
        state: State::of(state),
        alive: None,
    };
    let what = What::Status { task, ended: has_ended(state) };
    Some(TaskNews { app: text("appId").into(), what })
}

/// Reads an event that tells of health, or that a task is to stop; none where it tells neither.
pub(crate) fn instance_event(name: &str, event: &Value) -> Option<TaskNews> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let app = text("runSpecId").or_else(|| text("appId"))?.into();
    let instance: Arc<str> = text("instanceId").or_else(|| text("taskId"))?.into();
    let what = match name {
        "health_status_changed_event" => {
            What::Health { instance, alive: event.get("alive")?.as_bool()? }
        }
        "instance_health_changed_event" => {
            What::Health { instance, alive: event.get("healthy")?.as_bool()? }
        }
        "unhealthy_instance_kill_event" => What::Stopping { instance },
        "instance_changed_event" => {
            let killing = event.get("killing").and_then(Value::as_bool).unwrap_or_default();
            let goal = text("goal").unwrap_or("Running");
            let stops = killing || goal != "Running" || text("condition") == Some("Killing");
            stops.then_some(What::Stopping { instance })?
        }
        _ => return None,
    };
    Some(TaskNews { app, what })
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_full(value: &Value) -> bool {
    value.as_object().is_some_and(|object| !object.is_empty())
}

fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok()
}

fn port(of: &Value, name: &str) -> Option<u16> {
    of.get(name).and_then(number)
}

fn integer<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    // Durations may have been written as fractions.
    let whole = value.as_u64().or_else(|| value.as_f64().map(|number| number as u64));
    T::try_from(whole?).ok()
}

fn first_ip(addresses: &[Value]) -> Option<IpAddr> {
    let text = addresses.first()?.get("ipAddress")?.as_str()?;
    text.parse().ok()
}

/// A moment as ISO 8601 writes it, in microseconds since 1970; without a zone it is UTC's.
pub(crate) fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut seconds = days(year, month, day) * 86_400;
    let mut micros = 0;
    if text.len() > 10 {
        let (hour, minute) = (number(11, 13)?, number(14, 16)?);
        seconds += hour * 3600 + minute * 60 + number(17, 19).unwrap_or_default();
        let rest = text.get(19..).unwrap_or_default();
        let fraction = rest.strip_prefix(['.', ',']).unwrap_or_default();
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        for place in 0..6 {
            let digit = fraction.as_bytes().get(place).filter(|_| place < digits);
            micros = micros * 10 + digit.map_or(0, |digit| i64::from(digit - b'0'));
        }
        let zone = rest.get(if digits > 0 { digits + 1 } else { 0 }..).unwrap_or_default();
        seconds -= offset(zone);
    }
    Some(seconds * 1_000_000 + micros)
}

fn offset(zone: &str) -> i64 {
    let sign = match zone.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return 0,
    };
    let digits: Vec<i64> =
        zone.bytes().filter(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0')).collect();
    match digits[..] {
        [a, b, c, d, ..] => sign * ((a * 10 + b) * 3600 + (c * 10 + d) * 60),
        [a, b] => sign * (a * 10 + b) * 3600,
        _ => 0,
    }
}

/// Days since 1970, by counting in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn apps_are_read_as_the_api_shows_them() {
        let app = json!({"id": "/a/b", "instances": 2,
            "labels": {"HAPROXY_GROUP": "external", "odd": 7},
            "versionInfo": {"lastScalingAt": "2026-01-02T03:04:05.678Z"},
            "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/h", "portIndex": 1,
                "intervalSeconds": 2, "timeoutSeconds": 1.5, "maxConsecutiveFailures": 5}],
            "portDefinitions": [{"port": 10000}, {"port": null}, {"port": 10001}],
            "tasks": [{"id": "a_b.i-1._app.1", "host": "10.0.0.1", "ports": [31000, 31001],
                "state": "TASK_RUNNING", "ipAddresses": [{"ipAddress": "9.0.0.1"}],
                "healthCheckResults": [{"alive": false}, {"alive": true}]},
                {"id": "x", "state": "TASK_KILLING", "host": "h", "healthCheckResults": []},
                {"host": "no id"}]});
        let app = AppFact::read(&app).unwrap();
        assert_eq!((app.instances, &*app.ports, app.labels.len()), (2, &[10000, 10001][..], 1));
        assert_eq!(app.last_scaling_at, 1_767_323_045_678_000);
        assert_eq!(app.health_checks[0].timeout_seconds, 1);
        assert_eq!(app.tasks.len(), 2);
        let task = &app.tasks[0];
        assert_eq!(
            (task.state, task.alive, &*task.ports),
            (State::Running, Some(true), &[31000, 31001][..])
        );
        assert!(task.is_of("a_b.i-1") && !task.is_of("a_b.i") && task.is_of("a_b.i-1._app.1"));
        assert_eq!((app.tasks[1].state, app.tasks[1].alive), (State::Unusable, None));
        assert_eq!(AppFact::read(&json!({"id": 7})), None);
        assert_eq!(AppFact::read(&json!({"id": "/"})), None);
    }

    #[test]
    fn networks_are_told_in_the_ways_of_all_versions() {
        let of = |mut app: Value| {
            app["id"] = json!("/a");
            AppFact::read(&app).unwrap().networking
        };
        assert_eq!(of(json!({})), Networking::Host);
        assert_eq!(of(json!({"ipAddress": {}})), Networking::Host);
        assert_eq!(of(json!({"ipAddress": {"networkName": "n"}})), Networking::Container);
        assert_eq!(of(json!({"container": {"docker": {"network": "BRIDGE"}}})), Networking::Bridge);
        assert_eq!(
            of(json!({"container": {"docker": {"network": "USER"}}})),
            Networking::Container
        );
        assert_eq!(of(json!({"networks": [{"mode": "container/bridge"}]})), Networking::Bridge);
        assert_eq!(
            of(json!({"networks": [{"mode": "container", "name": "n"}]})),
            Networking::Container
        );
        assert_eq!(of(json!({"networks": [{"mode": "host"}]})), Networking::Host);
    }

    #[test]
    fn events_tell_of_health_and_of_ends() {
        let of = |name: &str, event: Value| instance_event(name, &event).map(|news| news.what);
        let instance: Arc<str> = "a.i".into();
        let health = |alive| Some(What::Health { instance: instance.clone(), alive });
        let event = json!({"appId": "/a", "instanceId": "a.i", "alive": true});
        assert_eq!(of("health_status_changed_event", event), health(true));
        let event = json!({"runSpecId": "/a", "instanceId": "a.i", "healthy": false});
        assert_eq!(of("instance_health_changed_event", event), health(false));
        let event = json!({"runSpecId": "/a", "instanceId": "a.i", "healthy": null});
        assert_eq!(of("instance_health_changed_event", event), None);
        let stopping = Some(What::Stopping { instance: instance.clone() });
        let changed = |more: Value| {
            let mut event = json!({"runSpecId": "/a", "instanceId": "a.i", "condition": "Running"});
            let more = more.as_object().unwrap().clone();
            event.as_object_mut().unwrap().extend(more);
            of("instance_changed_event", event)
        };
        assert_eq!(changed(json!({})), None);
        assert_eq!(changed(json!({"goal": "Running", "killing": false})), None);
        assert_eq!(changed(json!({"goal": "Decommissioned"})), stopping);
        assert_eq!(changed(json!({"goal": "Running", "killing": true})), stopping);
        assert_eq!(changed(json!({"condition": "Killing"})), stopping);
        let event = json!({"appId": "/a", "taskId": "a.i.1", "instanceId": "a.i"});
        assert_eq!(of("unhealthy_instance_kill_event", event), stopping);
        let event = json!({"appId": "/a", "taskId": "a.i._app.1", "taskStatus": "TASK_KILLED",
            "host": "h", "ports": [1]});
        let What::Status { task, ended } = status_update(&event).unwrap().what else { panic!() };
        assert!(ended && task.state == State::Unusable);
    }

    #[test]
    fn moments_are_compared_whatever_their_zone() {
        assert_eq!(moment("1970-01-01"), Some(0));
        assert_eq!(moment("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(moment("2016-02-01T14:13:42.499089"), Some(1_454_336_022_499_089));
        assert_eq!(moment("2016-02-01T15:13:42.499089+01:00"), Some(1_454_336_022_499_089));
        assert_eq!(moment("2016-02-01 14:13:42.499089Z"), Some(1_454_336_022_499_089));
        for none in ["", "yesterday", "2016-13-01", "2016-02-01Tx", "äöü-äö-äö"] {
            assert_eq!(moment(none), None, "{none}");
        }
    }
}
