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
        Row { methods: "PUT", ..Row::call("/v2/apps/{id}", CREATES, Each(CREATE)) },
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
