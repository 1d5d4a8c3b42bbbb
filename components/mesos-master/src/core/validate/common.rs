//! Checks shared by tasks, executors and frameworks.
use mesos_messages::{v1, validate::ids};
use v1::{check_info, container_info, environment::variable, health_check, secret, volume::source};

use super::{Check, Invalid, invalid, within};

/// The rules for ids of tasks, executors, agents, frameworks and volumes.
pub(super) fn id(id: &str) -> Check {
    ids::validate_id(id).map_err(|error| Invalid(error.to_string()))
}

/// The rules for names of roles.
pub(super) fn role(role: &str) -> Check {
    ids::validate_role(role).map_err(|error| Invalid(error.to_string()))
}

pub(super) fn command(command: &v1::CommandInfo) -> Check {
    let variables = command.environment.iter().flat_map(|environment| &environment.variables);
    variables.into_iter().try_for_each(variable)
}

fn variable(variable: &v1::environment::Variable) -> Check {
    let name = &variable.name;
    match variable.r#type.map_or(Ok(variable::Type::Value), variable::Type::try_from) {
        Ok(variable::Type::Secret) => secret_variable(variable),
        Ok(variable::Type::Value) if variable.value.is_none() => {
            invalid(format!("Environment variable '{name}' of type 'VALUE' must have a value set"))
        }
        Ok(variable::Type::Value) if variable.secret.is_some() => invalid(format!(
            "Environment variable '{name}' of type 'VALUE' must not have a secret set"
        )),
        Ok(variable::Type::Value) => Ok(()),
        Ok(variable::Type::Unknown) | Err(_) => {
            invalid("Environment variable of type 'UNKNOWN' is not allowed")
        }
    }
}

fn secret_variable(variable: &v1::environment::Variable) -> Check {
    let name = &variable.name;
    let Some(secret) = &variable.secret else {
        return invalid(format!(
            "Environment variable '{name}' of type 'SECRET' must have a secret set"
        ));
    };
    if variable.value.is_some() {
        return invalid(format!(
            "Environment variable '{name}' of type 'SECRET' must not have a value set"
        ));
    }
    let what = format!("Environment variable '{name}' specifies an invalid secret");
    within(self::secret(secret), &what)?;
    if secret.value.as_ref().is_some_and(|value| value.data.contains(&0)) {
        return invalid(format!(
            "Environment variable '{name}' specifies a secret containing null bytes, which is \
             not allowed in the environment"
        ));
    }
    Ok(())
}

fn secret(secret: &v1::Secret) -> Check {
    match secret.r#type() {
        secret::Type::Reference => match (&secret.reference, &secret.value) {
            (None, _) => invalid("Secret of type REFERENCE must have the 'reference' field set"),
            (Some(reference), Some(_)) => invalid(format!(
                "Secret '{}' of type REFERENCE must not have the 'value' field set",
                reference.name
            )),
            _ => Ok(()),
        },
        secret::Type::Value if secret.value.is_none() => {
            invalid("Secret of type VALUE must have the 'value' field set")
        }
        secret::Type::Value if secret.reference.is_some() => {
            invalid("Secret of type VALUE must not have the 'reference' field set")
        }
        secret::Type::Value | secret::Type::Unknown => Ok(()),
    }
}

pub(super) fn container(container: &v1::ContainerInfo) -> Check {
    for volume in &container.volumes {
        within(self::volume(volume), "Invalid volume")?;
    }
    if container.r#type() != container_info::Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return invalid("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo");
    };
    if docker.parameters.iter().any(|parameter| parameter.key == "name") {
        return invalid("Parameter in DockerInfo must not be 'name'");
    }
    Ok(())
}

fn volume(volume: &v1::Volume) -> Check {
    let set = [volume.host_path.is_some(), volume.image.is_some(), volume.source.is_some()];
    if set.into_iter().filter(|set| *set).count() != 1 {
        return invalid("Only one of them should be set: 'host_path', 'image' and 'source'");
    }
    let Some(source) = &volume.source else { return Ok(()) };
    let (present, text) = match source.r#type() {
        source::Type::DockerVolume => (
            source.docker_volume.is_some(),
            "'source.docker_volume' is not set for DOCKER_VOLUME volume",
        ),
        source::Type::HostPath => {
            (source.host_path.is_some(), "'source.host_path' is not set for HOST_PATH volume")
        }
        source::Type::SandboxPath => (
            source.sandbox_path.is_some(),
            "'source.sandbox_path' is not set for SANDBOX_PATH volume",
        ),
        source::Type::Secret => {
            (source.secret.is_some(), "'source.secret' is not set for SECRET volume")
        }
        source::Type::CsiVolume => match &source.csi_volume {
            None => (false, "'source.csi_volume' is not set for CSI volume"),
            Some(csi) => (
                csi.static_provisioning.is_some(),
                "'source.csi_volume.static_provisioning' is not set for CSI volume",
            ),
        },
        source::Type::Unknown => (false, "'source.type' is unknown"),
    };
    if present { Ok(()) } else { invalid(text) }
}

