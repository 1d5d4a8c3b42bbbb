//! Which permission each endpoint of the service asks for.
//!
//! The resources are those that DC/OS Enterprise documents; what it grants for a group holds for
//! everything below it. Lists show what the caller may read.

use http::Method;
use http_kit::{
    guard::Refusal,
    permissions::{
        Ask, Caller,
        Need::{Each, Filtered, Login, Public},
        Row, Sight, Table, filled,
    },
};
use identity::Action::{Create, Delete, Full, Read, Update};
use marathon_model::{GroupUpdate, PathId, Root};

use super::{Problem, route::Route};

const SERVICE: &str = "dcos:service:marathon:marathon:services:{id}";
const READ: &[Ask] = &[(SERVICE, Read)];
const CREATE: &[Ask] = &[(SERVICE, Create)];
const UPDATE: &[Ask] = &[(SERVICE, Update)];
const DELETE: &[Ask] = &[(SERVICE, Delete)];
const ALL: &[Ask] = &[(SERVICE, Full)];
const LISTED: http_kit::permissions::Need = Filtered((SERVICE, Read));
const READ_CONFIG: &[Ask] = &[("dcos:service:marathon:marathon:admin:config", Read)];
const SET_CONFIG: &[Ask] = &[("dcos:service:marathon:marathon:admin:config", Update)];
const EVENTS: &[Ask] = &[("dcos:service:marathon:marathon:admin:events", Read)];
const READ_LEADER: &[Ask] = &[("dcos:service:marathon:marathon:admin:leader", Read)];
const SET_LEADER: &[Ask] = &[("dcos:service:marathon:marathon:admin:leader", Update)];

/// What a call does with an app or a group that its path or its body names.
pub(super) const CREATES: &str = "create";
pub(super) const UPDATES: &str = "update";

