//! Running deployments.

use http_kit::json::{self, Object};
use marathon_core::{ActionState, Deployment, View};
use marathon_model::plan::Step;

use crate::http::permissions::Visible;

use super::{app::readiness, moment, optional, value};

/// Appends the list of deployments. `reason`: with what they wait for and how far they are,
/// which the original does not have.
pub(crate) fn list(out: &mut Vec<u8>, view: &View, reason: bool, visible: &Visible) {
    // One that concerns more than may be seen would tell of the rest.
    let shown = |deployment: &&_| -> bool {
        let deployment: &Deployment = deployment;
        visible.is_all() || deployment.plan.affected().iter().all(|app| visible.shows(app))
    };
    let shown = view.deployments.iter().filter(|deployment| shown(&&***deployment));
    json::list(out, shown, |out, deployment| write(out, view, deployment, reason));
}

fn write(out: &mut Vec<u8>, view: &View, deployment: &Deployment, reason: bool) {
    let plan = &deployment.plan;
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut object = Object::new(out);
    object.string("id", &plan.id);
    moment(object.key("version"), plan.version);
    json::list(object.key("affectedApps"), plan.affected(), value);
    object.key("affectedPods").extend_from_slice(b"[]");
    json::list(object.key("steps"), &plan.steps, step);
    json::list(object.key("currentActions"), &deployment.actions, |out, current| {
        action(out, view, current, reason);
    });
    object.integer("currentStep", number(deployment.current_step));
    object.integer("totalSteps", number(plan.steps.len()));
    if reason {
        optional(&mut object, "reason", deployment.reason.as_deref());
        moment(object.key("startedAt"), deployment.started_at);
        moment(object.key("lastProgressAt"), deployment.last_progress);
        object.boolean("rollback", deployment.rollback);
    }
    object.end();
}

fn step(out: &mut Vec<u8>, step: &Step) {
    let mut object = Object::new(out);
    json::list(object.key("actions"), &step.actions, |out, action| {
        let mut object = Object::new(out);
        object.string("action", action.kind.as_str());
        object.string("app", action.app.id.as_str());
        object.end();
    });
    object.end();
}

fn action(out: &mut Vec<u8>, view: &View, action: &ActionState, progress: bool) {
    let mut object = Object::new(out);
    object.string("action", action.kind.as_str());
    object.string("app", action.app.as_str());
    let state = view.apps.get(&action.app);
    let results = state.into_iter().flat_map(|state| state.readiness.values());
    json::list(object.key("readinessCheckResults"), results, |out, result| {
        readiness(out, result);
    });
    if progress {
        object.integer("instancesReady", i64::from(action.ready));
        object.integer("instancesWanted", i64::from(action.wanted));
        object.boolean("done", action.done);
    }
    object.end();
}
