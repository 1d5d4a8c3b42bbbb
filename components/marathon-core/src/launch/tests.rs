//! The rules of matching, one by one, and what holds for any app and offer.

use super::{
    testing::{
        app, constraint, container, definition, instance, mapping, network, offer, remaining,
        request,
    },
    *,
};
use marathon_model::{
    App, Timestamp,
    app::{ContainerKind, Docker, NetworkMode, Operator},
};
use mesos_messages::{resources::Resources, v1};
use proptest::prelude::*;
use std::sync::Arc;

fn settings() -> LaunchSettings {
    LaunchSettings::default()
}

fn try_fit(app: &App, offer: &v1::Offer) -> Result<Launch, Refusal> {
    let (id, settings) = (instance(app, 1), settings());
    fit(&request(app, &id, &settings), &mut remaining(offer), &Placed::new(app))
}

fn refused(app: &App, offer: &v1::Offer) -> (Reason, String) {
    let refusal = try_fit(app, offer).unwrap_err();
    (refusal.reason(), refusal.to_string())
}

fn resources(launch: &Launch) -> Resources {
    Resources::from_proto(&launch.task.resources).unwrap()
}

#[test]
fn too_little_is_refused_with_the_numbers() {
    let mut app = app();
    app.cpus = 2.0;
    let small = offer("a", "cpus:1.5;mem:1000;ports:[1-9]", "");
    assert_eq!(
        refused(&app, &small),
        (Reason::InsufficientCpus, "needs 2 cpus, 1.5 left".to_owned())
    );
    app.cpus = 1.0;
    app.mem = 2000.0;
    assert_eq!(
        refused(&app, &small),
        (Reason::InsufficientMemory, "needs 2000 MiB mem, 1000 MiB left".to_owned())
    );
    app.mem = 10.0;
    app.disk = 1.0;
    assert_eq!(refused(&app, &small).0, Reason::InsufficientDisk);
    app.disk = 0.0;
    app.gpus = 1;
    assert_eq!(refused(&app, &small).0, Reason::InsufficientGpus);
}

#[test]
fn the_first_reason_of_the_funnel_counts_but_all_are_told() {
    let mut app = app();
    (app.cpus, app.mem) = (9.0, 9000.0);
    app.constraints = vec![constraint("rack", Operator::Like, Some("r1"))];
    let refusal = try_fit(&app, &offer("a", "cpus:1;mem:1", "rack:r2")).unwrap_err();
    let all: Vec<Reason> = refusal.reasons.iter().collect();
    assert_eq!(
        all,
        [Reason::UnfulfilledConstraint, Reason::InsufficientCpus, Reason::InsufficientMemory]
    );
    assert_eq!(refusal.to_string(), "constraint rack LIKE r1: r2 does not match");
}

#[test]
fn an_offer_shrinks_until_it_is_used_up() {
    let mut app = app();
    app.port_definitions = vec![definition(10_000, None)];
    let offer = offer("a", "cpus:2.5;mem:1000;ports:[31000-31009]", "");
    let (mut left, settings) = (remaining(&offer), settings());
    for number in 1..=2 {
        let id = instance(&app, number);
        fit(&request(&app, &id, &settings), &mut left, &Placed::new(&app)).unwrap();
    }
    let id = instance(&app, 3);
    let refusal = fit(&request(&app, &id, &settings), &mut left, &Placed::new(&app)).unwrap_err();
    assert_eq!(refusal.to_string(), "needs 1 cpus, 0.5 left");
    assert_eq!(left.launched(), 2);
    assert_eq!(left.left().ports().unwrap().count(), 8);
}

