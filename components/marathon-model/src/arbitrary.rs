//! Any app, for property tests: in normal form, not always a sensible one.

use crate::{App, PathId, Timestamp, app::*};
use proptest::{
    collection::{btree_map, btree_set, vec},
    option::of,
    prelude::*,
    sample::select,
};
use std::collections::{BTreeMap, BTreeSet};

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,8}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?"
}

pub(crate) fn path() -> impl Strategy<Value = PathId> {
    vec(name(), 1..4).prop_map(|segments| PathId::parse(&segments.join("/")).unwrap())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(".{0,6}", ".{0,6}", 0..3)
}

/// A number with few digits, which is printed and read exactly.
fn number(from: u32) -> impl Strategy<Value = f64> {
    (from..1_000_000).prop_map(|thousandths| f64::from(thousandths) / 1000.0)
}

fn seconds() -> impl Strategy<Value = u64> {
    0u64..100_000
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let value = |operator: Operator| -> BoxedStrategy<Option<String>> {
        match operator {
            Operator::Unique => Just(None).boxed(),
            Operator::Cluster => of(text()).boxed(),
            Operator::GroupBy => of((1u32..9).prop_map(|n| n.to_string())).boxed(),
            Operator::MaxPer => (1u32..9).prop_map(|n| Some(n.to_string())).boxed(),
            Operator::Like | Operator::Unlike => "[a-z.]{1,4}".prop_map(Some).boxed(),
            Operator::Is => of("[a-z0-9./_-]{0,4}").boxed(),
        }
    };
    let operators: Vec<Operator> =
        crate::constraint::OPERATORS.iter().map(|(_, operator)| *operator).collect();
    (text(), select(operators))
        .prop_flat_map(move |(field, operator)| (Just(field), Just(operator), value(operator)))
        .prop_map(|(field, operator, value)| Constraint { field, operator, value })
}

fn once<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut once, item| {
        if !once.contains(&item) {
            once.push(item);
        }
        once
    })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Both])
}

fn port_definition() -> impl Strategy<Value = PortDefinition> {
    (any::<u16>(), protocol(), of(name()), labels())
        .prop_map(|(port, protocol, name, labels)| PortDefinition { port, protocol, name, labels })
}

fn port_mapping() -> impl Strategy<Value = PortMapping> {
    let ports = (any::<u16>(), of(any::<u16>()), any::<u16>());
    let rest = (protocol(), of(name()), labels(), vec(name(), 0..2));
    (ports, rest).prop_map(
        |((container_port, host_port, service_port), (protocol, name, labels, network_names))| {
            PortMapping {
                container_port,
                host_port,
                service_port,
                protocol,
                name,
                labels,
                network_names,
            }
        },
    )
}

fn volume() -> impl Strategy<Value = Volume> {
    let disk = (
        select(vec![DiskKind::Root, DiskKind::Path, DiskKind::Mount]),
        0u64..1000,
        of(0u64..1000),
        of(text()),
    );
    let source = prop_oneof![
        text().prop_map(VolumeSource::Host),
        text().prop_map(VolumeSource::Secret),
        disk.prop_map(|(kind, size, max_size, profile_name)| {
            let constraints = Vec::new();
            VolumeSource::Persistent(PersistentVolume {
                kind,
                size,
                max_size,
                profile_name,
                constraints,
            })
        }),
    ];
    let mode = select(vec![VolumeMode::ReadOnly, VolumeMode::ReadWrite]);
    (text(), mode, source).prop_map(|(container_path, mode, source)| {
        let mode = (!matches!(source, VolumeSource::Secret(_))).then_some(mode);
        Volume { container_path, mode, source }
    })
}

fn docker() -> impl Strategy<Value = Docker> {
    (text(), any::<bool>(), any::<bool>(), vec((text(), text()), 0..2), of(text())).prop_map(
        |(image, force_pull_image, privileged, parameters, pull_config)| Docker {
            image,
            force_pull_image,
            privileged,
            parameters,
            pull_config,
        },
    )
}

fn linux_info() -> impl Strategy<Value = LinuxInfo> {
    let seccomp = (of(text()), any::<bool>())
        .prop_map(|(profile_name, unconfined)| Seccomp { profile_name, unconfined });
    let ipc = (select(vec!["PRIVATE", "SHARE_PARENT"]), of(0u64..100))
        .prop_map(|(mode, shm_size)| IpcInfo { mode: mode.to_owned(), shm_size });
    (of(seccomp), of(ipc)).prop_map(|(seccomp, ipc_info)| LinuxInfo { seccomp, ipc_info })
}

