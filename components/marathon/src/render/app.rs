//! Apps with whatever is to be embedded.

use std::{
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use http_kit::json::{self, Object};
use marathon_core::{AppState, ReadinessResult, View};
use marathon_model::{App, InstanceId, PathId, Timestamp};

use super::{optional, pieces::Source, stats, task};

/// What is shown of an app beside its specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Embed {
    pub(crate) counts: bool,
    pub(crate) tasks: bool,
    pub(crate) deployments: bool,
    pub(crate) readiness: bool,
    pub(crate) last_task_failure: bool,
    pub(crate) task_stats: bool,
}

impl Embed {
    /// What the values of `embed` ask for; unknown ones mean nothing.
    pub(crate) fn resolve<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut embed = Self::default();
        for value in values {
            let prefixes = ["group.apps.", "apps.", "app."];
            let name = prefixes.iter().find_map(|prefix| value.strip_prefix(prefix));
            match name.unwrap_or(value) {
                "tasks" => (embed.tasks, embed.deployments) = (true, true),
                "failures" => {
                    (embed.tasks, embed.deployments, embed.last_task_failure) = (true, true, true);
                }
                "counts" => embed.counts = true,
                "deployments" => embed.deployments = true,
                "readiness" => embed.readiness = true,
                "lastTaskFailure" => embed.last_task_failure = true,
                "taskStats" => embed.task_stats = true,
                _ => {}
            }
        }
        embed
    }

    /// What lists of apps always show.
    pub(crate) fn of_list(self) -> Self {
        Self { counts: true, deployments: true, ..self }
    }

    /// What a single app always shows.
    pub(crate) fn of_one(self) -> Self {
        Self { tasks: true, last_task_failure: true, ..self.of_list() }
    }
}

/// One app, written in steps: the tasks may be many.
pub(crate) struct AppWriter {
    app: Arc<App>,
    state: Option<Arc<AppState>>,
    embed: Embed,
    now: Timestamp,
    stage: Stage,
}

enum Stage {
    Open,
    /// The tasks after this one.
    Tasks(Option<InstanceId>),
    Close,
}

// === impl AppWriter ===

impl AppWriter {
    pub(crate) fn new(view: &View, app: Arc<App>, embed: Embed, now: Timestamp) -> Self {
        let state = view.apps.get(&app.id).cloned();
        Self { app, state, embed, now, stage: Stage::Open }
    }

    /// All of it at once.
    pub(crate) fn write_all(mut self, out: &mut Vec<u8>) {
        while !self.write(out, usize::MAX) {}
    }

    fn open(&self, out: &mut Vec<u8>) {
        spec(out, &self.app);
        // The specification's last brace: more members follow.
        out.pop();
        let mut more = Members(out);
        if self.embed.counts {
            let counts = self.state.as_ref().map(|state| state.counts).unwrap_or_default();
            more.integer("tasksStaged", counts.staged);
            more.integer("tasksRunning", counts.running);
            more.integer("tasksHealthy", counts.healthy);
            more.integer("tasksUnhealthy", counts.unhealthy);
        }
        if self.embed.deployments {
            let deployments = self.state.iter().flat_map(|state| &state.deployments);
            json::list(more.key("deployments"), deployments, |out, id| identified(out, id));
        }
        if self.embed.readiness {
            let results = self.state.iter().flat_map(|state| state.readiness.values());
            json::list(more.key("readinessCheckResults"), results, |out, result| {
                readiness(out, result);
            });
        }
    }

    /// Tasks from where it stopped. True after the last.
    fn tasks(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        let (Stage::Tasks(after), Some(state)) = (&self.stage, &self.state) else { return true };
        let from = after.clone().map_or(Unbounded, Excluded);
        let rest = state.instances.range((from, Unbounded));
        let mut first = after.is_none();
        for (id, instance) in rest.filter(|(_, instance)| task::is_listed(instance)) {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            task::write(out, instance, false);
            if out.len() >= limit {
                let id = id.clone();
                self.stage = Stage::Tasks(Some(id));
                return false;
            }
        }
        true
    }

    fn close(&self, out: &mut Vec<u8>) {
        let mut more = Members(out);
        let state = self.state.as_deref();
        if self.embed.last_task_failure
            && let Some(failure) = state.and_then(|state| state.last_failure.as_ref())
        {
            task::write_failure(more.key("lastTaskFailure"), failure);
        }
        if self.embed.task_stats {
            let instances = state.into_iter().flat_map(|state| state.instances.values());
            let instances = instances.map(|instance| &**instance);
            stats::write(more.key("tasksStats"), &self.app, instances, self.now);
        }
        more.0.push(b'}');
    }
}