#[test]
fn resources_are_taken_from_accepted_roles_only() {
    let mut app = app();
    let reserved = "cpus(public):4;mem(public):4000;cpus:0.5;mem:500";
    assert_eq!(
        refused(&app, &offer("a", "cpus(public):4;mem(public):4000", "")),
        (Reason::UnfulfilledRole, "takes resources of role *, offered are public".to_owned())
    );
    assert_eq!(refused(&app, &offer("a", reserved, "")).0, Reason::InsufficientCpus);
    app.accepted_resource_roles = Some(["public".to_owned()].into());
    let launch = try_fit(&app, &offer("a", reserved, "")).unwrap();
    let used = resources(&launch);
    assert_eq!(used.reserved_to("public").cpus().unwrap().to_f64(), 1.0);
    assert_eq!(used.allocation_role().map(|role| &**role), Some("*"));
    // Both: what is reserved goes first, the rest comes from everybody's.
    app.accepted_resource_roles = Some(["public".to_owned(), "*".to_owned()].into());
    app.cpus = 4.25;
    let used = resources(&try_fit(&app, &offer("a", reserved, "")).unwrap());
    assert_eq!(used.reserved().cpus().unwrap().to_f64(), 4.0);
    assert_eq!(used.unreserved().cpus().unwrap().to_f64(), 0.25);
}

#[test]
fn the_operator_can_restrict_the_roles_of_apps_that_name_none() {
    let mut app = app();
    app.role = "slave_public".to_owned();
    let mut public = offer("a", "cpus(slave_public):4;mem(slave_public):4000", "");
    public.allocation_info = Some(v1::resource::AllocationInfo { role: Some(app.role.clone()) });
    for resource in &mut public.resources {
        resource.allocation_info.clone_from(&public.allocation_info);
    }
    assert!(try_fit(&app, &public).is_ok());
    let settings = LaunchSettings {
        default_accepted_resource_roles: Some(["*".to_owned()].into()),
        ..LaunchSettings::default()
    };
    let id = instance(&app, 1);
    let request = request(&app, &id, &settings);
    let refusal = fit(&request, &mut remaining(&public), &Placed::new(&app)).unwrap_err();
    assert_eq!(refusal.reason(), Reason::UnfulfilledRole);
    // An offer to another role is nothing for it at all.
    app.role = "other".to_owned();
    assert_eq!(refused(&app, &public).1, "is of role other, the offer is to slave_public");
}

#[test]
fn agents_with_gpus_are_left_to_those_who_need_them() {
    let mut app = app();
    let gpus = offer("a", "cpus:4;mem:4000;gpus:2", "");
    assert_eq!(refused(&app, &gpus).0, Reason::DeclinedScarceResources);
    app.labels.insert("GPU_SCHEDULING_BEHAVIOR".to_owned(), "unrestricted".to_owned());
    assert!(try_fit(&app, &gpus).is_ok());
    app.labels.clear();
    app.gpus = 1;
    assert_eq!(resources(&try_fit(&app, &gpus).unwrap()).gpus().unwrap().to_f64(), 1.0);
}

#[test]
fn agents_in_maintenance_are_left_alone() {
    let app = app();
    let mut planned = offer("a", "cpus:4;mem:4000", "");
    let at = |seconds: i64| v1::TimeInfo { nanoseconds: seconds * 1_000_000_000 };
    planned.unavailability = Some(v1::Unavailability { start: at(1_600_000_100), duration: None });
    assert!(try_fit(&app, &planned).is_ok());
    planned.unavailability = Some(v1::Unavailability { start: at(1_599_999_000), duration: None });
    assert_eq!(refused(&app, &planned).0, Reason::AgentMaintenance);
    let hour = v1::DurationInfo { nanoseconds: 60_000_000_000 };
    planned.unavailability =
        Some(v1::Unavailability { start: at(1_599_999_000), duration: Some(hour) });
    assert!(try_fit(&app, &planned).is_ok());
}

