//! What a `ContainerInfo` asks for, checked and resolved: what cannot be done here is refused, for
//! a container that runs without what it asked for is worse than one that does not run.

use std::path::{Component, Path, PathBuf};

use mesos_messages::v1::{
    ContainerInfo, LinuxInfo, Volume, container_info, linux_info::IpcMode, volume, volume::source,
};

use crate::{
    error::LaunchError,
    plan::{Namespaces, VolumePlan, VolumeSource},
};

/// The volumes, each with a source that exists. `isolated`: there will be a mount namespace.
pub(crate) fn resolve(
    info: &ContainerInfo,
    isolated: bool,
) -> Result<Vec<VolumePlan>, LaunchError> {
    info.volumes
        .iter()
        .map(|volume| {
            resolve_one(volume, isolated).map_err(|reason| LaunchError::Volume {
                container_path: volume.container_path.clone(),
                reason,
            })
        })
        .collect()
}

fn resolve_one(volume: &Volume, isolated: bool) -> Result<VolumePlan, String> {
    let read_only = volume.mode == volume::Mode::Ro as i32;
    let container_path = PathBuf::from(&volume.container_path);
    if volume.container_path.is_empty() {
        return Err("the container path is empty".to_owned());
    }
    if !container_path.is_absolute() {
        check_relative(&container_path, "container path")?;
    }
    let source = source(volume)?;
    if !isolated {
        if read_only {
            return Err("a read-only volume needs the linux launcher".to_owned());
        }
        if container_path.is_absolute() {
            return Err("an absolute container path needs the linux launcher".to_owned());
        }
    } else if container_path.is_absolute() && !container_path.exists() {
        return Err("the container path does not exist on the host".to_owned());
    }
    Ok(VolumePlan { container_path, source, read_only })
}

fn source(volume: &Volume) -> Result<VolumeSource, String> {
    match (&volume.host_path, &volume.image, volume.source.as_deref()) {
        (Some(path), None, None) if path.starts_with('/') => host(path),
        (Some(path), None, None) => sandbox(path),
        (None, None, Some(source)) => typed_source(source),
        (None, Some(_), None) => Err("image volumes are not supported".to_owned()),
        _ => Err("exactly one of 'host_path', 'image' and 'source' must be set".to_owned()),
    }
}

fn typed_source(source: &volume::Source) -> Result<VolumeSource, String> {
    let kind = source.r#type.and_then(|kind| source::Type::try_from(kind).ok());
    match kind.unwrap_or(source::Type::Unknown) {
        source::Type::HostPath => match &source.host_path {
            Some(host_path) if host_path.path.starts_with('/') => host(&host_path.path),
            Some(_) => Err("the host path is not absolute".to_owned()),
            None => Err("'source.host_path' is not set".to_owned()),
        },
        source::Type::SandboxPath => {
            let path = source
                .sandbox_path
                .as_ref()
                .ok_or_else(|| "'source.sandbox_path' is not set".to_owned())?;
            if path.r#type == Some(source::sandbox_path::Type::Parent as i32) {
                return Err("a volume of the parent needs a nested container".to_owned());
            }
            sandbox(&path.path)
        }
        source::Type::Unknown => Err("the source's type is missing or unknown".to_owned()),
        other => Err(format!("sources of type {} are not supported", other.as_str_name())),
    }
}

fn host(path: &str) -> Result<VolumeSource, String> {
    if Path::new(path).exists() {
        Ok(VolumeSource::Host(path.into()))
    } else {
        Err(format!("the host path '{path}' does not exist"))
    }
}

fn sandbox(path: &str) -> Result<VolumeSource, String> {
    check_relative(Path::new(path), "sandbox path")?;
    Ok(VolumeSource::Sandbox(path.into()))
}

fn check_relative(path: &Path, what: &str) -> Result<(), String> {
    let mut names = 0;
    for component in path.components() {
        match component {
            Component::Normal(_) => names += 1,
            Component::CurDir => {}
            _ => return Err(format!("the {what} leaves the sandbox")),
        }
    }
    if names == 0 { Err(format!("the {what} names nothing")) } else { Ok(()) }
}

/// The namespaces a container gets.
pub(crate) fn namespaces(info: Option<&ContainerInfo>) -> Namespaces {
    let linux = info.and_then(|info| info.linux_info.as_deref());
    let ipc_mode = linux.and_then(|linux| linux.ipc_mode);
    let private = ipc_mode == Some(IpcMode::Private as i32);
    let shm_size = linux.and_then(|linux| linux.shm_size);
    Namespaces {
        pid: linux.and_then(|linux| linux.share_pid_namespace) != Some(true),
        ipc: ipc_mode != Some(IpcMode::ShareParent as i32),
        hostname: info.and_then(|info| info.hostname.clone()),
        shm: private.then_some(shm_size.map(|megabytes| u64::from(megabytes) << 20)),
    }
}

