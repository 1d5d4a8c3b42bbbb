//! The container of an instance: image, volumes, networks.

use super::{LaunchRequest, discovery::protocols, task::labels};
use crate::health::is_host_mode;
use marathon_model::{
    TaskId,
    app::{
        App, Container, ContainerKind, Docker, LinuxInfo, Network, NetworkMode, PortMapping,
        Protocol, Volume, VolumeMode, VolumeSource,
    },
};
use mesos_messages::v1::{
    self,
    container_info::{self, DockerInfo, MesosInfo, docker_info},
    network_info, volume,
};

/// None for an app that wants nothing but the host's files and network.
pub(super) fn info(
    request: &LaunchRequest<'_>,
    id: &TaskId,
    ports: &[Option<u16>],
) -> Option<v1::ContainerInfo> {
    let app = request.app;
    if app.container.is_none() && is_host_mode(app) && app.tty != Some(true) {
        return None;
    }
    let mut info = v1::ContainerInfo::default();
    info.set_type(container_info::Type::Mesos);
    match &app.container {
        Some(container) if container.kind == ContainerKind::Docker => {
            docker_container(app, container, id, ports, &mut info);
        }
        container => {
            info.network_infos = networks(request, ports);
            if let Some(container) = container {
                info.mesos = container.docker.as_ref().map(image);
                info.linux_info =
                    container.linux_info.as_ref().map(|linux| Box::new(linux_info(linux)));
            }
            // Not sure to be needed, and sure to do no harm.
            info.mesos.get_or_insert_default();
        }
    }
    if let Some(container) = &app.container {
        info.volumes =
            container.volumes.iter().filter_map(|one| mount(one, container.kind)).collect();
    }
    info.tty_info = (app.tty == Some(true)).then(v1::TtyInfo::default);
    Some(info)
}

fn docker_container(
    app: &App,
    container: &Container,
    id: &TaskId,
    ports: &[Option<u16>],
    info: &mut v1::ContainerInfo,
) {
    let Some(docker) = &container.docker else { return };
    info.set_type(container_info::Type::Docker);
    let parameter = |key: &str, value: &str| v1::Parameter { key: key.into(), value: value.into() };
    let mut parameters: Vec<v1::Parameter> =
        docker.parameters.iter().map(|(key, value)| parameter(key, value)).collect();
    parameters.push(parameter("label", &format!("MESOS_TASK_ID={id}")));
    let mode = app.networks.first().map_or(NetworkMode::Host, |network| network.mode);
    let network = match mode {
        NetworkMode::Host => docker_info::Network::Host,
        NetworkMode::Bridge => docker_info::Network::Bridge,
        NetworkMode::Container => docker_info::Network::User,
    };
    let mut port_mappings = Vec::new();
    for (mapping, host_port, container_port) in published(container, ports) {
        for protocol in protocols(mapping.protocol) {
            let protocol = Some((*protocol).to_owned());
            port_mappings.push(docker_info::PortMapping { host_port, container_port, protocol });
        }
    }
    info.docker = Some(Box::new(DockerInfo {
        image: docker.image.clone(),
        network: Some(network.into()),
        port_mappings,
        privileged: Some(docker.privileged),
        parameters,
        force_pull_image: Some(docker.force_pull_image),
        ..DockerInfo::default()
    }));
    let user = app.networks.iter().find(|network| network.mode == NetworkMode::Container);
    let named = |network: &Network| v1::NetworkInfo {
        name: network.name.clone(),
        ..v1::NetworkInfo::default()
    };
    info.network_infos = user.map(named).into_iter().collect();
}

/// The mappings with a host port, and both ports; inside it is the same number where 0 is asked.
fn published<'a>(
    container: &'a Container,
    ports: &'a [Option<u16>],
) -> impl Iterator<Item = (&'a PortMapping, u32, u32)> {
    container.port_mappings.iter().zip(ports).filter_map(|(mapping, host_port)| {
        let host_port = u32::from((*host_port)?);
        let container_port = u32::from(mapping.container_port);
        Some((mapping, host_port, if container_port == 0 { host_port } else { container_port }))
    })
}