#[test]
fn other_regions_are_used_only_if_asked_for() {
    let mut app = app();
    let mut remote = offer("a", "cpus:4;mem:4000", "");
    remote.domain = Some(v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo { name: "eu".to_owned() },
            zone: v1::domain_info::fault_domain::ZoneInfo { name: "eu-1".to_owned() },
        }),
    });
    let (id, settings) = (instance(&app, 1), settings());
    let mut home = request(&app, &id, &settings);
    home.local_region = Some("us");
    let refusal = fit(&home, &mut remaining(&remote), &Placed::new(&app)).unwrap_err();
    assert_eq!(refusal.to_string(), "is in region eu, not in the local region us");
    home.local_region = Some("eu");
    assert!(fit(&home, &mut remaining(&remote), &Placed::new(&app)).is_ok());
    app.constraints = vec![constraint("@zone", Operator::Is, Some("eu-1"))];
    let mut home = request(&app, &id, &settings);
    home.local_region = Some("us");
    let launch = fit(&home, &mut remaining(&remote), &Placed::new(&app)).unwrap();
    assert_eq!(launch.placement.zone.as_deref(), Some("eu-1"));
}

// === constraints ===

/// Puts `instances` on offers of these hosts in turn as long as anything fits; how many are where.
fn spread(app: &App, hosts: &[(&str, &str)]) -> Vec<u32> {
    let settings = settings();
    let mut placed = Placed::new(app);
    let mut counts = vec![0; hosts.len()];
    let mut number = 0;
    loop {
        let before = number;
        for (at, (host, attributes)) in hosts.iter().enumerate() {
            if number == u128::from(app.instances) {
                return counts;
            }
            let mut offer = remaining(&offer(host, "cpus:100;mem:100000", attributes));
            let id = instance(app, number);
            if let Ok(launch) = fit(&request(app, &id, &settings), &mut offer, &placed) {
                placed.add(&id, app.version, &launch.placement);
                counts[at] += 1;
                number += 1;
            }
        }
        if number == before {
            return counts;
        }
    }
}

fn constrained(instances: u32, field: &str, operator: Operator, value: Option<&str>) -> App {
    let mut app = app();
    app.instances = instances;
    app.constraints = vec![constraint(field, operator, value)];
    app
}

const RACKS: [(&str, &str); 4] =
    [("a", "rack:r1"), ("b", "rack:r1"), ("c", "rack:r2"), ("d", "size:3")];

#[test]
fn unique_and_max_per() {
    assert_eq!(spread(&constrained(9, "hostname", Operator::Unique, None), &RACKS), [1, 1, 1, 1]);
    assert_eq!(spread(&constrained(9, "@hostname", Operator::Unique, None), &RACKS), [1, 1, 1, 1]);
    assert_eq!(spread(&constrained(9, "rack", Operator::Unique, None), &RACKS), [1, 0, 1, 0]);
    assert_eq!(spread(&constrained(9, "rack", Operator::MaxPer, Some("3")), &RACKS), [2, 1, 3, 0]);
    assert_eq!(spread(&constrained(9, "rack", Operator::MaxPer, Some("x")), &RACKS), [0; 4]);
}

#[test]
fn cluster() {
    assert_eq!(spread(&constrained(4, "rack", Operator::Cluster, None), &RACKS), [2, 2, 0, 0]);
    assert_eq!(
        spread(&constrained(4, "rack", Operator::Cluster, Some("r2")), &RACKS),
        [0, 0, 4, 0]
    );
}

#[test]
fn like_unlike_and_is() {
    assert_eq!(spread(&constrained(2, "rack", Operator::Like, Some("r")), &RACKS), [0; 4]);
    assert_eq!(
        spread(&constrained(3, "rack", Operator::Like, Some("r[2-9]")), &RACKS),
        [0, 0, 3, 0]
    );
    assert_eq!(spread(&constrained(2, "rack", Operator::Like, Some("(")), &RACKS), [0; 4]);
    // What has no such attribute passes UNLIKE alone.
    assert_eq!(spread(&constrained(4, "rack", Operator::Unlike, Some("r1")), &RACKS), [0, 0, 2, 2]);
    assert_eq!(spread(&constrained(2, "rack", Operator::Is, Some("r2")), &RACKS), [0, 0, 2, 0]);
    assert_eq!(spread(&constrained(2, "size", Operator::Is, Some("3.000")), &RACKS), [0, 0, 0, 2]);
}