fn container() -> impl Strategy<Value = Container> {
    let kind = select(vec![ContainerKind::Docker, ContainerKind::Mesos]);
    (kind, of(docker()), vec(volume(), 0..3), vec(port_mapping(), 0..3), of(linux_info())).prop_map(
        |(kind, mut docker, volumes, port_mappings, linux_info)| {
            let mesos = kind == ContainerKind::Mesos;
            for docker in docker.iter_mut().filter(|_| mesos) {
                docker.privileged = false;
                docker.parameters.clear();
            }
            let linux_info = linux_info.filter(|_| mesos);
            Container { kind, docker, volumes, port_mappings, linux_info }
        },
    )
}

/// What depends on the kind of network: networks, container, port definitions.
fn networking() -> impl Strategy<Value = (Vec<Network>, Option<Container>, Vec<PortDefinition>)> {
    let host = (of(container()), vec(port_definition(), 0..3)).prop_map(|(container, ports)| {
        let container = container.map(|ct| Container { port_mappings: Vec::new(), ..ct });
        (vec![Network::host()], container, ports)
    });
    let bridge = (labels(), container()).prop_map(|(labels, mut container)| {
        for mapping in &mut container.port_mappings {
            mapping.host_port.get_or_insert(0);
        }
        let network = Network { mode: NetworkMode::Bridge, name: None, labels };
        (vec![network], Some(container), Vec::new())
    });
    let named = (btree_set(name(), 1..3), labels(), container());
    let own = named.prop_map(|(names, labels, container)| {
        let network = |name| Network {
            mode: NetworkMode::Container,
            name: Some(name),
            labels: labels.clone(),
        };
        (names.into_iter().map(network).collect(), Some(container), Vec::new())
    });
    prop_oneof![host, bridge, own]
}

fn port_ref() -> impl Strategy<Value = PortRef> {
    prop_oneof![(0u32..4).prop_map(PortRef::Index), any::<u16>().prop_map(PortRef::Number)]
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let http = || (any::<bool>(), of(text()), port_ref());
    let probe = prop_oneof![
        http().prop_map(|(https, path, port)| HealthProbe::Http { https, path, port }),
        (http(), any::<bool>()).prop_map(|((https, path, port), ipv6)| {
            HealthProbe::MesosHttp { https, path, port, ipv6 }
        }),
        port_ref().prop_map(|port| HealthProbe::Tcp { port }),
        (port_ref(), any::<bool>()).prop_map(|(port, ipv6)| HealthProbe::MesosTcp { port, ipv6 }),
        text().prop_map(HealthProbe::Command),
    ];
    let times = (seconds(), seconds(), seconds(), seconds());
    (probe, times, 0u32..9, any::<bool>()).prop_map(
        |(probe, (grace, interval, timeout, delay), max_consecutive_failures, ignore)| {
            let http = matches!(probe, HealthProbe::Http { .. });
            HealthCheck {
                probe,
                grace_period_seconds: grace,
                interval_seconds: interval,
                timeout_seconds: timeout,
                max_consecutive_failures,
                delay_seconds: delay,
                ignore_http1xx: http.then_some(ignore),
            }
        },
    )
}

fn check() -> impl Strategy<Value = Check> {
    let command = prop_oneof![
        text().prop_map(CheckCommand::Shell),
        vec(text(), 1..3).prop_map(CheckCommand::Argv),
    ];
    let probe = prop_oneof![
        command.prop_map(CheckProbe::Exec),
        port_ref().prop_map(|port| CheckProbe::Tcp { port }),
        (of(text()), any::<bool>(), port_ref()).prop_map(|(path, scheme_https, port)| {
            CheckProbe::Http { path, scheme_https, port }
        }),
    ];
    (probe, seconds(), seconds(), seconds()).prop_map(|(probe, interval, timeout, delay)| Check {
        probe,
        interval_seconds: interval,
        timeout_seconds: timeout,
        delay_seconds: delay,
    })
}

fn readiness_check() -> impl Strategy<Value = ReadinessCheck> {
    let texts = (text(), text(), name());
    let codes = btree_set(100u16..600, 1..3);
    (texts, any::<bool>(), seconds(), 1u64..99, codes, any::<bool>()).prop_map(
        |((name, path, port_name), https, interval_seconds, timeout_seconds, codes, preserve)| {
            ReadinessCheck {
                name,
                https,
                path,
                port_name,
                interval_seconds,
                timeout_seconds,
                http_status_codes_for_ready: codes,
                preserve_last_response: preserve,
            }
        },
    )
}

fn artifact() -> impl Strategy<Value = Artifact> {
    (text(), any::<[bool; 3]>(), of(text())).prop_map(
        |(uri, [extract, executable, cache], dest_path)| Artifact {
            uri,
            extract,
            executable,
            cache,
            dest_path,
        },
    )
}

fn limits() -> impl Strategy<Value = ResourceLimits> {
    let limit = || prop_oneof![Just(Limit::Unlimited), number(1).prop_map(Limit::Value)];
    (of(limit()), of(limit())).prop_map(|(cpus, mem)| ResourceLimits { cpus, mem })
}

