//! Whether an app could run at all, given every agent that is known: warnings of a dry run.

use super::{LaunchSettings, Placed, Placement, constraint, fit, ports};
use marathon_model::{App, app::Operator};
use mesos_messages::resources::{Resources, Scalar};
use std::collections::BTreeSet;

/// What is known about an agent: all it has, used or not.
#[derive(Clone, Debug)]
pub struct KnownAgent {
    pub placement: std::sync::Arc<Placement>,
    pub total: Resources,
}

/// Why instances of the app could never all run on these agents; nothing if they could. Without
/// any known agent there is nothing to say.
pub fn could_ever_fit(app: &App, settings: &LaunchSettings, agents: &[KnownAgent]) -> Vec<String> {
    let mut warnings = Vec::new();
    if agents.is_empty() || app.instances == 0 {
        return warnings;
    }
    let placed = Placed::new(app);
    let roles = fit::accepted_roles(app, settings);
    let mut usable = Vec::new();
    for agent in agents {
        let accepted = agent.total.filter(|item| {
            item.disk().is_none() && roles.contains(item.reservation_role().unwrap_or("*"))
        });
        if !accepted.is_empty() {
            usable.push((agent, accepted));
        }
    }
    if usable.is_empty() {
        let roles: Vec<&str> = roles.into_iter().collect();
        warnings.push(format!("no agent has resources of role {}", roles.join(" or ")));
        return warnings;
    }
    amounts(app, settings, &usable, &mut warnings);
    port_warnings(app, &usable, &mut warnings);
    places(app, &usable, &placed, &mut warnings);
    warnings
}

type Usable<'a> = [(&'a KnownAgent, Resources)];

fn amounts(app: &App, settings: &LaunchSettings, usable: &Usable<'_>, warnings: &mut Vec<String>) {
    for (name, _, need) in fit::needed(app, settings) {
        let most = usable.iter().filter_map(|(_, accepted)| accepted.scalar(name)).max();
        let most = most.unwrap_or_default();
        if most < need {
            let unit = if matches!(name, "mem" | "disk") { " MiB" } else { "" };
            warnings
                .push(format!("no agent has {need}{unit} {name}; the largest has {most}{unit}"));
        }
    }
    let enough = |accepted: &Resources| {
        fit::needed(app, settings)
            .iter()
            .all(|(name, _, need)| *need <= accepted.scalar(name).unwrap_or(Scalar::ZERO))
    };
    if warnings.is_empty() && !usable.iter().any(|(_, accepted)| enough(accepted)) {
        warnings.push("no single agent has all of the resources".to_owned());
    }
}

fn port_warnings(app: &App, usable: &Usable<'_>, warnings: &mut Vec<String>) {
    let (count, fixed) = ports::needs(app);
    let offered = |accepted: &Resources| accepted.ports().unwrap_or_default();
    for port in fixed {
        let has = |accepted: &Resources| offered(accepted).contains_number(port.into());
        let having = usable.iter().filter(|(_, accepted)| has(accepted)).count();
        if having == 0 {
            warnings.push(format!("no agent offers host port {port}"));
        } else if u32::try_from(having).is_ok_and(|having| having < app.instances) {
            let wanted = app.instances;
            warnings.push(format!(
                "host port {port} is offered by {having} agents, {wanted} instances want it"
            ));
        }
    }
    if count > 0 && !usable.iter().any(|(_, accepted)| offered(accepted).count() >= count.into()) {
        warnings.push(format!("no agent offers {count} host ports"));
    }
}

fn places(app: &App, usable: &Usable<'_>, placed: &Placed, warnings: &mut Vec<String>) {
    let possible: Vec<&Placement> = usable
        .iter()
        .map(|(agent, _)| &*agent.placement)
        .filter(|at| constraint::possible(app, at, placed).is_ok())
        .collect();
    if possible.is_empty() && !app.constraints.is_empty() {
        for one in &app.constraints {
            let mut alone = app.clone();
            alone.constraints = vec![one.clone()];
            let index = Placed::new(&alone);
            let matches = |at: &Placement| constraint::possible(&alone, at, &index).is_ok();
            if !usable.iter().any(|(agent, _)| matches(&agent.placement)) {
                warnings
                    .push(format!("constraint {} matches no known agent", constraint::text(one)));
            }
        }
        if warnings.is_empty() {
            warnings.push("no known agent matches all constraints".to_owned());
        }
        return;
    }
    for one in &app.constraints {
        let per_value: u64 = match one.operator {
            Operator::Unique => 1,
            Operator::MaxPer => {
                one.value.as_deref().and_then(|value| value.parse().ok()).unwrap_or(0)
            }
            _ => continue,
        };
        let values: BTreeSet<&str> =
            possible.iter().filter_map(|at| at.field(&one.field)).collect();
        let room = per_value.saturating_mul(u64::try_from(values.len()).unwrap_or(u64::MAX));
        if room < u64::from(app.instances) {
            let (text, wanted) = (constraint::text(one), app.instances);
            warnings.push(format!("constraint {text} has room for {room} of {wanted} instances"));
        }
    }
}