#[test]
fn group_by_a_number_of_groups() {
    let zones = [("a", "z:1"), ("b", "z:2"), ("c", "z:3"), ("d", "z:4")];
    // Shares of 3 with a remainder of 1, and no fourth group.
    assert_eq!(spread(&constrained(10, "z", Operator::GroupBy, Some("3")), &zones), [4, 3, 3, 0]);
    assert_eq!(spread(&constrained(9, "z", Operator::GroupBy, Some("4")), &zones), [3, 2, 2, 2]);
    // Of two known groups each takes its share; the third group is waited for.
    assert_eq!(spread(&constrained(9, "z", Operator::GroupBy, Some("3")), &zones[..2]), [3, 3]);
}

#[test]
fn group_by_as_many_as_there_are() {
    let zones = [("a", "z:1"), ("b", "z:2"), ("c", "z:3")];
    assert_eq!(spread(&constrained(8, "z", Operator::GroupBy, None), &zones), [3, 3, 2]);
}

#[test]
fn instances_of_older_configurations_do_not_count() {
    let mut app = constrained(1, "hostname", Operator::Unique, None);
    app.version_info.last_config_change_at = Timestamp(100);
    let offer = offer("a", "cpus:9;mem:9000", "");
    let (id, settings) = (instance(&app, 1), settings());
    let place = remaining(&offer).offer().placement.clone();
    let mut placed = Placed::new(&app);
    placed.add(&instance(&app, 2), Timestamp(99), &place);
    assert!(fit(&request(&app, &id, &settings), &mut remaining(&offer), &placed).is_ok());
    placed.add(&instance(&app, 3), Timestamp(100), &place);
    let refusal = fit(&request(&app, &id, &settings), &mut remaining(&offer), &placed);
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "constraint hostname UNIQUE: an instance is already on a"
    );
    placed.remove(&instance(&app, 3));
    assert!(fit(&request(&app, &id, &settings), &mut remaining(&offer), &placed).is_ok());
}

// === ports ===

#[test]
fn random_ports_are_next_to_each_other() {
    let mut app = app();
    app.port_definitions = (0..4).map(|port| definition(10_000 + port, None)).collect();
    let launch = try_fit(&app, &offer("a", "cpus:1;mem:128;ports:[31000-32000]", "")).unwrap();
    let ports = &launch.host_ports;
    assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] == 31_000), "{ports:?}");
    assert_eq!(resources(&launch).ports().unwrap().count(), 4);
    // The same seed takes the same.
    let again = try_fit(&app, &offer("a", "cpus:1;mem:128;ports:[31000-32000]", "")).unwrap();
    assert_eq!(again.task, launch.task);
}

#[test]
fn ports_come_from_all_ranges_when_one_is_not_enough() {
    let mut app = app();
    app.port_definitions = (0..5).map(|port| definition(10_000 + port, None)).collect();
    let offered = offer("a", "cpus:1;mem:128;ports:[10-11,20-21,30-30]", "");
    let mut ports = try_fit(&app, &offered).unwrap().host_ports;
    ports.sort_unstable();
    assert_eq!(ports, [10, 11, 20, 21, 30]);
    app.port_definitions.push(definition(10_009, None));
    assert_eq!(
        refused(&app, &offered),
        (Reason::InsufficientPorts, "needs 6 host ports, 5 left".to_owned())
    );
}

#[test]
fn required_ports_are_those_or_none() {
    let mut app = app();
    app.port_definitions = vec![definition(8080, None), definition(8081, None)];
    app.require_ports = true;
    let launch = try_fit(&app, &offer("a", "cpus:1;mem:128;ports:[8000-9000]", "")).unwrap();
    assert_eq!(launch.host_ports, [8080, 8081]);
    assert_eq!(
        refused(&app, &offer("a", "cpus:1;mem:128;ports:[8081-9000]", "")),
        (Reason::InsufficientPorts, "needs host port 8080, which is not offered".to_owned())
    );
}