fn env() -> impl Strategy<Value = BTreeMap<String, EnvValue>> {
    let value = prop_oneof![".{0,6}".prop_map(EnvValue::Text), text().prop_map(EnvValue::Secret)];
    btree_map(text(), value, 0..4)
}

fn unreachable() -> impl Strategy<Value = UnreachableStrategy> {
    let after = (seconds(), seconds()).prop_map(|(inactive_seconds, expunge_seconds)| {
        UnreachableStrategy::After { inactive_seconds, expunge_seconds }
    });
    prop_oneof![Just(UnreachableStrategy::Disabled), after]
}

/// Fields in groups, as tuples have no more than twelve.
pub(crate) fn app() -> impl Strategy<Value = App> {
    let what = (of(text()), vec(text(), 0..3), of(text()), of(any::<bool>()), env());
    let names = (btree_map(text(), text(), 0..2), labels(), btree_set(path(), 0..3));
    let sizes = (0u32..100, number(1), number(0), number(0), 0u32..4, of(limits()));
    let executor = of((number(100), number(32_000), number(10_000)));
    let checks = (vec(health_check(), 0..3), of(check()), vec(readiness_check(), 0..2));
    let times = (0u32..1000, number(1000), 0u32..1000, of(0u32..100));
    let share = || (0u32..=10).prop_map(|tenths| f64::from(tenths) / 10.0);
    let strategies = (share(), share(), any::<bool>(), unreachable());
    let roles = (name(), of(btree_set(name(), 1..3)));
    let lists = (vec(constraint(), 0..3), vec(artifact(), 0..3));
    let versions = (0u64..1u64 << 41, 0u64..1u64 << 41, 0u64..1u64 << 41);
    let first = (path(), what, names, sizes, executor, networking());
    let second = (checks, times, strategies, roles, lists, versions, any::<bool>());
    (first, second).prop_map(|(first, second)| build(first, second))
}

type What = (Option<String>, Vec<String>, Option<String>, Option<bool>, BTreeMap<String, EnvValue>);
type Names = (BTreeMap<String, String>, BTreeMap<String, String>, BTreeSet<PathId>);
type Sizes = (u32, f64, f64, f64, u32, Option<ResourceLimits>);
type Networking = (Vec<Network>, Option<Container>, Vec<PortDefinition>);
type First = (PathId, What, Names, Sizes, Option<(f64, f64, f64)>, Networking);
type Checks = (Vec<HealthCheck>, Option<Check>, Vec<ReadinessCheck>);
type Second = (
    Checks,
    (u32, f64, u32, Option<u32>),
    (f64, f64, bool, UnreachableStrategy),
    (String, Option<BTreeSet<String>>),
    (Vec<Constraint>, Vec<Artifact>),
    (u64, u64, u64),
    bool,
);

fn build(first: First, second: Second) -> App {
    let (id, (cmd, args, user, tty, env), (secrets, labels, dependencies), sizes, executor, net) =
        first;
    let (instances, cpus, mem, disk, gpus, resource_limits) = sizes;
    let (networks, container, port_definitions) = net;
    let (
        checks,
        times,
        (minimum, over, oldest, unreachable_strategy),
        roles,
        lists,
        versions,
        flag,
    ) = second;
    let (health_checks, check, readiness_checks) = checks;
    let host = networks.iter().all(|network| network.mode == NetworkMode::Host);
    App {
        id,
        cmd,
        args,
        instances,
        cpus,
        mem,
        disk,
        gpus,
        resource_limits,
        executor: if flag { "/bin/x".to_owned() } else { String::new() },
        executor_resources: executor.map(|(cpus, mem, disk)| ExecutorResources { cpus, mem, disk }),
        user,
        tty,
        env,
        secrets,
        labels,
        dependencies,
        constraints: once(lists.0),
        container,
        networks,
        port_definitions,
        require_ports: host && flag,
        fetch: lists.1,
        health_checks: once(health_checks),
        check,
        readiness_checks,
        backoff_seconds: f64::from(times.0),
        backoff_factor: times.1,
        max_launch_delay_seconds: f64::from(times.2),
        upgrade_strategy: UpgradeStrategy {
            minimum_health_capacity: minimum,
            maximum_over_capacity: over,
        },
        task_kill_grace_period_seconds: times.3,
        kill_selection: if oldest {
            KillSelection::OldestFirst
        } else {
            KillSelection::YoungestFirst
        },
        unreachable_strategy,
        role: roles.0,
        accepted_resource_roles: roles.1,
        version: Timestamp(versions.0),
        version_info: VersionInfo {
            last_scaling_at: Timestamp(versions.1),
            last_config_change_at: Timestamp(versions.2),
        },
    }
}