/// The networks the Mesos containerizer joins.
fn networks(request: &LaunchRequest<'_>, ports: &[Option<u16>]) -> Vec<v1::NetworkInfo> {
    let app = request.app;
    let joined = app.networks.iter().filter(|network| network.mode != NetworkMode::Host);
    let network = |network: &Network| {
        let name = match network.mode {
            NetworkMode::Bridge => Some(request.settings.mesos_bridge_name.clone()),
            _ => network.name.clone(),
        };
        let container = app.container.as_ref();
        let published = container.into_iter().flat_map(|one| published(one, ports));
        let here = |mapping: &PortMapping| {
            mapping.network_names.iter().all(|wanted| Some(wanted) == name.as_ref())
        };
        let port_mappings = published.filter(|(mapping, ..)| here(mapping)).map(port_mapping);
        v1::NetworkInfo {
            ip_addresses: vec![network_info::IpAddress::default()],
            port_mappings: port_mappings.collect(),
            labels: labels(&network.labels),
            name,
            ..v1::NetworkInfo::default()
        }
    };
    joined.map(network).collect()
}

fn port_mapping(
    (mapping, host_port, container_port): (&PortMapping, u32, u32),
) -> network_info::PortMapping {
    let protocol = match mapping.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Both => "udp,tcp",
    };
    network_info::PortMapping { host_port, container_port, protocol: Some(protocol.to_owned()) }
}

fn image(docker: &Docker) -> MesosInfo {
    let config = docker.pull_config.as_ref().map(|name| v1::Secret {
        r#type: Some(v1::secret::Type::Reference.into()),
        reference: Some(v1::secret::Reference { name: name.clone(), key: None }),
        value: None,
    });
    MesosInfo {
        image: Some(v1::Image {
            r#type: v1::image::Type::Docker.into(),
            docker: Some(v1::image::Docker {
                name: docker.image.clone(),
                config,
                ..v1::image::Docker::default()
            }),
            cached: Some(!docker.force_pull_image),
            ..v1::Image::default()
        }),
    }
}

fn linux_info(linux: &LinuxInfo) -> v1::LinuxInfo {
    let seccomp = linux.seccomp.as_ref().map(|seccomp| v1::SeccompInfo {
        profile_name: seccomp.profile_name.clone(),
        unconfined: Some(seccomp.unconfined),
    });
    let mut info = v1::LinuxInfo { seccomp, ..v1::LinuxInfo::default() };
    if let Some(ipc) = &linux.ipc_info {
        let mode = match ipc.mode.as_str() {
            "SHARE_PARENT" => v1::linux_info::IpcMode::ShareParent,
            _ => v1::linux_info::IpcMode::Private,
        };
        info.ipc_mode = Some(mode.into());
        info.shm_size = ipc.shm_size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
    }
    info
}

/// A volume that is mounted by name; those on reserved disks come with the resources.
fn mount(one: &Volume, kind: ContainerKind) -> Option<v1::Volume> {
    let mut mounted =
        v1::Volume { container_path: one.container_path.clone(), ..Default::default() };
    mounted.set_mode(match one.mode {
        Some(VolumeMode::ReadOnly) => volume::Mode::Ro,
        Some(VolumeMode::ReadWrite) | None => volume::Mode::Rw,
    });
    match &one.source {
        VolumeSource::Host(path) => mounted.host_path = Some(path.clone()),
        VolumeSource::External(external) => {
            let text = |key: &str| external.get(key).and_then(|value| value.as_str());
            let name = text("name")?.to_owned();
            if kind == ContainerKind::Docker {
                mounted.host_path = Some(name);
            } else {
                mounted.source = Some(Box::new(external_source(external, name)));
            }
        }
        VolumeSource::Persistent(_) | VolumeSource::Secret(_) => return None,
    }
    Some(mounted)
}

fn external_source(
    external: &serde_json::Map<String, serde_json::Value>,
    name: String,
) -> volume::Source {
    let options = external.get("options").and_then(|options| options.as_object());
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let driver = options.and_then(|options| options.get("dvdi/driver")).map(text);
    // The prefix of an option names the provider it is for; the driver knows it without.
    let mut parameter: Vec<v1::Parameter> = options
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.as_str() != "dvdi/driver")
        .map(|(key, value)| v1::Parameter {
            key: key.strip_prefix("dvdi/").unwrap_or(key).to_owned(),
            value: text(value),
        })
        .collect();
    if let Some(size) = external.get("size") {
        parameter.push(v1::Parameter { key: "size".to_owned(), value: text(size) });
    }
    volume::Source {
        r#type: Some(volume::source::Type::DockerVolume.into()),
        docker_volume: Some(volume::source::DockerVolume {
            driver,
            name,
            driver_options: Some(v1::Parameters { parameter }),
        }),
        ..volume::Source::default()
    }
}