#[test]
fn mappings_take_fixed_any_or_no_port() {
    let mut app = app();
    app.networks = vec![network(NetworkMode::Bridge, None)];
    let mappings = vec![
        mapping(80, Some(0)),
        mapping(81, None),
        mapping(82, Some(31_000)),
        mapping(0, Some(0)),
    ];
    app.container = Some(container(ContainerKind::Mesos, mappings));
    let launch = try_fit(&app, &offer("a", "cpus:1;mem:128;ports:[31000-31002]", "")).unwrap();
    assert_eq!(launch.host_ports.len(), 3);
    assert_eq!(launch.host_ports[1], 31_000);
    let network = &launch.task.container.unwrap().network_infos[0];
    assert_eq!(network.name.as_deref(), Some("mesos-bridge"));
    let pairs: Vec<(u32, u32)> =
        network.port_mappings.iter().map(|one| (one.container_port, one.host_port)).collect();
    let ports: Vec<u32> = launch.host_ports.iter().map(|port| u32::from(*port)).collect();
    assert_eq!(pairs, [(80, ports[0]), (82, 31_000), (ports[2], ports[2])]);
}

#[test]
fn a_port_keeps_the_reservation_it_was_offered_with() {
    let mut app = app();
    app.accepted_resource_roles = Some(["public".to_owned(), "*".to_owned()].into());
    app.port_definitions = vec![definition(80, None), definition(8080, None)];
    app.require_ports = true;
    let offered = offer("a", "cpus:1;mem:128;ports(public):[80-90];ports:[8000-9000]", "");
    let used = resources(&try_fit(&app, &offered).unwrap());
    assert!(used.reserved_to("public").ports().unwrap().contains_number(80));
    assert!(used.unreserved().ports().unwrap().contains_number(8080));
}

// === refusals ===

#[test]
fn the_funnels_count_each_offer_once() {
    let mut app = app();
    app.cpus = 2.0;
    let mut refusals = Refusals::default();
    for (host, cpus) in [("a", 1.5), ("b", 1.0), ("a", 0.5)] {
        let offer = remaining(&offer(host, &format!("cpus:{cpus};mem:1000"), ""));
        let refusal = try_fit_on(&app, offer.clone()).unwrap_err();
        refusals.refused(Timestamp(1), offer.offer(), refusal);
    }
    let roleless = remaining(&offer("c", "cpus(x):1", ""));
    let refusal = try_fit_on(&app, roleless.clone()).unwrap_err();
    refusals.refused(Timestamp(2), roleless.offer(), refusal);
    refusals.used(Timestamp(3));
    let step = |steps: [FunnelStep; 10], at: usize| (steps[at].declined, steps[at].processed);
    assert_eq!(step(refusals.launch_attempt(), 0), (1, 5));
    assert_eq!(step(refusals.launch_attempt(), 4), (3, 4));
    assert_eq!(step(refusals.launch_attempt(), 5), (0, 1));
    // Of agent a only the last refusal is known.
    assert_eq!(step(refusals.last_offers(), 0), (1, 3));
    assert_eq!(step(refusals.last_offers(), 4), (2, 2));
    assert_eq!((refusals.processed(), refusals.unused()), (5, 4));
    let top = refusals.top();
    assert_eq!((top[0].reason, top[0].agents), (Reason::InsufficientCpus, 2));
    assert_eq!(top[0].text, "needs 2 cpus, 1 left");
    refusals.agent_lost(&v1::AgentId { value: "agent-a".into() });
    assert_eq!(refusals.top()[0].agents, 1);
}

fn try_fit_on(app: &App, mut offer: RemainingOffer) -> Result<Launch, Refusal> {
    let (id, settings) = (instance(app, 1), settings());
    fit(&request(app, &id, &settings), &mut offer, &Placed::new(app))
}

