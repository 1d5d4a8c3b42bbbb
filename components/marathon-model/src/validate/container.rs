//! Rules for containers, volumes, networks and ports.

use super::{NO_SECRET_STORE, Report, features, has_duplicates};
use crate::{
    App, Settings,
    app::{
        Container, ContainerKind, DiskKind, LinuxInfo, NetworkMode, PersistentVolume, Volume,
        VolumeMode, VolumeSource,
    },
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) fn check(app: &App, settings: &Settings, report: &mut Report) {
    networks(app, report);
    port_definitions(app, report);
    let Some(container) = &app.container else { return };
    port_mappings(app, container, report);
    docker(app, container, settings, report);
    volumes(app, container, settings, report);
    if let Some(info) = &container.linux_info {
        linux_info(info, report);
    }
}

/// Whether there is something to run without a command.
pub(super) fn is_runnable(container: &Container) -> bool {
    container.docker.is_some() || container.kind == ContainerKind::Mesos
}

// === networks and ports ===

fn networks(app: &App, report: &mut Report) {
    let mut add = |fine: bool, text: &str| {
        if !fine {
            report.add("/networks", text);
        }
    };
    let nets = &app.networks;
    let count = |mode| nets.iter().filter(|network| network.mode == mode).count();
    let (host, bridge) = (count(NetworkMode::Host), count(NetworkMode::Bridge));
    let containers = count(NetworkMode::Container);
    let plain_host = nets
        .iter()
        .filter(|network| network.mode == NetworkMode::Host)
        .all(|network| network.name.is_none() && network.labels.is_empty());
    add(plain_host, "Host networks may not have names or labels");
    let bridges = nets.iter().filter(|network| network.mode == NetworkMode::Bridge);
    add(bridges.clone().all(|bridge| bridge.name.is_none()), "Bridge networks may not have names");
    let unnamed = nets
        .iter()
        .filter(|network| network.mode == NetworkMode::Container && network.name.is_none());
    let names = nets.iter().filter_map(|network| network.name.as_deref());
    let unique = unnamed.clone().count() < 2 && !has_duplicates(names);
    add(unique, "Duplicate networks are not allowed");
    let one_kind = match (host, bridge, containers) {
        (_, 0, 0) => host <= 1,
        (0, _, 0) => bridge <= 1,
        (0, 0, _) => true,
        _ => false,
    };
    add(
        one_kind,
        "May specify a single host network, single bridge network, or else 1-to-n container \
         networks",
    );
    add(unnamed.count() == 0, "Network name must be specified when container network is selected.");
    let docker = app.container.as_ref().is_some_and(|ct| ct.kind == ContainerKind::Docker);
    report.expect(
        !docker || containers <= 1,
        "may only specify a single container network when using the Docker container engine",
    );
}

fn port_definitions(app: &App, report: &mut Report) {
    let definitions = &app.port_definitions;
    if has_duplicates(definitions.iter().filter_map(|port| port.name.as_deref())) {
        report.add("/portDefinitions", "Port names must be unique.");
    }
    let mut fixed: Vec<u16> =
        definitions.iter().map(|definition| definition.port).filter(|port| *port != 0).collect();
    fixed.sort_unstable();
    if fixed.windows(2).any(|pair| pair.first() == pair.last()) {
        report.add("/portDefinitions", "Ports must be unique.");
    }
}

fn port_mappings(app: &App, container: &Container, report: &mut Report) {
    let mappings = &container.port_mappings;
    if has_duplicates(mappings.iter().filter_map(|port| port.name.as_deref())) {
        report.add("/container/portMappings", "Port names must be unique.");
    }
    let containers =
        app.networks.iter().filter(|network| network.mode == NetworkMode::Container).count();
    let names: BTreeSet<&str> =
        app.networks.iter().filter_map(|network| network.name.as_deref()).collect();
    for (index, mapping) in mappings.iter().enumerate() {
        let path = format!("/container/portMappings({index})");
        if containers > 1 && mapping.host_port.is_some() && mapping.network_names.len() != 1 {
            report.add(
                path.as_str(),
                "networkNames must be a single item list when hostPort is specified and more \
                 than 1 container network is defined",
            );
        }
        for (at, name) in mapping.network_names.iter().enumerate() {
            if !names.contains(name.as_str()) {
                let names: Vec<&str> = names.iter().copied().take(100).collect();
                let text = format!("is not one of ({})", names.join(","));
                report.add(format!("{path}/networkNames({at})"), text);
            }
        }
    }
}

// === images ===