/// The permissions of the service.
pub static TABLE: Table = Table {
    component: "marathon",
    rows: &[
        // --- the service itself ---
        Row::new("GET", "/", Public("leads to the page and says nothing")),
        Row::new("GET", "/ping", Public("health checks have no login, as in the original")),
        Row::new("GET", "/help", Login("a list of the endpoints")),
        Row::new("GET", "/metrics", Each(READ_CONFIG)),
        Row::new("GET", "/metrics/prometheus", Each(READ_CONFIG)),
        Row::new("GET", "/config", Each(READ_CONFIG)),
        Row::new("GET", "/logging", Each(READ_CONFIG)),
        Row::new("POST", "/logging", Each(SET_CONFIG)),
        Row::new("GET", "/v2/info", Each(READ_CONFIG)),
        Row::new("GET", "/v2/plugins", Each(READ_CONFIG)),
        Row::new("GET", "/v2/leader", Each(READ_LEADER)),
        Row::new("DELETE", "/v2/leader", Each(SET_LEADER)),
        Row::new("GET", "/v2/events", Each(EVENTS)),
        // --- apps ---
        Row::new("GET", "/v2/apps", LISTED),
        Row::new("POST", "/v2/apps", Each(CREATE)),
        Row { methods: "PUT PATCH", ..Row::call("/v2/apps", CREATES, Each(CREATE)) },
        Row { methods: "PUT PATCH", ..Row::call("/v2/apps", UPDATES, Each(UPDATE)) },
        Row::new("GET", "/v2/apps/{id}", Each(READ)),
        // What PATCH does not find it does not make, but says so only to those who may make it.
        Row { methods: "PUT PATCH", ..Row::call("/v2/apps/{id}", CREATES, Each(CREATE)) },
        Row { methods: "PUT PATCH", ..Row::call("/v2/apps/{id}", UPDATES, Each(UPDATE)) },
        Row::new("DELETE", "/v2/apps/{id}", Each(DELETE)),
        Row::new("GET", "/v2/apps/{group}/*", LISTED),
        Row::new("POST", "/v2/apps/{id}/restart", Each(UPDATE)),
        Row::new("GET", "/v2/apps/{id}/tasks", Each(READ)),
        Row::new("DELETE", "/v2/apps/{id}/tasks", Each(UPDATE)),
        Row::new("GET", "/v2/apps/{group}/*/tasks", LISTED),
        Row::new("DELETE", "/v2/apps/{id}/tasks/{task}", Each(UPDATE)),
        Row::new("GET", "/v2/apps/{id}/versions", Each(READ)),
        Row::new("GET", "/v2/apps/{id}/versions/{version}", Each(READ)),
        // --- groups ---
        Row::new("GET", "/v2/groups/{id}", LISTED),
        Row::new("POST", "/v2/groups/{id}", Each(ALL)),
        Row { methods: "PUT", ..Row::call("/v2/groups/{id}", CREATES, Each(CREATE)) },
        Row { methods: "PUT", ..Row::call("/v2/groups/{id}", UPDATES, Each(UPDATE)) },
        Row::new("PATCH", "/v2/groups/{id}", Each(UPDATE)),
        Row::new("DELETE", "/v2/groups/{id}", Each(DELETE)),
        Row::new("GET", "/v2/groups/{id}/apps", LISTED),
        Row::new("GET", "/v2/groups/{id}/versions", Each(READ)),
        Row::new("GET", "/v2/groups/{id}/versions/{version}", Each(READ)),
        // --- what runs ---
        Row::new("GET", "/v2/tasks", LISTED),
        Row::new("POST", "/v2/tasks/delete", Each(UPDATE)),
        Row::new("GET", "/v2/queue", LISTED),
        Row::new("DELETE", "/v2/queue/{id}/delay", Each(UPDATE)),
        Row::new("GET", "/v2/deployments", LISTED),
        Row::new("DELETE", "/v2/deployments/{deployment}", Each(UPDATE)),
        // --- not there yet ---
        Row::new("GET", "/v2/pods", LISTED),
        Row::new("POST", "/v2/pods", Each(CREATE)),
        Row::new("PUT", "/v2/pods", Each(UPDATE)),
        Row::new("DELETE", "/v2/pods", Each(DELETE)),
    ],
};

// === impl Route ===

impl Route {
    /// The path in the table.
    pub(super) fn pattern(&self) -> &'static str {
        match self {
            Route::Start => "/",
            Route::Ping => "/ping",
            Route::Metrics => "/metrics",
            Route::Prometheus => "/metrics/prometheus",
            Route::Logging => "/logging",
            Route::Config => "/config",
            Route::Help => "/help",
            Route::Info => "/v2/info",
            Route::Leader => "/v2/leader",
            Route::Plugins => "/v2/plugins",
            Route::Events => "/v2/events",
            Route::Pods => "/v2/pods",
            Route::Apps => "/v2/apps",
            Route::App(_) => "/v2/apps/{id}",
            Route::AppsBelow(_) => "/v2/apps/{group}/*",
            Route::AppRestart(_) => "/v2/apps/{id}/restart",
            Route::AppTasks(_) => "/v2/apps/{id}/tasks",
            Route::TasksBelow(_) => "/v2/apps/{group}/*/tasks",
            Route::AppTask(..) => "/v2/apps/{id}/tasks/{task}",
            Route::AppVersions(_) => "/v2/apps/{id}/versions",
            Route::AppVersion(..) => "/v2/apps/{id}/versions/{version}",
            Route::Group(_) => "/v2/groups/{id}",
            Route::GroupApps(_) => "/v2/groups/{id}/apps",
            Route::GroupVersions(_) => "/v2/groups/{id}/versions",
            Route::GroupVersion(..) => "/v2/groups/{id}/versions/{version}",
            Route::Tasks => "/v2/tasks",
            Route::TasksDelete => "/v2/tasks/delete",
            Route::Queue => "/v2/queue",
            Route::QueueDelay(_) => "/v2/queue/{id}/delay",
            Route::Deployments => "/v2/deployments",
            Route::Deployment(_) => "/v2/deployments/{deployment}",
        }
    }

    /// The app or the group that the path names: as it will be understood, not as it is written.
    /// What is no id names nothing that exists, and is judged as the root.
    fn named(&self) -> Option<PathId> {
        let id = match self {
            Route::App(id)
            | Route::AppsBelow(id)
            | Route::AppRestart(id)
            | Route::AppTasks(id)
            | Route::TasksBelow(id)
            | Route::AppTask(id, _)
            | Route::AppVersions(id)
            | Route::AppVersion(id, _)
            | Route::Group(id)
            | Route::GroupApps(id)
            | Route::GroupVersions(id)
            | Route::GroupVersion(id, _)
            | Route::QueueDelay(id) => id,
            Route::Pods => "/",
            _ => return None,
        };
        Some(PathId::parse(id).unwrap_or_else(|_| PathId::root()))
    }
}

