//! The agent's facts: what its configuration names, and for the rest what the machine has.

use crate::{AgentConfig, AgentError, config::ReconfigurationPolicy};
use mesos_messages::{attributes, resources::Resources, v1};
use std::{net::SocketAddr, path::Path};

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// The resources to offer: those configured, and detected ones for the names not mentioned.
fn resources(config: &AgentConfig) -> Result<Resources, AgentError> {
    let text = config.resources.as_deref().unwrap_or("");
    let bad = |error| AgentError::Config(format!("cannot use the resources '{text}': {error}"));
    let (mut all, named) = if text.is_empty() {
        (Resources::default(), Vec::new())
    } else {
        let all = Resources::parse(text, &config.default_role).map_err(bad)?;
        (all, Resources::names_in(text).map_err(bad)?)
    };
    let mut detected = Vec::new();
    let mut add = |name: &str, value: &dyn Fn() -> String| {
        if !named.iter().any(|given| given == name) {
            detected.push(format!("{name}:{}", value()));
        }
    };
    add("cpus", &|| cpus().to_string());
    add("mem", &|| mem().to_string());
    add("disk", &|| disk(&config.work_dir).to_string());
    add("ports", &|| "[31000-32000]".to_owned());
    if !detected.is_empty() {
        all += &Resources::parse(&detected.join(";"), &config.default_role).map_err(bad)?;
    }
    Ok(all)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// In megabytes: all but one gigabyte.
fn mem() -> u64 {
    let total = nix::sys::sysinfo::sysinfo().map_or(GB, |info| info.ram_total());
    let usable = if total >= 2 * GB { total - GB } else { total / 2 };
    usable / MB
}

/// In megabytes: all but five gigabytes.
fn disk(work_dir: &Path) -> u64 {
    let total = nix::sys::statvfs::statvfs(work_dir)
        .map_or(10 * GB, |stat| stat.blocks() * stat.fragment_size());
    let usable = if total >= 10 * GB { total - 5 * GB } else { total / 2 };
    usable / MB
}

/// The used share of a file system, of its bytes or of its files: whichever is scarcer.
pub(crate) fn usage(path: &Path) -> Option<f64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    let share = |free: u64, total: u64| {
        if total == 0 { 0.0 } else { 1.0 - free as f64 / total as f64 }
    };
    Some(share(stat.blocks_available(), stat.blocks()).max(share(stat.files_free(), stat.files())))
}

/// Everything the master is told, but for the id.
pub(crate) fn agent_info(
    config: &AgentConfig,
    advertised: SocketAddr,
) -> Result<v1::AgentInfo, AgentError> {
    let text = config.attributes.as_deref().unwrap_or("");
    let attributes = attributes::parse(text).map_err(|error| {
        AgentError::Config(format!("cannot use the attributes '{text}': {error}"))
    })?;
    let domain = config.domain.as_ref().map(|(region, zone)| v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo { name: region.clone() },
            zone: v1::domain_info::fault_domain::ZoneInfo { name: zone.clone() },
        }),
    });
    Ok(v1::AgentInfo {
        hostname: config.hostname.clone().unwrap_or_else(|| advertised.ip().to_string()),
        port: Some(i32::from(advertised.port())),
        resources: resources(config)?.to_proto(),
        attributes,
        domain,
        ..v1::AgentInfo::default()
    })
}

/// Whether an agent with these facts may go on under the id of one with those.
pub(crate) fn compatible(
    policy: ReconfigurationPolicy,
    old: &v1::AgentInfo,
    new: &v1::AgentInfo,
) -> Result<(), (&'static str, String, String)> {
    let quoted = |what, old: &dyn std::fmt::Debug, new: &dyn std::fmt::Debug| {
        Err((what, format!("{old:?}"), format!("{new:?}")))
    };
    if old.hostname != new.hostname {
        return Err(("hostname", old.hostname.clone(), new.hostname.clone()));
    }
    if old.port() != new.port() {
        return Err(("port", old.port().to_string(), new.port().to_string()));
    }
    if old.domain != new.domain && (policy == ReconfigurationPolicy::Equal || old.domain.is_some())
    {
        return quoted("domain", &old.domain, &new.domain);
    }
    let before = Resources::from_proto(&old.resources).unwrap_or_default();
    let after = Resources::from_proto(&new.resources).unwrap_or_default();
    let resources_fit = match policy {
        ReconfigurationPolicy::Equal => before == after,
        ReconfigurationPolicy::Additive => after.contains(&before),
    };
    if !resources_fit {
        return Err(("resources", before.to_string(), after.to_string()));
    }
    let attributes_fit = match policy {
        ReconfigurationPolicy::Equal => attributes::same(&old.attributes, &new.attributes),
        ReconfigurationPolicy::Additive => {
            old.attributes.iter().all(|attribute| new.attributes.contains(attribute))
        }
    };
    if attributes_fit { Ok(()) } else { quoted("attributes", &old.attributes, &new.attributes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(config: &AgentConfig) -> v1::AgentInfo {
        agent_info(config, "127.0.0.1:5051".parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_named_is_detected() {
        let mut config = AgentConfig::new("127.0.0.1:5050", "/tmp");
        config.resources = Some("cpus:4;mem:0".to_owned());
        config.attributes = Some("rack:r1;public_ip:true".to_owned());
        let info = info(&config);
        let names: Vec<_> = info.resources.iter().map(|r| r.name.as_str()).collect();
        assert!(names.contains(&"cpus") && names.contains(&"disk") && names.contains(&"ports"));
        assert!(!names.contains(&"mem"), "an explicit zero is not detected");
        assert_eq!(info.attributes.len(), 2);
        assert_eq!((info.hostname.as_str(), info.port()), ("127.0.0.1", 5051));
    }

    #[test]
    fn bad_text_is_named() {
        let mut config = AgentConfig::new("127.0.0.1:5050", "/tmp");
        config.resources = Some("cpus".to_owned());
        let error = agent_info(&config, "127.0.0.1:1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("'cpus'"), "{error}");
    }

    #[test]
    fn only_additions_keep_the_id_under_the_additive_policy() {
        let mut config = AgentConfig::new("127.0.0.1:5050", "/tmp");
        config.resources = Some("cpus:2;mem:10;disk:10;ports:[1-2]".to_owned());
        let old = info(&config);
        config.resources = Some("cpus:3;mem:10;disk:10;ports:[1-2]".to_owned());
        let new = info(&config);
        use ReconfigurationPolicy::{Additive, Equal};
        assert_eq!(compatible(Equal, &old, &old), Ok(()));
        assert_eq!(compatible(Equal, &old, &new).unwrap_err().0, "resources");
        assert_eq!(compatible(Additive, &old, &new), Ok(()));
        assert_eq!(compatible(Additive, &new, &old).unwrap_err().0, "resources");
    }
}
