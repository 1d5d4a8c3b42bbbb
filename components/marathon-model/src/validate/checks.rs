//! Rules for health checks, checks and readiness checks.

use super::{IPV6_ONLY, Report};
use crate::{
    App,
    app::{CheckProbe, ContainerKind, HealthProbe, PortRef},
};
use std::collections::BTreeSet;

pub(super) fn check(app: &App, report: &mut Report) {
    let docker = app.container.as_ref().is_some_and(|ct| ct.kind == ContainerKind::Docker);
    health_checks(app, docker, report);
    if let Some(check) = &app.check {
        report.expect(!docker, "AppDefinition must not use 'checks' if using docker");
        let port = match &check.probe {
            CheckProbe::Exec(_) => None,
            CheckProbe::Http { port, .. } | CheckProbe::Tcp { port } => Some(*port),
        };
        if port.is_some_and(|port| !exists(app, port)) {
            let text = "check port index must address an element of the ports array or container \
                        port mappings.";
            report.add("/check", text);
        }
    }
    readiness_checks(app, report);
}

fn exists(app: &App, port: PortRef) -> bool {
    match port {
        PortRef::Number(_) => true,
        PortRef::Index(index) => usize::try_from(index).is_ok_and(|index| index < app.port_count()),
    }
}

fn health_checks(app: &App, docker: bool, report: &mut Report) {
    for (index, check) in app.health_checks.iter().enumerate() {
        let path = format!("/healthChecks({index})");
        let by_marathon = !check.probe.by_executor();
        if by_marathon && check.probe.port().is_some_and(|port| !exists(app, port)) {
            let text = "Health check port indices must address an element of the ports array or \
                        container port mappings.";
            report.add(path.as_str(), text);
        }
        let ipv6 = match &check.probe {
            HealthProbe::MesosHttp { ipv6, .. } | HealthProbe::MesosTcp { ipv6, .. } => *ipv6,
            _ => false,
        };
        if ipv6 && !docker {
            report.add(path.as_str(), IPV6_ONLY);
        }
    }
    // More than one command was once allowed; more than one cannot be run.
    let by_executor = app.health_checks.iter().filter(|check| check.probe.by_executor());
    let commands =
        app.health_checks.iter().filter(|check| matches!(check.probe, HealthProbe::Command(_)));
    report.expect(
        by_executor.count().saturating_sub(commands.count()) <= 1,
        "AppDefinition can contain at most one Mesos health check",
    );
}

fn readiness_checks(app: &App, report: &mut Report) {
    let checks = &app.readiness_checks;
    if checks.len() > 1 {
        let text = format!("got {}, expected 1 or less", checks.len());
        report.add("/readinessChecks/size", text);
    }
    let names: BTreeSet<&str> = app.port_names().collect();
    for (index, check) in checks.iter().enumerate() {
        let path = format!("/readinessChecks({index})");
        if !names.contains(check.port_name.as_str()) {
            let text = format!("No port definition reference for portName {}", check.port_name);
            report.add(format!("{path}/portName"), text);
        }
        let (timeout, interval) = (check.timeout_seconds, check.interval_seconds);
        if timeout >= interval {
            let text = format!("got {timeout}, expected less than {interval}");
            report.add(format!("{path}/timeoutSeconds"), text);
        }
    }
}
