//! What a change would do, told before it is made: the answer of a dry run.
//!
//! A superset of the original's `{"steps"}`. Nothing here decides anything: the numbers come from
//! the plan, and from what the orchestrator knows of instances and agents at this moment.

mod diff;
#[cfg(test)]
mod tests;

pub use diff::FieldChange;

use crate::{
    App, PathId,
    app::is_config_change,
    change::{Applied, Changed},
    plan::Plan,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is so right now.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of apps that the change touches.
    pub apps: BTreeMap<PathId, AppFacts>,
    /// Deployments that work on one of these apps: the change needs `force`.
    pub conflicts: Vec<String>,
}

/// What is so of one app.
#[derive(Clone, Debug, Default)]
pub struct AppFacts {
    /// Instances there are, placed or not, that shall run.
    pub instances: u32,
    pub running: u32,
    pub healthy: u32,
    /// How many more instances of the new app the agents could take now. None: not known.
    pub room: Option<u32>,
    /// Why agents could take none (more).
    pub obstacles: Vec<Obstacle>,
    /// What else is in the way of the new app.
    pub warnings: Vec<String>,
}

/// A reason, and how many agents it holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// As in the launch queue: `InsufficientCpus`, `UnfulfilledConstraint`, ...
    pub reason: String,
    pub agents: u32,
    /// In words: which constraint, how much is missing.
    pub detail: String,
}

/// Instances that come, go, or are there all along as something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moves {
    started: u32,
    replaced: u32,
    killed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Create,
    Update,
    Scale,
    Restart,
    Delete,
}

/// The report on a change that was applied to a copy only.
pub fn report(applied: &Applied, plan: &Plan, facts: &Facts) -> Value {
    let none = AppFacts::default();
    let apps = plan
        .changed
        .iter()
        .filter_map(|(id, changed)| app_report(id, changed, facts.apps.get(id).unwrap_or(&none)));
    let apps: Vec<Value> = apps.collect();
    let groups = applied.groups_changed.iter().map(|(id, changed)| {
        let action = match (&changed.before, &changed.after) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        };
        json!({"id": id, "action": action})
    });
    json!({
        "steps": plan.steps_json(),
        "apps": apps,
        "groups": groups.collect::<Value>(),
        "conflicts": facts.conflicts,
    })
}

/// None for what is neither there before nor after.
fn app_report(id: &PathId, changed: &Changed, facts: &AppFacts) -> Option<Value> {
    let (before, after) = (changed.before.as_deref(), changed.after.as_deref());
    let what = what(before, after)?;
    let wanted = after.map_or(0, |app| app.instances);
    let now = facts.instances;
    let moves = moves(what, now, wanted);
    let mut report = Map::new();
    report.insert("id".to_owned(), json!(id));
    report.insert("action".to_owned(), json!(what.as_str()));
    report.insert(
        "instances".to_owned(),
        json!({
            "before": before.map_or(0, |app| app.instances),
            "after": wanted,
            "running": facts.running,
            "healthy": facts.healthy,
        }),
    );
    report.insert("started".to_owned(), json!(moves.started));
    report.insert("replaced".to_owned(), json!(moves.replaced));
    report.insert("killed".to_owned(), json!(moves.killed));
    if let Some(app) = after.filter(|_| moves.replaced > 0) {
        let (at_least, at_most) = capacity(app);
        report.insert("capacity".to_owned(), json!({"atLeast": at_least, "atMost": at_most}));
    }
    let changes = diff::apps(before, after);
    report.insert("changes".to_owned(), changes.iter().map(FieldChange::json).collect());
    report.insert("unmet".to_owned(), facts.obstacles.iter().map(Obstacle::json).collect());
    report.insert("warnings".to_owned(), json!(warnings(after, moves, facts)));
    Some(Value::Object(report))
}

fn what(before: Option<&App>, after: Option<&App>) -> Option<What> {
    Some(match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => What::Create,
        (Some(_), None) => What::Delete,
        (Some(before), Some(after)) if is_config_change(before, after) => What::Update,
        (Some(before), Some(after)) if before.instances != after.instances => What::Scale,
        _ => What::Restart,
    })
}

fn moves(what: What, now: u32, wanted: u32) -> Moves {
    let (more, fewer) = (wanted.saturating_sub(now), now.saturating_sub(wanted));
    let replaced = match what {
        What::Update | What::Restart => now.min(wanted),
        What::Create | What::Scale | What::Delete => 0,
    };
    Moves { started: more, replaced, killed: fewer }
}

/// How many instances there are at least and at most while they are replaced.
fn capacity(app: &App) -> (u32, u32) {
    let (wanted, strategy) = (f64::from(app.instances), app.upgrade_strategy);
    // Fractions of a number that fits: between 0 and twice that.
    let at_least = (wanted * strategy.minimum_health_capacity).ceil() as u32;
    let at_most = (wanted * (1.0 + strategy.maximum_over_capacity)).floor() as u32;
    if at_least < at_most {
        (at_least, at_most)
    } else if app.is_resident() {
        // There is no room to move: one goes before the next comes.
        (at_least.saturating_sub(1), at_most)
    } else {
        (at_least, at_most.saturating_add(1))
    }
}

fn warnings(after: Option<&App>, moves: Moves, facts: &AppFacts) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(app) = after else { return warnings };
    if moves.replaced > 0 {
        let (at_least, _) = capacity(app);
        if at_least < app.instances {
            warnings.push(format!(
                "only {at_least} of {} instances are sure to be healthy while they are replaced",
                app.instances
            ));
        }
        if app.health_checks.is_empty() && app.readiness_checks.is_empty() {
            warnings.push(
                "there is no health check: a new instance counts as healthy as soon as it runs"
                    .to_owned(),
            );
        }
    }
    warnings.extend(facts.warnings.iter().cloned());
    let needed = moves.started.saturating_add(moves.replaced);
    match facts.room {
        Some(0) if needed > 0 => {
            warnings.push("no agent can take an instance now".to_owned());
        }
        Some(room) if room < moves.started => {
            warnings
                .push(format!("agents have room for only {room} of {} instances", moves.started));
        }
        _ => {}
    }
    warnings
}

// === impl What ===

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Delete => "delete",
        }
    }
}

// === impl Obstacle ===

impl Obstacle {
    fn json(&self) -> Value {
        json!({"reason": self.reason, "agents": self.agents, "detail": self.detail})
    }
}
