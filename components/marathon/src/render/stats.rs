//! `tasksStats`: how many instances are how, and how old, by what their version is.

use http_kit::json::{self, Object};
use marathon_core::{Condition, Instance};
use marathon_model::{App, Timestamp};

/// What counts of one instance.
struct Counted {
    version: Timestamp,
    staged: bool,
    running: bool,
    healthy: bool,
    unhealthy: bool,
    /// Seconds since its start.
    age: Option<f64>,
}

/// Appends the statistics of an app's instances.
pub(crate) fn write<'a>(
    out: &mut Vec<u8>,
    app: &App,
    instances: impl Iterator<Item = &'a Instance>,
    now: Timestamp,
) {
    let launched = instances.filter(|instance| instance.launched());
    let counted: Vec<Counted> = launched.map(|instance| Counted::of(instance, now)).collect();
    let info = app.version_info;
    let mut stats = Object::new(out);
    let mut part = |name: &str, wanted: &dyn Fn(&Counted) -> bool| {
        let those: Vec<&Counted> = counted.iter().filter(|counted| wanted(counted)).collect();
        if !those.is_empty() {
            write_part(stats.key(name), &those);
        }
    };
    part("startedAfterLastScaling", &|counted| counted.version >= info.last_scaling_at);
    part("withLatestConfig", &|counted| counted.version >= info.last_config_change_at);
    part("withOutdatedConfig", &|counted| counted.version < info.last_config_change_at);
    part("totalSummary", &|_| true);
    stats.end();
}

impl Counted {
    fn of(instance: &Instance, now: Timestamp) -> Self {
        let age = instance.started_at.map(|at| now.0.saturating_sub(at.0));
        Self {
            version: instance.spec.version,
            staged: matches!(instance.condition, Condition::Provisioned | Condition::Staging),
            running: instance.condition == Condition::Running,
            healthy: instance.healthy == Some(true),
            unhealthy: instance.healthy == Some(false),
            // Milliseconds since 1970 are exact in a double.
            age: age.map(|millis| millis as f64 / 1000.0),
        }
    }
}

fn write_part(out: &mut Vec<u8>, counted: &[&Counted]) {
    let mut part = Object::new(out);
    let mut stats = Object::new(part.key("stats"));
    let count = |wanted: fn(&Counted) -> bool| {
        i64::try_from(counted.iter().filter(|counted| wanted(counted)).count()).unwrap_or(i64::MAX)
    };
    let mut counts = Object::new(stats.key("counts"));
    counts.integer("staged", count(|counted| counted.staged));
    counts.integer("running", count(|counted| counted.running));
    counts.integer("healthy", count(|counted| counted.healthy));
    counts.integer("unhealthy", count(|counted| counted.unhealthy));
    counts.end();
    let mut ages: Vec<f64> = counted.iter().filter_map(|counted| counted.age).collect();
    ages.sort_unstable_by(f64::total_cmp);
    if let Some(median) = ages.get(ages.len() / 2) {
        let mut life = Object::new(stats.key("lifeTime"));
        json::double(life.key("averageSeconds"), ages.iter().sum::<f64>() / ages.len() as f64);
        json::double(life.key("medianSeconds"), *median);
        life.end();
    }
    stats.end();
    part.end();
}
