//! The checks that the executor makes.

use crate::health::PortAssignment;
use marathon_model::app::{
    App, Check, CheckCommand, CheckProbe, HealthCheck, HealthProbe, PortRef,
};
use mesos_messages::v1::{self, check_info, health_check, network_info::Protocol};

/// The first of the app's health checks that is not the orchestrator's own: a task has only one.
pub(super) fn health(app: &App, ports: &[PortAssignment<'_>]) -> Option<v1::HealthCheck> {
    app.health_checks.iter().find_map(|check| health_check(check, ports))
}

fn health_check(check: &HealthCheck, ports: &[PortAssignment<'_>]) -> Option<v1::HealthCheck> {
    let mut info = v1::HealthCheck {
        delay_seconds: Some(check.delay_seconds as f64),
        interval_seconds: Some(check.interval_seconds as f64),
        timeout_seconds: Some(check.timeout_seconds as f64),
        consecutive_failures: Some(check.max_consecutive_failures),
        grace_period_seconds: Some(check.grace_period_seconds as f64),
        ..v1::HealthCheck::default()
    };
    match &check.probe {
        HealthProbe::Http { .. } | HealthProbe::Tcp { .. } => return None,
        HealthProbe::Command(command) => {
            info.set_type(health_check::Type::Command);
            info.command = Some(shell(command));
        }
        HealthProbe::MesosHttp { https, path, port, ipv6 } => {
            info.set_type(health_check::Type::Http);
            info.http = Some(health_check::HttpCheckInfo {
                protocol: Some(protocol(*ipv6)),
                scheme: Some(if *https { "https" } else { "http" }.to_owned()),
                port: resolve(*port, ports)?,
                path: path.clone(),
                ..health_check::HttpCheckInfo::default()
            });
        }
        HealthProbe::MesosTcp { port, ipv6 } => {
            info.set_type(health_check::Type::Tcp);
            let (protocol, port) = (Some(protocol(*ipv6)), resolve(*port, ports)?);
            info.tcp = Some(health_check::TcpCheckInfo { protocol, port });
        }
    }
    Some(info)
}

/// The app's informational check.
pub(super) fn check(app: &App, ports: &[PortAssignment<'_>]) -> Option<v1::CheckInfo> {
    check_info(app.check.as_ref()?, ports)
}

fn check_info(check: &Check, ports: &[PortAssignment<'_>]) -> Option<v1::CheckInfo> {
    let mut info = v1::CheckInfo {
        delay_seconds: Some(check.delay_seconds as f64),
        interval_seconds: Some(check.interval_seconds as f64),
        timeout_seconds: Some(check.timeout_seconds as f64),
        ..v1::CheckInfo::default()
    };
    match &check.probe {
        CheckProbe::Exec(command) => {
            info.set_type(check_info::Type::Command);
            info.command = Some(check_info::Command { command: command_of(command) });
        }
        CheckProbe::Http { path, port, .. } => {
            info.set_type(check_info::Type::Http);
            let port = resolve(*port, ports)?;
            info.http = Some(check_info::Http { port, path: path.clone() });
        }
        CheckProbe::Tcp { port } => {
            info.set_type(check_info::Type::Tcp);
            info.tcp = Some(check_info::Tcp { port: resolve(*port, ports)? });
        }
    }
    Some(info)
}

/// The executor enters the container's network: its port comes before the published one.
fn resolve(port: PortRef, ports: &[PortAssignment<'_>]) -> Option<u32> {
    match port {
        PortRef::Number(port) => Some(port.into()),
        PortRef::Index(index) => {
            let found = ports.get(usize::try_from(index).ok()?)?;
            found.container_port.or(found.host_port).map(u32::from)
        }
    }
}

fn shell(command: &str) -> v1::CommandInfo {
    v1::CommandInfo {
        shell: Some(true),
        value: Some(command.to_owned()),
        ..v1::CommandInfo::default()
    }
}

fn command_of(command: &CheckCommand) -> v1::CommandInfo {
    match command {
        CheckCommand::Shell(text) => shell(text),
        CheckCommand::Argv(argv) => v1::CommandInfo {
            shell: Some(false),
            value: argv.first().cloned(),
            arguments: argv.clone(),
            ..v1::CommandInfo::default()
        },
    }
}

fn protocol(ipv6: bool) -> i32 {
    if ipv6 { Protocol::IPv6.into() } else { Protocol::IPv4.into() }
}
