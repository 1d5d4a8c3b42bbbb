//! Blue and green: apps of one deployment group, merged into one as the original does it. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::{AppFact, TaskFact, moment};

const STARTED_AT: &str = "HAPROXY_DEPLOYMENT_STARTED_AT";
const TARGET: &str = "HAPROXY_DEPLOYMENT_TARGET_INSTANCES";
const NEW: &str = "HAPROXY_DEPLOYMENT_NEW_INSTANCES";

/// An app, or several that are deployed as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merged {
    pub(crate) app: AppFact,
    /// Ids of tasks that get no new requests because others have come for them.
    pub(crate) draining: BTreeSet<Arc<str>>,
}

/// The id of the deployment group of an app, if it is in one.
pub(crate) fn group_of(app: &AppFact) -> Option<Arc<str>> {
    let group = app.labels.get("HAPROXY_DEPLOYMENT_GROUP").filter(|group| !group.is_empty())?;
    Some(if group.starts_with('/') { Arc::clone(group) } else { format!("/{group}").into() })
}

/// Merges the apps of one group, in the order of their ids: the older one's settings count.
/// `running` says which tasks are there for requests.
pub(crate) fn merge(
    group: &Arc<str>,
    apps: impl IntoIterator<Item = AppFact>,
    is_healthy: impl Fn(&TaskFact) -> bool,
) -> Option<Merged> {
    let mut apps = apps.into_iter();
    let mut merged = Merged { app: apps.next()?, draining: BTreeSet::new() };
    merged.app.id = Arc::clone(group);
    for mut app in apps {
        app.id = Arc::clone(group);
        merged = with(merged, app, &is_healthy);
    }
    Some(merged)
}

fn with(before: Merged, app: AppFact, is_healthy: impl Fn(&TaskFact) -> bool) -> Merged {
    let checked = !app.health_checks.is_empty();
    let Merged { app: previous, mut draining } = before;
    let date = |app: &AppFact| app.labels.get(STARTED_AT).and_then(|text| moment(text));
    // Whoever has no date was not deployed so, and is older than whoever has one.
    let (mut old, mut new) = match date(&previous) < date(&app) {
        true => (previous, app),
        false => (app, previous),
    };
    let mut target = 1;
    if new.labels.contains_key(NEW) {
        if old.last_scaling_at > new.last_scaling_at {
            std::mem::swap(&mut old, &mut new);
        }
        let wanted = new.labels.get(TARGET).and_then(|text| text.trim().parse().ok());
        target = wanted.unwrap_or(new.instances);
    }
    let healthy = match checked {
        true => new.tasks.iter().filter(|task| is_healthy(task)).count(),
        false => new.instances as usize,
    };
    let drainable = (healthy + old.instances as usize).saturating_sub(target as usize);
    let count = healthy.min(drainable);
    old.tasks.sort_by(|one, other| one.id.cmp(&other.id));
    draining.extend(old.tasks.iter().take(count).map(|task| Arc::clone(&task.id)));
    old.tasks.append(&mut new.tasks);
    Merged { app: old, draining }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::facts::{HealthCheck, State};

    fn app(id: &str, started: &str, tasks: usize, labels: &[(&str, &str)]) -> AppFact {
        let task = |number: usize| TaskFact {
            id: format!("{id}.{number}").into(),
            host: "h".into(),
            ports: vec![1],
            ip: None,
            state: State::Running,
            alive: None,
        };
        let mut labels: crate::labels::Labels =
            labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        labels.insert("HAPROXY_DEPLOYMENT_GROUP".into(), "g".into());
        if !started.is_empty() {
            labels.insert(STARTED_AT.into(), started.into());
        }
        AppFact {
            id: id.into(),
            labels,
            instances: tasks as u32,
            tasks: (0..tasks).map(task).collect(),
            ..AppFact::default()
        }
    }

    fn merged(apps: Vec<AppFact>) -> (Vec<String>, Vec<String>) {
        let merged = merge(&"/g".into(), apps, |task| task.alive == Some(true)).unwrap();
        assert_eq!(&*merged.app.id, "/g");
        let tasks = merged.app.tasks.iter().map(|task| task.id.to_string()).collect();
        (tasks, merged.draining.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn as_many_old_ones_drain_as_new_ones_have_come() {
        let labels = [(TARGET, "3"), (NEW, "0")];
        let blue = app("/blue", "2026-01-01T00:00:00", 3, &labels);
        let green = |tasks| app("/green", "2026-01-02T00:00:00", tasks, &labels);
        for (new, expected) in [(0, vec![]), (1, vec!["/blue.0"]), (2, vec!["/blue.0", "/blue.1"])]
        {
            let (tasks, draining) = merged(vec![blue.clone(), green(new)]);
            assert_eq!(draining, expected);
            assert_eq!(tasks.len(), 3 + new);
            // The order in which Marathon lists them makes no difference.
            assert_eq!(merged(vec![green(new), blue.clone()]).1, expected);
        }
        // Not below what is wanted in the end.
        let few = app("/blue", "2026-01-01T00:00:00", 1, &labels);
        assert_eq!(merged(vec![few, green(2)]).1, Vec::<String>::new());
    }

    #[test]
    fn only_healthy_new_ones_count() {
        let labels = [(TARGET, "2"), (NEW, "0")];
        let check = HealthCheck {
            protocol: "HTTP".into(),
            path: None,
            port: None,
            port_index: Some(0),
            grace_seconds: 1,
            interval_seconds: 1,
            timeout_seconds: 1,
            failures: 1,
        };
        let mut blue = app("/blue", "2026-01-01T00:00:00", 2, &labels);
        let mut green = app("/green", "2026-01-02T00:00:00", 2, &labels);
        blue.health_checks.push(check.clone());
        green.health_checks.push(check);
        assert_eq!(merged(vec![blue.clone(), green.clone()]).1, Vec::<String>::new());
        green.tasks[1].alive = Some(true);
        assert_eq!(merged(vec![blue, green]).1, ["/blue.0"]);
    }

    #[test]
    fn without_a_number_wanted_one_must_remain() {
        let blue = app("/blue", "", 2, &[]);
        let green = app("/green", "2026-01-02T00:00:00", 2, &[]);
        assert_eq!(merged(vec![blue.clone(), green]).1, ["/blue.0", "/blue.1"]);
        // Neither has a date: the one met first counts as the new one.
        let other = app("/other", "", 1, &[]);
        assert_eq!(merged(vec![blue, other]).1, ["/other.0"]);
    }

    #[test]
    fn whoever_was_scaled_last_is_the_new_one() {
        let labels = [(TARGET, "2"), (NEW, "1")];
        let mut blue = app("/blue", "2026-01-01T00:00:00", 2, &labels);
        let green = app("/green", "2026-01-02T00:00:00", 1, &labels);
        blue.last_scaling_at = 5;
        // Rolled back: blue takes over from green.
        assert_eq!(merged(vec![blue, green]).1, ["/green.0"]);
    }

    #[test]
    fn groups_have_paths() {
        let mut one = app("/a", "", 0, &[]);
        assert_eq!(group_of(&one).as_deref(), Some("/g"));
        one.labels.insert("HAPROXY_DEPLOYMENT_GROUP".into(), "/x/y".into());
        assert_eq!(group_of(&one).as_deref(), Some("/x/y"));
        one.labels.clear();
        assert_eq!(group_of(&one), None);
    }
}