/// What is judged before the body is read: everything, unless the body names what it is about or
/// what is there decides what happens to it.
pub(super) fn judge_door(route: &Route, method: &Method, caller: &Caller) -> Result<(), Refusal> {
    let pattern = route.pattern();
    match (TABLE.row(method, pattern, ""), route.named()) {
        // A group's body may name another group.
        (Some(_), Some(_)) if *method == Method::POST && matches!(route, Route::Group(_)) => {
            caller.require_known()
        }
        (Some(row), Some(id)) => row.judge(caller, id.as_str()),
        _ => TABLE.judge_door(method, pattern, caller),
    }
}

/// Whether the caller may do this with an app or a group; judged by the row of the endpoint.
pub(super) struct Judge<'a> {
    pub(super) caller: &'a Caller,
    pub(super) method: &'a Method,
    pub(super) pattern: &'static str,
}

// === impl Judge ===

impl Judge<'_> {
    /// Does what the endpoint always does.
    pub(super) fn may(&self, id: &PathId) -> Result<(), Problem> {
        self.ask("", id)
    }

    /// Creates it, or changes it if it is there.
    pub(super) fn may_put(&self, exists: bool, id: &PathId) -> Result<(), Problem> {
        self.ask(if exists { UPDATES } else { CREATES }, id)
    }

    fn ask(&self, call: &str, id: &PathId) -> Result<(), Problem> {
        let judged = TABLE.judge_call(self.method, self.pattern, call, self.caller, id.as_str());
        judged.map_err(Problem::from)
    }

    /// Everything that a group's body names. What is below the group is covered by its
    /// permission; a body may name other paths too.
    pub(super) fn may_put_group(
        &self,
        root: &Root,
        id: &PathId,
        update: &GroupUpdate,
    ) -> Result<(), Problem> {
        if self.caller.is_free() {
            return Ok(());
        }
        let mut named = vec![id.clone()];
        names(update, id, &mut named);
        for id in named {
            if *self.method == Method::POST {
                self.may(&id)?;
            } else {
                self.may_put(root.group(&id).is_some() || root.app(&id).is_some(), &id)?;
            }
        }
        Ok(())
    }
}

/// The ids in a group's body, as they will be understood. The depth is limited where it is read.
fn names(update: &GroupUpdate, base: &PathId, out: &mut Vec<PathId>) {
    for app in update.apps.iter().flatten() {
        out.extend(app.id.as_deref().and_then(|id| PathId::resolve(id, base).ok()));
    }
    for group in update.groups.iter().flatten() {
        let id = group.id.as_deref().and_then(|id| PathId::resolve(id, base).ok());
        let id = id.unwrap_or_else(|| base.clone());
        names(group, &id, out);
        out.push(id);
    }
}

/// What of lists a caller sees.
#[derive(Clone, Debug)]
pub(crate) struct Visible(Sight);

// === impl Visible ===

