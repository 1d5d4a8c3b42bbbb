//! What the tests of changes and plans share.

use crate::{
    App, AppUpdate, Applied, Change, GroupUpdate, ModelError, PathId, Plan, Root, Settings,
    Timestamp, plan,
};
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn path(text: &str) -> PathId {
    PathId::parse(text).unwrap()
}

pub(crate) fn timestamp(millis: u64) -> Timestamp {
    Timestamp(1_600_000_000_000 + millis)
}

/// The update that a JSON text says.
pub(crate) fn update(json: &str) -> AppUpdate {
    AppUpdate::parse(&serde_json::from_str(json).unwrap()).unwrap()
}

pub(crate) fn group(json: &str) -> GroupUpdate {
    GroupUpdate::parse_bytes(json.as_bytes()).unwrap()
}

/// A root group that changes one after the other, a millisecond each.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) root: Root,
    pub(crate) settings: Settings,
    pub(crate) clock: u64,
    pub(crate) force: bool,
}

impl World {
    pub(crate) fn apply(&mut self, change: Change) -> Result<Applied, ModelError> {
        self.clock += 1;
        let applied =
            self.root.apply(&change, self.force, timestamp(self.clock), &self.settings)?;
        self.root = applied.root.clone();
        Ok(applied)
    }

    pub(crate) fn post(&mut self, json: &str) -> Result<Applied, ModelError> {
        self.apply(Change::CreateApp(update(json)))
    }

    pub(crate) fn put(&mut self, id: &str, json: &str) -> Result<Applied, ModelError> {
        let update = update(json);
        self.apply(Change::UpdateApp { id: path(id), update, partial: true, create: true })
    }

    pub(crate) fn put_group(&mut self, id: &str, json: &str) -> Result<Applied, ModelError> {
        self.apply(Change::UpdateGroup { id: path(id), update: group(json) })
    }

    pub(crate) fn app(&self, id: &str) -> &Arc<App> {
        self.root.app(&path(id)).unwrap()
    }

    pub(crate) fn apps(&self) -> Vec<&str> {
        self.root.apps().keys().map(PathId::as_str).collect()
    }

    pub(crate) fn groups(&self) -> Vec<&str> {
        self.root.groups().keys().map(PathId::as_str).collect()
    }
}

/// The status and the first error (or the message) of a refusal.
pub(crate) fn refusal(result: Result<Applied, ModelError>) -> (u16, String) {
    let error = result.unwrap_err();
    let body = error.body();
    let first = body.pointer("/details/0/errors/0").or(body.get("message"));
    (error.status(), first.and_then(Value::as_str).unwrap().to_owned())
}

/// `Start /a /b; Scale /a`: steps on one line.
pub(crate) fn steps(applied: &Applied) -> String {
    shown(&plan::plan(applied, "d".to_owned()))
}

pub(crate) fn shown(plan: &Plan) -> String {
    let step = |step: &crate::Step| {
        let actions = step.actions.iter().map(|action| {
            format!("{} {}", action.kind.as_str().trim_end_matches("Application"), action.app.id)
        });
        actions.collect::<Vec<_>>().join(", ")
    };
    plan.steps.iter().map(step).collect::<Vec<_>>().join("; ")
}
