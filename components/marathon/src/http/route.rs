//! Which endpoint a request is for.
//!
//! Ids of apps and groups are paths themselves, so the last segments decide. Repeated slashes
//! mean nothing: clients put ids that begin with a slash behind one.

use http::Method;
use marathon_model::TaskId;
use percent_encoding::percent_decode_str;

/// An endpoint, with what its path names. Ids are as they were written, with a slash in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Start,
    Ping,
    Metrics,
    Prometheus,
    Logging,
    Config,
    Help,
    Info,
    Leader,
    Plugins,
    Events,
    Pods,
    Apps,
    App(String),
    /// Every app below a group; `/` for all.
    AppsBelow(String),
    AppRestart(String),
    AppTasks(String),
    TasksBelow(String),
    AppTask(String, String),
    AppVersions(String),
    AppVersion(String, String),
    Group(String),
    GroupApps(String),
    GroupVersions(String),
    GroupVersion(String, String),
    Tasks,
    TasksDelete,
    Queue,
    QueueDelay(String),
    Deployments,
    Deployment(String),
}

// === impl Route ===

impl Route {
    /// The endpoint, if there is one. HEAD is looked up as GET.
    pub(crate) fn find(method: &Method, path: &str) -> Option<Route> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let segments: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        Some(match segments.as_slice() {
            [] => Route::Start,
            ["ping"] => Route::Ping,
            ["metrics"] => Route::Metrics,
            ["metrics", "prometheus"] => Route::Prometheus,
            ["logging"] => Route::Logging,
            ["config"] => Route::Config,
            ["help"] => Route::Help,
            ["v2", "info"] => Route::Info,
            ["v2", "leader"] => Route::Leader,
            ["v2", "plugins"] => Route::Plugins,
            ["v2", "events"] => Route::Events,
            ["v2", first, ..] if *first == "pods" || first.starts_with("pods::") => Route::Pods,
            ["v2", "apps", rest @ ..] => Self::app(method, rest),
            ["v2", "groups", rest @ ..] => Self::group(method, rest),
            ["v2", "tasks"] => Route::Tasks,
            ["v2", "tasks", "delete"] => Route::TasksDelete,
            ["v2", "queue"] => Route::Queue,
            ["v2", "queue", id @ .., "delay"] if !id.is_empty() => Route::QueueDelay(join(id)),
            ["v2", "deployments"] => Route::Deployments,
            ["v2", "deployments", id] => Route::Deployment((*id).to_owned()),
            _ => return None,
        })
    }

    fn app(method: &Method, rest: &[&str]) -> Route {
        let read = reads(method);
        match rest {
            [] => Route::Apps,
            [group @ .., "*"] => Route::AppsBelow(join(group)),
            [group @ .., "*", "tasks"] => Route::TasksBelow(join(group)),
            [id @ .., "restart"] if !id.is_empty() && *method == Method::POST => {
                Route::AppRestart(join(id))
            }
            [id @ .., "tasks"] if !id.is_empty() => Route::AppTasks(join(id)),
            // An app may have an inner segment of this name; no app's name is the id of a task.
            [id @ .., "tasks", task]
                if !id.is_empty() && *method == Method::DELETE && TaskId::parse(task).is_some() =>
            {
                Route::AppTask(join(id), (*task).to_owned())
            }
            [id @ .., "versions"] if !id.is_empty() && read => Route::AppVersions(join(id)),
            [id @ .., "versions", version] if !id.is_empty() && read => {
                Route::AppVersion(join(id), (*version).to_owned())
            }
            id => Route::App(join(id)),
        }
    }

    fn group(method: &Method, rest: &[&str]) -> Route {
        if !reads(method) {
            return Route::Group(join(rest));
        }
        match rest {
            [id @ .., "apps"] => Route::GroupApps(join(id)),
            [id @ .., "versions"] => Route::GroupVersions(join(id)),
            [id @ .., "versions", version] => Route::GroupVersion(join(id), (*version).to_owned()),
            id => Route::Group(join(id)),
        }
    }

    /// What may be done with it, besides HEAD and OPTIONS.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Logging => &["GET", "POST"],
            Route::Leader => &["GET", "DELETE"],
            Route::Apps => &["GET", "POST", "PUT", "PATCH"],
            Route::App(_) => &["GET", "PUT", "PATCH", "DELETE"],
            Route::AppTasks(_) => &["GET", "DELETE"],
            Route::AppTask(..) | Route::QueueDelay(_) | Route::Deployment(_) => &["DELETE"],
            Route::AppRestart(_) | Route::TasksDelete => &["POST"],
            Route::Group(_) => &["GET", "POST", "PUT", "PATCH", "DELETE"],
            Route::Pods => &["GET", "POST", "PUT", "DELETE"],
            _ => &["GET"],
        }
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn join(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Route> {
        Route::find(&Method::GET, path)
    }

    #[test]
    fn paths_of_apps() {
        let id = || "/a/b".to_owned();
        for (path, route) in [
            ("/v2/apps", Route::Apps),
            ("/v2/apps/", Route::Apps),
            ("/v2/apps//a/b", Route::App(id())),
            ("/v2/apps/a/b/", Route::App(id())),
            ("/v2/apps/%2Fa%2Fb", Route::App(id())),
            ("/v2/apps/a/*", Route::AppsBelow("/a".into())),
            ("/v2/apps/*", Route::AppsBelow("/".into())),
            ("/v2/apps//a//b/tasks", Route::AppTasks(id())),
            ("/v2/apps/a/*/tasks", Route::TasksBelow("/a".into())),
            ("/v2/apps/a/b/versions", Route::AppVersions(id())),
            ("/v2/apps/a/b/versions/v%3A1", Route::AppVersion(id(), "v:1".into())),
            // Without an id in front these are names.
            ("/v2/apps/tasks", Route::App("/tasks".into())),
            ("/v2/apps/a/tasks/web", Route::App("/a/tasks/web".into())),
        ] {
            assert_eq!(get(path), Some(route), "{path}");
        }
        let task = "a_b.instance-00000000-0000-0000-0000-000000000007._app.1";
        let delete = |path: &str| Route::find(&Method::DELETE, path);
        assert_eq!(
            delete(&format!("/v2/apps//a/b/tasks/{task}")),
            Some(Route::AppTask(id(), task.into()))
        );
        assert_eq!(delete("/v2/apps/a/tasks/web"), Some(Route::App("/a/tasks/web".into())));
        assert_eq!(
            Route::find(&Method::POST, "/v2/apps//a/b/restart"),
            Some(Route::AppRestart(id()))
        );
    }

    #[test]
    fn other_paths() {
        for (path, route) in [
            ("/", Route::Start),
            ("//ping", Route::Ping),
            ("/v2/groups", Route::Group("/".into())),
            ("/v2/groups/apps", Route::GroupApps("/".into())),
            ("/v2/groups//a/versions/x", Route::GroupVersion("/a".into(), "x".into())),
            ("/v2/queue//a/b/delay", Route::QueueDelay("/a/b".into())),
            ("/v2/deployments/x", Route::Deployment("x".into())),
            ("/v2/pods::status", Route::Pods),
            ("/v2/pods/a::status", Route::Pods),
        ] {
            assert_eq!(get(path), Some(route), "{path}");
        }
        assert_eq!(
            Route::find(&Method::PUT, "/v2/groups/apps"),
            Some(Route::Group("/apps".into()))
        );
        for path in ["/v2", "/v1/apps", "/v2/queue/delay", "/v2/deployments/a/b", "/ui", "/%ff"] {
            assert_eq!(get(path), None, "{path}");
        }
    }
}