/// Refuses what neither launcher does, and what only the other one does.
pub(crate) fn check(info: &ContainerInfo, isolated: bool) -> Result<(), LaunchError> {
    let refuse = |what: &str| Err(LaunchError::Unsupported(what.to_owned()));
    if info.r#type == container_info::Type::Docker as i32 || info.docker.is_some() {
        return refuse("Docker containers");
    }
    if info.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
        return refuse("container images");
    }
    if info.network_infos.iter().any(|network| network.name.is_some()) {
        return refuse("container networks");
    }
    if info.tty_info.is_some() {
        return refuse("terminals ('tty_info')");
    }
    if !isolated && info.hostname.is_some() {
        return refuse("a host name needs the linux launcher");
    }
    match info.linux_info.as_deref() {
        Some(linux) => check_linux(linux, isolated),
        None => Ok(()),
    }
}

fn check_linux(linux: &LinuxInfo, isolated: bool) -> Result<(), LaunchError> {
    let refuse = |what: &str| Err(LaunchError::Unsupported(what.to_owned()));
    #[allow(deprecated)]
    let capabilities = linux.capability_info.is_some()
        || linux.bounding_capabilities.is_some()
        || linux.effective_capabilities.is_some();
    if capabilities {
        return refuse("capability sets");
    }
    if linux.seccomp.as_ref().is_some_and(|seccomp| seccomp.unconfined != Some(true)) {
        return refuse("seccomp profiles");
    }
    if !isolated && linux.ipc_mode == Some(IpcMode::Private as i32) {
        return refuse("a private ipc namespace needs the linux launcher");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(container_path: &str, host_path: &str, mode: volume::Mode) -> Volume {
        Volume {
            mode: mode as i32,
            container_path: container_path.to_owned(),
            host_path: Some(host_path.to_owned()),
            ..Volume::default()
        }
    }

    #[test]
    fn host_and_sandbox_paths_are_told_apart() {
        let rw = volume::Mode::Rw;
        let host = resolve_one(&volume("data", "/tmp", rw), false).unwrap();
        assert_eq!(host.source, VolumeSource::Host("/tmp".into()));
        let sandbox = resolve_one(&volume("data", "a/b", rw), false).unwrap();
        assert_eq!(sandbox.source, VolumeSource::Sandbox("a/b".into()));
    }

    #[test]
    fn what_leaves_the_sandbox_or_does_not_exist_is_refused() {
        let rw = volume::Mode::Rw;
        for (container, host) in [
            ("../x", "/tmp"),
            ("", "/tmp"),
            (".", "/tmp"),
            ("x", "../y"),
            ("x", ""),
            ("x", "a/../../y"),
            ("x", "/no/such/path"),
            ("/no/such/path", "/tmp"),
        ] {
            assert!(resolve_one(&volume(container, host, rw), true).is_err(), "{container} {host}");
        }
    }

    #[test]
    fn without_a_mount_namespace_there_are_only_links() {
        let ro = volume("x", "/tmp", volume::Mode::Ro);
        assert!(resolve_one(&ro, true).is_ok() && resolve_one(&ro, false).is_err());
        let absolute = volume("/tmp", "/usr", volume::Mode::Rw);
        assert!(resolve_one(&absolute, true).is_ok() && resolve_one(&absolute, false).is_err());
    }

    #[test]
    fn one_source_and_no_more() {
        let mut volume = volume("x", "/tmp", volume::Mode::Rw);
        volume.source = Some(Box::default());
        assert!(resolve_one(&volume, true).unwrap_err().starts_with("exactly one"));
        volume.host_path = None;
        assert!(resolve_one(&volume, true).is_err());
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let r#type = container_info::Type::Mesos as i32;
        let mut info = ContainerInfo { r#type, ..ContainerInfo::default() };
        assert!(check(&info, false).is_ok());
        info.hostname = Some("h".to_owned());
        assert!(check(&info, true).is_ok() && check(&info, false).is_err());
        info.r#type = container_info::Type::Docker as i32;
        let error = check(&info, true).unwrap_err();
        assert_eq!(error.to_string(), "Unsupported container: Docker containers");
    }
}
