//! Why a deployment does not move.

use super::{Core, Timer, index::Class};
use crate::EventKind;
use marathon_model::{
    PathId,
    plan::{Action, ActionKind},
};
use std::{sync::Arc, time::Duration};

/// How often the reason of one that stands still is looked at again.
const AGAIN: Duration = Duration::from_secs(10);
/// Apps whose reasons are given.
const MAX_APPS: usize = 3;

// === impl Core ===

impl Core {
    pub(super) fn check_progress(&mut self, id: &Arc<str>) {
        let Some(running) = self.running(id) else { return };
        let due = running.last_progress + self.config.stalled_after;
        if due > self.now.mono {
            return self.timers.set(due, Timer::Stalled(id.clone()));
        }
        let plan = running.plan.clone();
        let reason = self.explain(id);
        let shown = self.view.deployment(id).and_then(|shown| shown.reason.clone());
        if shown.as_deref() != Some(&reason) {
            let text: Arc<str> = reason.as_str().into();
            self.show_deployment(id, |shown| shown.reason = Some(text));
        }
        if shown.is_none() {
            self.event(EventKind::DeploymentStalled { plan, reason });
        }
        self.timers.set(self.now.mono + AGAIN, Timer::Stalled(id.clone()));
    }

    /// What the open actions of a deployment wait for.
    pub(super) fn explain(&self, id: &str) -> String {
        let Some(running) = self.running(id) else { return String::new() };
        let step = running.plan.steps.get(running.step);
        let actions = step.map(|step| step.actions.as_slice()).unwrap_or_default();
        let mut open = actions.iter().filter(|action| running.open.contains(&action.app.id));
        let mut texts: Vec<String> =
            open.by_ref().take(MAX_APPS).map(|action| self.explain_action(action)).collect();
        let more = open.count();
        if more > 0 {
            texts.push(format!("and {more} more apps"));
        }
        texts.join("; ")
    }

    fn explain_action(&self, action: &Action) -> String {
        let app = &action.app.id;
        let Some(data) = self.apps.get(app) else { return format!("{app}: not begun") };
        let count = |class: Class| data.index.total(&[class]);
        let mut parts = Vec::new();
        let mut part = |class: Class, text: &str| {
            if count(class) > 0 {
                parts.push(format!("{} {text}", count(class)));
            }
        };
        part(Class::Waiting, "not launched");
        part(Class::Staged, "starting");
        part(Class::Unhealthy, "unhealthy");
        part(Class::Unknown, "without a result of a health check");
        part(Class::NotReady, "not ready by the readiness check");
        part(Class::Unreachable, "unreachable");
        part(Class::Killing, "being restarted");
        part(Class::Going, "not ended");
        if parts.is_empty() {
            let ready = count(Class::Ready);
            let of = if action.kind == ActionKind::Stop { 0 } else { action.app.instances };
            parts.push(format!("{ready} of {of} ready"));
        }
        let mut text = format!("{app}: {}", parts.join(", "));
        for reason in self.details(app) {
            text.push_str(" (");
            text.push_str(&reason);
            text.push(')');
        }
        text
    }

    /// What is known of the app beyond numbers.
    fn details(&self, app: &PathId) -> Vec<String> {
        let mut details = Vec::new();
        let Some(state) = self.view.apps.get(app) else { return details };
        if let Some(queue) = &state.queue {
            details.extend(queue.reasons.iter().take(2).cloned());
        }
        let sick = self.apps.get(app).and_then(|data| {
            let id = data.index.of_class(Class::Unhealthy).next()?;
            let health = &state.instances.get(id)?.health;
            health.iter().find_map(|check| check.last_failure_cause.clone())
        });
        details.extend(sick);
        if let Some(failure) = &state.last_failure {
            let message: String = failure.message.chars().take(200).collect();
            details.push(format!("last failure: {} {message}", failure.state));
        }
        details
    }
}
