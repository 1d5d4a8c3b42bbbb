//! Tasks: listing them, killing them.

use std::sync::Arc;

use http::Method;
use http_kit::{Response, respond};
use marathon_core::{Command, Condition, Done, Instance, KillWhat, View};
use marathon_model::{InstanceId, ModelError, PathId, TaskId, Violation, change::Change};
use serde_json::Value;

use super::{Answer, Api, Changed, Context, Deployed, Problem, known_id, pieces};
use crate::render::{pieces::Source, task};

impl Api {
    pub(super) async fn app_tasks(&self, id: &str, context: Context) -> Answer {
        if context.method == Method::DELETE {
            return self.kill_tasks_of(id, &context).await;
        }
        let view = self.view();
        let app = known_id(id).filter(|id| view.root.app(id).is_some());
        let app = app.ok_or_else(|| Problem::no_app(id))?;
        Ok(pieces(Tasks::of(view, vec![app], false, States::default()), &context))
    }

    pub(super) fn tasks_below(&self, id: &str, context: &Context) -> Answer {
        let view = self.view();
        let group = known_id(id).filter(|id| view.root.group(id).is_some());
        let group = group.ok_or_else(|| Problem::no_group(id))?;
        let visible = context.visible();
        let apps = view.root.apps_below(&group).map(|app| app.id.clone());
        let apps = apps.filter(|id| visible.shows(id)).collect();
        Ok(pieces(Tasks::of(view, apps, false, States::default()), context))
    }

    pub(super) fn tasks(&self, context: &Context) -> Answer {
        let view = self.view();
        let query = &context.query;
        let states = States::parse(query.all("status").chain(query.all("status[]")));
        let visible = context.visible();
        let known = |id: &&PathId| view.root.app(id).is_some() && visible.shows(id);
        let apps = view.apps.keys().filter(known).cloned().collect();
        Ok(pieces(Tasks::of(view.clone(), apps, true, states), context))
    }

    /// `DELETE /v2/apps/{id}/tasks`.
    async fn kill_tasks_of(&self, id: &str, context: &Context) -> Answer {
        let kill = Kill::of(context)?;
        let view = self.view();
        let app = known_id(id).filter(|id| view.root.app(id).is_some());
        let app = app.ok_or_else(|| missing(id, &kill))?;
        let host = context.query.get("host").filter(|host| *host != "*").map(str::to_owned);
        if kill.dry_run {
            let on_host = |instance: &&Arc<Instance>| {
                let place = instance.placement.as_ref();
                host.as_ref().is_none_or(|host| place.is_some_and(|place| place.host == *host))
            };
            let instances = view.apps.get(&app).into_iter().flat_map(|app| app.instances.values());
            let victims: Vec<_> = instances.filter(on_host).cloned().collect();
            return self.would_kill(&view, victims, &kill).await;
        }
        let done = self.kill(KillWhat::App { id: app, host }, &kill).await?;
        Ok(killed(done))
    }

    /// `DELETE /v2/apps/{id}/tasks/{task}`.
    pub(super) async fn kill_task(&self, id: &str, task: &str, context: &Context) -> Answer {
        let kill = Kill::of(context)?;
        let view = self.view();
        let app = known_id(id).filter(|id| view.root.app(id).is_some());
        let app = app.ok_or_else(|| missing(id, &kill))?;
        let instance = TaskId::parse(task).map(|task| task.instance);
        let of_app = view.apps.get(&app);
        let instance =
            instance.and_then(|id| of_app.and_then(|app| app.instances.get(&id)).cloned());
        let instance = instance.ok_or_else(|| Problem::no_task(task))?;
        if kill.dry_run {
            return self.would_kill(&view, vec![instance], &kill).await;
        }
        match self.kill(KillWhat::Ids(vec![instance.id.clone()]), &kill).await? {
            Done::Killed(killed) => {
                let instance = killed.first().unwrap_or(&instance);
                let mut out = b"{\"task\":".to_vec();
                task::write(&mut out, instance, false);
                out.push(b'}');
                Ok(respond::json(out))
            }
            other => Ok(killed(other)),
        }
    }

    /// `POST /v2/tasks/delete`.
    pub(super) async fn kill_tasks(&self, context: &Context) -> Answer {
        let kill = Kill::of(context)?;
        let ids = ids(&context.body)?;
        let judge = context.judge();
        ids.iter().try_for_each(|id| judge.may(&id.app()))?;
        if kill.dry_run {
            let view = self.view();
            let victims = ids.iter().filter_map(|id| view.instance(id).cloned()).collect();
            return self.would_kill(&view, victims, &kill).await;
        }
        Ok(killed(self.kill(KillWhat::Ids(ids), &kill).await?))
    }

    async fn kill(&self, what: KillWhat, kill: &Kill) -> Result<Done, Problem> {
        let Kill { scale, wipe, force, .. } = *kill;
        Ok(self.handle.command(Command::Kill { what, scale, wipe, force }).await?)
    }