fn docker(app: &App, container: &Container, settings: &Settings, report: &mut Report) {
    let pull_config = "/container/docker/pullConfig";
    match (&container.docker, container.kind) {
        (None, ContainerKind::Docker) => report.add("/container/docker", "not defined"),
        (None, ContainerKind::Mesos) => {}
        (Some(docker), ContainerKind::Docker) => {
            if docker.pull_config.is_some() {
                let text = "pullConfig is not supported with Docker containerizer";
                report.add(pull_config, text);
            }
        }
        (Some(docker), ContainerKind::Mesos) => {
            let Some(secret) = &docker.pull_config else { return };
            if !settings.feature(features::SECRETS) {
                report.add(pull_config, "must be empty");
                report.feature(settings, features::SECRETS, pull_config);
            }
            report.add(pull_config, NO_SECRET_STORE);
            if !app.secrets.contains_key(secret) {
                report.add(pull_config, "pullConfig.secret must refer to an existing secret");
            }
        }
    }
}

fn linux_info(info: &LinuxInfo, report: &mut Report) {
    if let Some(seccomp) = &info.seccomp {
        let text = match (&seccomp.profile_name, seccomp.unconfined) {
            (Some(_), true) => Some("Seccomp unconfined can NOT be true when Profile is defined"),
            (None, false) => Some("Seccomp unconfined must be true when Profile is NOT defined"),
            _ => None,
        };
        text.into_iter().for_each(|text| report.add("/container/linuxInfo/seccomp", text));
    }
    let shared = info
        .ipc_info
        .as_ref()
        .is_some_and(|ipc| ipc.mode == "SHARE_PARENT" && ipc.shm_size.is_some());
    if shared {
        let text = "ipcInfo shmSize can NOT be set when mode is SHARE_PARENT";
        report.add("/container/linuxInfo/ipcInfo", text);
    }
}

// === volumes ===

fn volumes(app: &App, container: &Container, settings: &Settings, report: &mut Report) {
    let external = |volume: &'_ Volume| matches!(volume.source, VolumeSource::External(_));
    let names = container.volumes.iter().filter_map(external_name);
    if has_duplicates(names) {
        report.add("/container/volumes", "Volume names must be unique");
    }
    for (index, volume) in container.volumes.iter().enumerate() {
        let path = format!("/container/volumes({index})");
        match &volume.source {
            VolumeSource::Host(_) => {}
            VolumeSource::Persistent(disk) => persistent(&path, volume, disk, report),
            VolumeSource::External(info) => {
                external_volume(&path, info, settings, report);
            }
            VolumeSource::Secret(secret) => {
                report.feature(settings, features::SECRETS, &path);
                report.add(path.as_str(), NO_SECRET_STORE);
                if !app.secrets.contains_key(secret) {
                    report.add(path.as_str(), "volume.secret must refer to an existing secret");
                }
            }
        }
    }
    if container.volumes.iter().any(external) && app.instances > 1 {
        let text = format!(
            "Number of instances is limited to 1 when declaring DVDI volumes in app [{}]",
            app.id
        );
        report.add("/", text);
    }
}

fn external_name(volume: &Volume) -> Option<&str> {
    match &volume.source {
        VolumeSource::External(info) => info.get("name").and_then(Value::as_str),
        _ => None,
    }
}

fn persistent(path: &str, volume: &Volume, disk: &PersistentVolume, report: &mut Report) {
    let container_path = volume.container_path.as_str();
    if matches!(container_path, "." | "..") {
        report.add(format!("{path}/containerPath"), "can not be one of (.,..)");
    }
    if container_path.contains('/') {
        report.add(format!("{path}/containerPath"), "value must not contain \"/\"");
    }
    if volume.mode == Some(VolumeMode::ReadOnly) {
        report.add(format!("{path}/mode"), "does not equal RW");
    }
    let path = format!("{path}/persistent");
    if disk.size == 0 {
        report.add(format!("{path}/size"), "got 0, expected more than 0");
    }
    if disk.kind != DiskKind::Mount && disk.max_size.is_some() {
        report.add(path.as_str(), "Only mount volumes can have maxSize");
    }
    if disk.kind == DiskKind::Root && !disk.constraints.is_empty() {
        report.add(path.as_str(), "Constraints on root volumes are not supported");
    }
    if disk.max_size.is_some_and(|max| max <= disk.size) {
        report.add(path.as_str(), "Max size must be larger than size");
    }
}

fn external_volume(
    path: &str,
    info: &Map<String, Value>,
    settings: &Settings,
    report: &mut Report,
) {
    report.feature(settings, features::EXTERNAL_VOLUMES, path);
    let path = format!("{path}/external");
    let text = |name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        report.add(format!("{path}/name"), "must not be empty");
    }
    match info.get("provider") {
        None => report.add(format!("{path}/provider"), "not defined"),
        Some(_) if matches!(text("provider"), "dvdi" | "csi") => {}
        Some(_) => report.add(format!("{path}/provider"), "is unknown provider"),
    }
    let options = info.get("options").and_then(Value::as_object);
    let driver = options.and_then(|options| options.get("dvdi/driver"));
    if text("provider") == "dvdi" && driver.is_none() {
        report.add(format!("{path}/options(\"dvdi/driver\")"), "not defined");
    }
}