// === what could ever be ===

#[test]
fn a_dry_run_warns_of_what_can_never_be() {
    let agent = |host: &str, resources: &str, attributes: &str| {
        let offer = Offer::from_proto(&offer(host, resources, attributes)).unwrap();
        KnownAgent { placement: offer.placement.clone(), total: offer.resources.clone() }
    };
    let agents = [
        agent("a", "cpus:4;mem:1000;ports:[8000-9000]", "rack:r1"),
        agent("b", "cpus:8;mem:500;ports:[31000-32000]", "rack:r2"),
    ];
    let warnings = |app: &App| could_ever_fit(app, &settings(), &agents);
    let mut wanted = app();
    assert!(warnings(&wanted).is_empty());
    wanted.cpus = 64.0;
    assert_eq!(warnings(&wanted), ["no agent has 64 cpus; the largest has 8"]);
    (wanted.cpus, wanted.mem) = (8.0, 1000.0);
    assert_eq!(warnings(&wanted), ["no single agent has all of the resources"]);
    let wanted = constrained(1, "rack", Operator::Like, Some("x.*"));
    assert_eq!(warnings(&wanted), ["constraint rack LIKE x.* matches no known agent"]);
    let wanted = constrained(3, "hostname", Operator::Unique, None);
    assert_eq!(warnings(&wanted), ["constraint hostname UNIQUE has room for 2 of 3 instances"]);
    let mut wanted = app();
    wanted.port_definitions = vec![definition(80, None)];
    wanted.require_ports = true;
    assert_eq!(warnings(&wanted), ["no agent offers host port 80"]);
    wanted.accepted_resource_roles = Some(["gone".to_owned()].into());
    assert_eq!(warnings(&wanted), ["no agent has resources of role gone"]);
    assert!(could_ever_fit(&wanted, &settings(), &[]).is_empty());
}

// === any app, any offer ===

