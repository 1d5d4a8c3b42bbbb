//! Rules for resources, capacities, strategies.

use super::{Report, features, scala};
use crate::{
    App, Settings,
    app::{ContainerKind, Limit, UnreachableStrategy, VolumeSource},
};

pub(super) fn check(app: &App, settings: &Settings, report: &mut Report) {
    limits(app, report);
    gpus(app, settings, report);
    capacities(app, report);
    unreachable(app, report);
}

fn limits(app: &App, report: &mut Report) {
    let Some(limits) = &app.resource_limits else { return };
    for (name, limit, request) in [("cpus", limits.cpus, app.cpus), ("mem", limits.mem, app.mem)] {
        if matches!(limit, Some(Limit::Value(limit)) if limit < request) {
            let text = format!(
                "resource limit must be greater than or equal to requested resource ({})",
                scala(request)
            );
            report.add(format!("/resourceLimits/{name}"), text);
        }
    }
}

fn gpus(app: &App, settings: &Settings, report: &mut Report) {
    if app.gpus == 0 {
        return;
    }
    let docker = app.container.as_ref().is_some_and(|ct| ct.kind == ContainerKind::Docker);
    report.expect(!docker, "GPU resources only work with the Mesos containerizer");
    report.feature(settings, features::GPU_RESOURCES, "/");
}

fn capacities(app: &App, report: &mut Report) {
    let single = app.is_single_instance();
    report.expect(!single || app.instances <= 1, "Single instance app may only have one instance");
    let external = app.volumes().any(|volume| matches!(volume.source, VolumeSource::External(_)));
    let strategy = app.upgrade_strategy;
    let mut must_be_zero = |name: &str, value: f64| {
        if value != 0.0 {
            let text = format!("got {}, expected 0.0", scala(value));
            report.add(format!("/upgradeStrategy/{name}"), text);
        }
    };
    if single {
        must_be_zero("minimumHealthCapacity", strategy.minimum_health_capacity);
    }
    if single || external || app.is_resident() {
        must_be_zero("maximumOverCapacity", strategy.maximum_over_capacity);
    }
}

fn unreachable(app: &App, report: &mut Report) {
    let UnreachableStrategy::After { inactive_seconds, expunge_seconds } = app.unreachable_strategy
    else {
        return;
    };
    report.expect(!app.is_resident(), "unreachableStrategy must be disabled for resident tasks");
    if inactive_seconds > expunge_seconds {
        let text = format!(
            "inactiveAfterSeconds ({inactive_seconds}) must be less or equal to \
             expungeAfterSeconds, which is {expunge_seconds}"
        );
        report.add("/unreachableStrategy/inactiveAfterSeconds", text);
    }
}