impl Source for AppWriter {
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        if matches!(self.stage, Stage::Open) {
            self.open(out);
            self.stage = Stage::Close;
            if self.embed.tasks {
                Members(out).key("tasks").push(b'[');
                self.stage = Stage::Tasks(None);
            }
        }
        if matches!(self.stage, Stage::Tasks(_)) {
            if !self.tasks(out, limit) {
                return false;
            }
            out.push(b']');
            self.stage = Stage::Close;
        }
        self.close(out);
        true
    }
}

/// Further members of an object that has some.
struct Members<'a>(&'a mut Vec<u8>);

impl Members<'_> {
    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(b',');
        json::string(self.0, name);
        self.0.push(b':');
        self.0
    }

    fn integer(&mut self, name: &str, number: u32) {
        json::integer(self.key(name), i64::from(number));
    }
}

/// Appends an app's specification.
pub(crate) fn spec(out: &mut Vec<u8>, app: &App) {
    app.write_json(out);
}

/// `{"id": ..}`.
pub(crate) fn identified(out: &mut Vec<u8>, id: &str) {
    let mut object = Object::new(out);
    object.string("id", id);
    object.end();
}

/// Appends the result of a readiness check.
pub(crate) fn readiness(out: &mut Vec<u8>, result: &ReadinessResult) {
    let mut object = Object::new(out);
    object.string("name", &result.name);
    object.string("taskId", &result.task.to_string());
    object.boolean("ready", result.ready);
    if let Some(last) = &result.last_response {
        let mut response = Object::new(object.key("lastResponse"));
        response.integer("status", i64::from(last.status));
        optional(&mut response, "contentType", Some(&last.content_type));
        response.string("body", &last.body);
        response.end();
    }
    object.end();
}

/// Decides whether an app is listed.
pub(crate) type Filter = Box<dyn Fn(&App) -> bool + Send>;

/// A list of apps.
pub(crate) struct Apps {
    view: Arc<View>,
    /// Only those below it.
    below: PathId,
    filter: Option<Filter>,
    embed: Embed,
    now: Timestamp,
    /// The name of the list; none for a bare one.
    name: Option<&'static str>,
    begun: bool,
    first: bool,
    last: Option<PathId>,
    current: Option<AppWriter>,
}

// === impl Apps ===

impl Apps {
    /// `{name: [apps below a group]}`, or only the list.
    pub(crate) fn new(
        view: Arc<View>,
        name: Option<&'static str>,
        below: PathId,
        embed: Embed,
        now: Timestamp,
    ) -> Self {
        let (filter, last, current) = (None, None, None);
        Self { view, below, filter, embed, now, name, begun: false, first: true, last, current }
    }

    /// Only those that pass.
    pub(crate) fn filtered(self, filter: Option<Filter>) -> Self {
        Self { filter, ..self }
    }

    /// The next app that is to be listed, looked for among some only. True if there is none.
    fn advance(&mut self) -> bool {
        const LOOKED_AT: usize = 1000;
        let from = match &self.last {
            Some(last) => Excluded(last.clone()),
            None => Excluded(self.below.clone()),
        };
        let mut rest = self.view.root.apps().range((from, Unbounded)).map(|(_, app)| app);
        for _ in 0..LOOKED_AT {
            let Some(app) = rest.next().filter(|app| app.id.is_below(&self.below)) else {
                return true;
            };
            self.last = Some(app.id.clone());
            if self.filter.as_ref().is_none_or(|passes| passes(app)) {
                let writer = AppWriter::new(&self.view, app.clone(), self.embed, self.now);
                self.current = Some(writer);
                return false;
            }
        }
        false
    }
}

impl Source for Apps {
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        if !self.begun {
            self.begun = true;
            if let Some(name) = self.name {
                out.push(b'{');
                json::string(out, name);
                out.push(b':');
            }
            out.push(b'[');
        }
        loop {
            if let Some(current) = &mut self.current {
                if !current.write(out, limit) {
                    return false;
                }
                self.current = None;
            }
            if out.len() >= limit {
                return false;
            }
            if self.advance() {
                let end: &[u8] = if self.name.is_some() { b"]}" } else { b"]" };
                out.extend_from_slice(end);
                return true;
            }
            match self.current {
                Some(_) if self.first => self.first = false,
                Some(_) => out.push(b','),
                // Many that are not listed: others may go first.
                None => return false,
            }
        }
    }
}