pub(super) fn health_check(check: &v1::HealthCheck) -> Check {
    let Some(kind) = check.r#type else { return invalid("HealthCheck must specify 'type'") };
    match health_check::Type::try_from(kind).unwrap_or(health_check::Type::Unknown) {
        health_check::Type::Command => match &check.command {
            None => return invalid("Expecting 'command' to be set for COMMAND health check"),
            Some(command) => checked_command(command, "Command health", "Health check's")?,
        },
        health_check::Type::Http => match &check.http {
            None => return invalid("Expecting 'http' to be set for HTTP health check"),
            Some(http) => http_health_check(http)?,
        },
        health_check::Type::Tcp if check.tcp.is_none() => {
            return invalid("Expecting 'tcp' to be set for TCP health check");
        }
        health_check::Type::Tcp => {}
        health_check::Type::Unknown => {
            return invalid("'UNKNOWN' is not a valid health check type");
        }
    }
    not_negative(check.delay_seconds, "delay_seconds")?;
    not_negative(check.grace_period_seconds, "grace_period_seconds")?;
    not_negative(check.interval_seconds, "interval_seconds")?;
    not_negative(check.timeout_seconds, "timeout_seconds")
}

fn http_health_check(http: &v1::health_check::HttpCheckInfo) -> Check {
    if let Some(scheme) = http.scheme.as_deref().filter(|s| !matches!(*s, "http" | "https")) {
        return invalid(format!("Unsupported HTTP health check scheme: '{scheme}'"));
    }
    absolute(http.path.as_deref(), "HTTP health check")
}

pub(super) fn check(check: &v1::CheckInfo) -> Check {
    let Some(kind) = check.r#type else { return invalid("CheckInfo must specify 'type'") };
    match check_info::Type::try_from(kind).unwrap_or(check_info::Type::Unknown) {
        check_info::Type::Command => match &check.command {
            None => return invalid("Expecting 'command' to be set for COMMAND check"),
            Some(command) => checked_command(&command.command, "Command", "Check's")?,
        },
        check_info::Type::Http => match &check.http {
            None => return invalid("Expecting 'http' to be set for HTTP check"),
            Some(http) => absolute(http.path.as_deref(), "HTTP check")?,
        },
        check_info::Type::Tcp if check.tcp.is_none() => {
            return invalid("Expecting 'tcp' to be set for TCP check");
        }
        check_info::Type::Tcp => {}
        check_info::Type::Unknown => return invalid("'UNKNOWN' is not a valid check type"),
    }
    not_negative(check.delay_seconds, "delay_seconds")?;
    not_negative(check.interval_seconds, "interval_seconds")?;
    not_negative(check.timeout_seconds, "timeout_seconds")
}

fn checked_command(command: &v1::CommandInfo, what: &str, whose: &str) -> Check {
    if command.value.is_none() {
        let kind = if command.shell() { "'shell command'" } else { "'executable path'" };
        return invalid(format!("{what} check must contain {kind}"));
    }
    within(self::command(command), &format!("{whose} `CommandInfo` is invalid"))
}

fn absolute(path: Option<&str>, what: &str) -> Check {
    match path.filter(|path| !path.starts_with('/')) {
        Some(path) => invalid(format!("The path '{path}' of {what} must start with '/'")),
        None => Ok(()),
    }
}

fn not_negative(seconds: Option<f64>, field: &str) -> Check {
    match seconds.filter(|seconds| *seconds < 0.0) {
        Some(_) => invalid(format!("Expecting '{field}' to be non-negative")),
        None => Ok(()),
    }
}

/// `min_allocatable_resources` of a role.
pub(super) fn offer_filters(filters: &v1::OfferFilters) -> Check {
    let Some(minimum) = &filters.min_allocatable_resources else { return Ok(()) };
    for quantities in &minimum.quantities {
        if quantities.quantities.is_empty() {
            return invalid("Resource quantities must contain at least one quantity");
        }
        for (name, scalar) in &quantities.quantities {
            let what = format!("Invalid resource quantity for '{name}'");
            within(input_scalar(scalar.value), &what)?;
        }
    }
    Ok(())
}

fn input_scalar(value: f64) -> Check {
    match value.classify() {
        std::num::FpCategory::Infinite => invalid("Infinite values not supported"),
        std::num::FpCategory::Nan => invalid("NaN not supported"),
        std::num::FpCategory::Subnormal => invalid("Subnormal values not supported"),
        std::num::FpCategory::Normal if value < 0.0 => invalid("Negative values not supported"),
        std::num::FpCategory::Normal | std::num::FpCategory::Zero => Ok(()),
    }
}