fn any_app() -> impl Strategy<Value = App> {
    (1u32..40, 1u32..3000, 0usize..5, any::<bool>(), any::<bool>()).prop_map(
        |(cpus, mem, ports, bridge, roles)| {
            let mut app = app();
            (app.cpus, app.mem) = (f64::from(cpus) / 10.0, f64::from(mem));
            if bridge {
                app.networks = vec![network(NetworkMode::Bridge, None)];
                let ports = (0..ports).map(|at| mapping(80, [Some(0), None, Some(31_002)][at % 3]));
                let mut ports: Vec<_> = ports.collect();
                ports.truncate(3);
                app.container = Some(container(ContainerKind::Mesos, ports));
            } else {
                app.port_definitions = (0..ports).map(|_| definition(10_000, None)).collect();
            }
            if roles {
                app.accepted_resource_roles = Some(["r".to_owned(), "*".to_owned()].into());
            }
            app
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_taken_that_is_not_offered_and_no_port_twice(
        apps in prop::collection::vec(any_app(), 1..12),
        cpus in 1u32..20,
        reserved in 0u32..5,
        ranges in prop::collection::vec((31_000u64..31_020, 0u64..6), 0..4),
        seed in any::<u64>(),
    ) {
        let ranges: Vec<String> =
            ranges.iter().map(|(at, length)| format!("{at}-{}", at + length)).collect();
        let ports = if ranges.is_empty() { String::new() } else { format!(";ports:[{}]", ranges.join(",")) };
        let text = format!("cpus:{cpus};mem:9000;cpus(r):{reserved};mem(r):300;ports(r):[31500-31502]{ports}");
        let offered = offer("a", &text, "");
        let mut left = remaining(&offered);
        let all = left.left().clone();
        let (mut used, mut ports) = (Resources::new(), std::collections::BTreeSet::new());
        for (at, app) in apps.iter().enumerate() {
            let (id, settings) = (instance(app, at as u128), settings());
            let mut request = request(app, &id, &settings);
            request.seed = seed.wrapping_add(at as u64);
            let before = left.left().clone();
            match fit(&request, &mut left, &Placed::new(app)) {
                Ok(launch) => {
                    let mine = resources(&launch);
                    prop_assert_eq!(mine.cpus().unwrap().to_f64(), app.cpus);
                    prop_assert_eq!(mine.mem().unwrap().to_f64(), app.mem);
                    for port in launch.host_ports {
                        prop_assert!(ports.insert(port), "port {} twice", port);
                    }
                    used += mine;
                }
                Err(refusal) => {
                    prop_assert!(!refusal.reasons.is_empty());
                    prop_assert_eq!(left.left(), &before);
                }
            }
        }
        prop_assert!(all.contains(&used));
        prop_assert_eq!(&all - &used, left.left().clone());
        prop_assert_eq!(used.ports().map_or(0, |ports| ports.count()), ports.len() as u64);
    }

    #[test]
    fn the_index_is_what_a_recount_says(
        steps in prop::collection::vec((0u128..12, 0u64..4, 0usize..4, any::<bool>()), 0..60),
    ) {
        let mut app = constrained(9, "rack", Operator::GroupBy, Some("2"));
        app.constraints.push(constraint("hostname", Operator::Unique, None));
        app.version_info.last_config_change_at = Timestamp(2);
        let places: Vec<_> =
            RACKS.iter().map(|(host, attributes)| remaining(&offer(host, "cpus:1", attributes)).offer().placement.clone()).collect();
        let mut index = Placed::new(&app);
        let mut truth = std::collections::BTreeMap::new();
        for (number, version, place, add) in steps {
            let id = instance(&app, number);
            if add {
                index.add(&id, Timestamp(version), &places[place]);
                if version >= 2 {
                    truth.insert(id, Arc::clone(&places[place]));
                }
            } else {
                index.remove(&id);
                truth.remove(&id);
            }
        }
        let mut again = Placed::new(&app);
        truth.iter().for_each(|(id, place)| again.add(id, Timestamp(2), place));
        for field in ["rack", "hostname"] {
            prop_assert_eq!(index.values(field), again.values(field));
            let total: u32 = index.values(field).unwrap().values().sum();
            prop_assert_eq!(total as usize, truth.len());
        }
    }
}

// === the task ===

#[test]
fn a_docker_image_by_either_containerizer() {
    let mut app = app();
    let docker = Docker {
        image: "nginx:1".to_owned(),
        force_pull_image: true,
        privileged: false,
        parameters: vec![("add-host".to_owned(), "a:1".to_owned())],
        pull_config: None,
    };
    app.networks = vec![network(NetworkMode::Bridge, None)];
    let mut wrapped = container(ContainerKind::Docker, vec![mapping(80, Some(0))]);
    wrapped.docker = Some(docker);
    app.container = Some(wrapped);
    let offered = offer("a", "cpus:1;mem:128;ports:[31000-31000]", "");
    let info = try_fit(&app, &offered).unwrap().task.container.unwrap();
    assert_eq!(info.r#type(), v1::container_info::Type::Docker);
    let docker = info.docker.unwrap();
    assert_eq!(docker.network(), v1::container_info::docker_info::Network::Bridge);
    assert_eq!(docker.port_mappings[0].host_port, 31_000);
    let last = docker.parameters.last().unwrap();
    assert_eq!(last.key, "label");
    assert!(last.value.starts_with("MESOS_TASK_ID=prod_web.instance-"), "{}", last.value);
    app.container.as_mut().unwrap().kind = ContainerKind::Mesos;
    let info = try_fit(&app, &offered).unwrap().task.container.unwrap();
    let image = info.mesos.unwrap().image.unwrap();
    assert_eq!((image.docker.unwrap().name.as_str(), image.cached), ("nginx:1", Some(false)));
    assert!(info.docker.is_none());
}