    /// What a kill would do: the plan of the smaller counts, or the tasks.
    async fn would_kill(&self, view: &View, victims: Vec<Arc<Instance>>, kill: &Kill) -> Answer {
        if !kill.scale {
            return Ok(killed(Done::Killed(victims)));
        }
        let counts = view.counts_without(&victims);
        match self.handle.command(Command::DryRun { change: Change::ScaleApps(counts) }).await? {
            Done::Impact(impact) => Ok(super::document(&impact)),
            other => Ok(killed(other)),
        }
    }
}

/// How something is killed.
struct Kill {
    scale: bool,
    wipe: bool,
    force: bool,
    dry_run: bool,
}

impl Kill {
    fn of(context: &Context) -> Result<Self, Problem> {
        let flag = |name: &str| context.query.flag(name, false);
        let (scale, wipe) = (flag("scale"), flag("wipe"));
        if scale && wipe {
            return Err(Problem::bad_request("You cannot use scale and wipe at the same time."));
        }
        Ok(Self { scale, wipe, force: flag("force"), dry_run: flag("dryRun") })
    }
}

/// The app is not there; which words say so depends on what was asked.
fn missing(id: &str, kill: &Kill) -> Problem {
    if kill.scale {
        return Problem::not_found(format!("Path '{id}' does not exist"));
    }
    Problem::no_app(id)
}

fn killed(done: Done) -> Response {
    let instances = match done {
        Done::Deployment { id, version, app, created } => {
            return Changed::Deployed(Deployed { id, version, app, created }).response(None);
        }
        Done::Impact(impact) => return super::document(&impact),
        Done::Killed(instances) => instances,
        Done::Nothing => Vec::new(),
    };
    let mut out = b"{\"tasks\":".to_vec();
    let listed = instances.iter().filter(|instance| task::is_listed(instance));
    http_kit::json::list(&mut out, listed, |out, instance| task::write(out, instance, false));
    out.push(b'}');
    respond::json(out)
}

/// The instances that a body names by their tasks.
fn ids(body: &[u8]) -> Result<Vec<InstanceId>, Problem> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| ModelError::broken_json(error.to_string()))?;
    let ids = body.get("ids").and_then(Value::as_array);
    let ids: Option<Vec<&str>> = ids.and_then(|ids| ids.iter().map(Value::as_str).collect());
    let ids = ids.ok_or_else(|| {
        ModelError::wrong_shape(&[Violation::new("/ids", "error.expected.jsarray")])
    })?;
    let instance = |id: &&str| {
        let text = format!("Invalid task id '{id}'. [{id} (of class java.lang.String)]");
        TaskId::parse(id).map(|task| task.instance).ok_or_else(|| Problem::bad_request(text))
    };
    ids.iter().map(instance).collect()
}

/// Which tasks are asked for; all if nothing is.
#[derive(Clone, Copy, Debug, Default)]
struct States {
    running: bool,
    staging: bool,
}

impl States {
    fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut states = Self::default();
        for value in values {
            states.running |= value.eq_ignore_ascii_case("running");
            states.staging |= value.eq_ignore_ascii_case("staging");
        }
        states
    }

    fn contain(self, condition: Condition) -> bool {
        let all = !self.running && !self.staging;
        all || (self.running && condition == Condition::Running)
            || (self.staging && condition == Condition::Staging)
    }
}

/// The tasks of several apps, a piece at a time.
struct Tasks {
    view: Arc<View>,
    /// Apps still to be listed, the next one last.
    apps: Vec<PathId>,
    after: Option<InstanceId>,
    service_ports: bool,
    states: States,
    begun: bool,
    first: bool,
}

impl Tasks {
    fn of(view: Arc<View>, mut apps: Vec<PathId>, service_ports: bool, states: States) -> Self {
        apps.reverse();
        Self { view, apps, after: None, service_ports, states, begun: false, first: true }
    }
}

impl Source for Tasks {
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        use std::ops::Bound::{Excluded, Unbounded};
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(b"{\"tasks\":[");
        }
        let view = self.view.clone();
        while let Some(app) = self.apps.last() {
            let from = self.after.take().map_or(Unbounded, Excluded);
            let instances = view.apps.get(app).into_iter();
            for (id, instance) in
                instances.flat_map(|app| app.instances.range((from.clone(), Unbounded)))
            {
                if !task::is_listed(instance) || !self.states.contain(instance.condition) {
                    continue;
                }
                if !std::mem::take(&mut self.first) {
                    out.push(b',');
                }
                task::write(out, instance, self.service_ports);
                if out.len() >= limit {
                    self.after = Some(id.clone());
                    return false;
                }
            }
            self.apps.pop();
        }
        out.extend_from_slice(b"]}");
        true
    }
}