impl Visible {
    pub(super) fn to(caller: &Caller) -> Self {
        Self(caller.sight())
    }

    /// Whether nothing is hidden.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_full()
    }

    /// Whether this app or group may be shown.
    pub(crate) fn shows(&self, id: &PathId) -> bool {
        self.is_all() || self.0.allows(&filled(SERVICE, id.as_str()), Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route of each kind.
    fn routes() -> Vec<Route> {
        let id = || "/a".to_owned();
        let all = vec![
            Route::Start,
            Route::Ping,
            Route::Metrics,
            Route::Prometheus,
            Route::Logging,
            Route::Config,
            Route::Help,
            Route::Info,
            Route::Leader,
            Route::Plugins,
            Route::Events,
            Route::Pods,
            Route::Apps,
            Route::App(id()),
            Route::AppsBelow(id()),
            Route::AppRestart(id()),
            Route::AppTasks(id()),
            Route::TasksBelow(id()),
            Route::AppTask(id(), id()),
            Route::AppVersions(id()),
            Route::AppVersion(id(), id()),
            Route::Group(id()),
            Route::GroupApps(id()),
            Route::GroupVersions(id()),
            Route::GroupVersion(id(), id()),
            Route::Tasks,
            Route::TasksDelete,
            Route::Queue,
            Route::QueueDelay(id()),
            Route::Deployments,
            Route::Deployment(id()),
        ];
        let kinds: std::collections::HashSet<_> = all.iter().map(std::mem::discriminant).collect();
        assert_eq!(kinds.len(), all.len());
        all
    }

    #[test]
    fn every_method_of_every_route_has_a_row_and_every_row_a_route() {
        let routes = routes();
        for route in &routes {
            for method in route.methods() {
                let method: Method = method.parse().unwrap();
                let has = |call| TABLE.row(&method, route.pattern(), call).is_some();
                // Which of the two is known only when it is looked at: both are needed.
                let has = has("") || (has(UPDATES) && has(CREATES));
                assert!(has, "{method} {} has no row: who may?", route.pattern());
            }
        }
        let mut patterns: Vec<&str> = routes.iter().map(Route::pattern).collect();
        for row in TABLE.rows {
            let route = routes.iter().find(|route| route.pattern() == row.path);
            let route = route.unwrap_or_else(|| panic!("{} is no route", row.path));
            for method in row.methods.split(' ') {
                assert!(route.methods().contains(&method), "{method} {}", row.path);
            }
        }
        // Each pattern once: a route that is forgotten in the list above lacks one that the
        // table has, and one that the table lacks fails the first loop.
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), routes.len());
        let rows: std::collections::HashSet<&str> = TABLE.rows.iter().map(|row| row.path).collect();
        assert_eq!(rows.len(), routes.len());
    }

    #[test]
    fn what_is_judged_is_what_is_understood() {
        let named = |route: Route| route.named().unwrap().to_string();
        assert_eq!(named(Route::App("/dev/../prod/x".into())), "/prod/x");
        assert_eq!(named(Route::App("/dev/./x".into())), "/dev/x");
        // What is no id is judged as everything.
        assert_eq!(named(Route::App("/dev/a b".into())), "/");
        assert_eq!(named(Route::Group("/".into())), "/");
    }

    #[test]
    fn all_that_a_groups_body_names_is_found() {
        let json = r#"{"apps": [{"id": "a", "cmd": "x"}, {"id": "/prod/b", "cmd": "x"}],
            "groups": [{"id": "in", "apps": [{"id": "../../c", "cmd": "x"}],
                        "groups": [{"id": "/other"}]}]}"#;
        let update = GroupUpdate::parse_bytes(json.as_bytes()).unwrap();
        let mut found = Vec::new();
        names(&update, &PathId::parse("/dev").unwrap(), &mut found);
        let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
        found.sort_unstable();
        assert_eq!(found, ["/c", "/dev/a", "/dev/in", "/other", "/prod/b"]);
    }
}
