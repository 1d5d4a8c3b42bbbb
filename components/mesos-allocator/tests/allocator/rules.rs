//! One rule each.
use std::collections::BTreeSet;
use std::sync::Arc;

use mesos_allocator::{ConstraintLimits, MinAllocatable, OfferConstraints};
use mesos_messages::attributes;
use mesos_messages::resources::operation::Conversion;
use mesos_messages::v1;
use mesos_messages::v1::scheduler::attribute_constraint::predicate::Predicate;
use mesos_messages::v1::scheduler::attribute_constraint::selector::{
    PseudoattributeType, Selector,
};
use mesos_messages::v1::scheduler::attribute_constraint::{self, predicate};

use super::*;

fn cluster() -> Cluster {
    Cluster::new(PolicyConfig::default())
}

#[test]
fn all_that_is_free_goes_into_one_offer_and_comes_back() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64;ports:[1-9]"), &[]);
    let offer = it.one(0.0).unwrap();
    assert_eq!(show(&offer), "1 a 1: cpus:2; mem:64; ports:[1-9]");
    assert_eq!(offer.resources.allocation_role().map(|role| &**role), Some("a"));
    assert!(it.allocator.available(A1).is_empty());
    assert!(it.one(1.0).is_none());
    it.decline(&offer, None, 1.0);
    assert_eq!(it.allocator.available(A1), parse("cpus:2;mem:64;ports:[1-9]"));
    assert!(it.one(2.0).is_some());
}

#[test]
fn a_launch_keeps_its_part() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:4;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    let task = parse("cpus:1;mem:16").allocated("a");
    it.allocator.allocated(F1, A1, &task);
    let rest = &offer.resources - &task;
    it.allocator.recover(F1, A1, &rest, refuse(5.0), at(0.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:3;mem:48"));
    assert_eq!(it.allocator.held(F1), [(A1, task.clone())]);
    // Refused what is left, but more of it may come.
    assert!(it.one(1.0).is_none());
    it.allocator.recover(F1, A1, &task, None, at(1.0));
    assert_eq!(show(&it.one(2.0).unwrap()), "1 a 1: cpus:4; mem:64");
    assert!(it.allocator.held(F1).len() == 1);
}

#[test]
fn several_offers_may_be_accepted_together() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:4;mem:64"), &[]);
    let first = it.one(0.0).unwrap();
    it.allocator.recover(F1, A1, &parse("cpus:2;mem:32").allocated("a"), None, at(0.0));
    let second = it.one(1.0).unwrap();
    assert_eq!(show(&second), "1 a 1: cpus:2; mem:32");
    let task = parse("cpus:3;mem:48").allocated("a");
    it.allocator.allocated(F1, A1, &task);
    let rest = &first.resources - &task;
    it.allocator.recover(F1, A1, &rest, None, at(1.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:1;mem:16"));
    it.allocator.recover(F1, A1, &task, None, at(1.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:4;mem:64"));
    assert_eq!(it.allocator.report().offered_or_allocated.to_string(), "{}");
}

#[test]
fn more_than_is_held_does_not_come_back() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:4;mem:64"), &[(F1, parse("cpus:1").allocated("a"))]);
    it.allocator.recover(F1, A1, &parse("cpus:3").allocated("a"), None, at(0.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:4;mem:64"));
    it.allocator.recover(F1, A1, &parse("cpus:3").allocated("a"), None, at(0.0));
    it.allocator.recover(F2, A1, &parse("cpus:3").allocated("a"), None, at(0.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:4;mem:64"));
}

#[test]
fn the_least_served_client_comes_first() {
    let mut it = cluster();
    for key in [F1, F2] {
        it.allocator.add_framework(key, framework(&["a"]), true);
    }
    let one = parse("cpus:1;mem:64");
    it.allocator.add_agent(A1, agent("cpus:9;mem:640"), &[(F1, one.allocated("a"))]);
    assert_eq!(it.one(0.0).unwrap().framework, F2);
}

#[test]
fn equals_take_turns() {
    let mut it = cluster();
    for key in [F1, F2, F3] {
        it.allocator.add_framework(key, framework(&["a"]), true);
    }
    it.allocator.add_agent(A1, agent("cpus:9;mem:640"), &[]);
    let mut served = Vec::new();
    for second in 0..6 {
        let offer = it.one(f64::from(second)).unwrap();
        it.decline(&offer, None, f64::from(second));
        served.push(offer.framework.0);
    }
    assert_eq!(served, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn roles_come_before_frameworks_and_weights_count() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_framework(F2, framework(&["b"]), true);
    let used = [(F1, parse("cpus:2").allocated("a")), (F2, parse("cpus:3").allocated("b"))];
    it.allocator.add_agent(A1, agent("cpus:10;mem:640"), &used);
    let offer = it.one(0.0).unwrap();
    assert_eq!(offer.framework, F1);
    it.decline(&offer, None, 0.0);
    it.allocator.set_weight("b", 2.0);
    let offer = it.one(1.0).unwrap();
    assert_eq!(offer.framework, F2);
    it.decline(&offer, None, 1.0);
    let report = it.allocator.report();
    let shares: Vec<(String, f64, f64)> = report
        .roles
        .iter()
        .map(|role| (role.role.to_string(), role.weight, role.dominant_share))
        .collect();
    assert_eq!(shares, [("a".to_owned(), 1.0, 0.2), ("b".to_owned(), 2.0, 0.15)]);
    assert_eq!(report.offered_or_allocated.to_string(), "cpus:5");
    assert_eq!(report.allocation_runs, 2);
}

#[test]
fn strict_priority_serves_the_higher_role_however_much_it_has() {
    let mut it = Cluster::new(strict(&[("prod", 10)]));
    it.allocator.add_framework(F1, framework(&["batch"]), true);
    it.allocator.add_framework(F2, framework(&["prod"]), true);
    it.allocator.add_framework(F3, framework(&["prod/web"]), true);
    let used = [(F2, parse("cpus:8;mem:500").allocated("prod"))];
    it.allocator.add_agent(A1, agent("cpus:10;mem:640"), &used);
    let mut order = Vec::new();
    for second in 0..3 {
        let offer = it.one(f64::from(second)).unwrap();
        order.push(offer.role.to_string());
        it.decline(&offer, refuse(60.0), f64::from(second));
    }
    assert_eq!(order, ["prod/web", "prod", "batch"]);
}

#[test]
fn reserved_resources_go_to_their_role_and_below() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_framework(F2, framework(&["a/x"]), true);
    it.allocator.add_framework(F3, framework(&["b"]), true);
    it.allocator.add_agent(A1, agent("cpus(a):2;mem(a):64;cpus(a/x):1;mem:64"), &[]);
    let offers = it.allocate(0.0);
    let b: Vec<_> = offers.iter().filter(|offer| offer.framework == F3).collect();
    assert!(b.iter().all(|offer| offer.resources.reserved().is_empty()), "{b:?}");
    let reserved_to = |framework| {
        let own = offers.iter().filter(move |offer| offer.framework == framework);
        own.fold(Resources::new(), |sum, offer| &sum + &offer.resources.unallocated().reserved())
    };
    assert_eq!(&reserved_to(F1) + &reserved_to(F2), parse("cpus(a):2;mem(a):64;cpus(a/x):1"));
    // What is reserved to the child is not the parent's.
    assert!(reserved_to(F1).reserved_to("a/x").is_empty());
}

#[test]
fn parts_for_several_roles_are_offered_in_one_pass() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_framework(F2, framework(&["b"]), true);
    it.allocator.add_agent(A1, agent("cpus(a):1;cpus(b):2"), &[]);
    assert_eq!(
        it.offered(0.0),
        ["1 a 1: cpus(reservations: [(STATIC,a)]):1", "2 b 1: cpus(reservations: [(STATIC,b)]):2"]
    );
}

#[test]
fn suppressed_roles_get_nothing_until_revived() {
    let mut it = cluster();
    let mut spec = framework(&["a", "b"]);
    spec.suppressed = vec!["a".to_owned()];
    it.allocator.add_framework(F1, spec, true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    assert_eq!(&*offer.role, "b");
    it.decline(&offer, refuse(100.0), 0.0);
    assert!(it.one(1.0).is_none());
    it.allocator.revive(F1, &["a".to_owned()]);
    assert!(it.allocator.is_dirty());
    let offer = it.allocator.allocate_dirty(at(1.0), 1).pop().unwrap();
    assert_eq!(&*offer.role, "a");
    it.decline(&offer, None, 1.0);
    it.allocator.suppress(F1, &[]);
    assert!(it.one(2.0).is_none());
    it.allocator.revive(F1, &[]);
    assert!(it.one(3.0).is_some());
}

#[test]
fn an_update_replaces_the_suppressed_roles_and_revives_the_others() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    it.decline(&offer, refuse(100.0), 0.0);
    let mut suppressed = framework(&["a"]);
    suppressed.suppressed = vec!["a".to_owned()];
    // Without a change of the suppressed roles, filters stay.
    it.allocator.update_framework(F1, framework(&["a"]));
    assert!(it.one(1.0).is_none());
    it.allocator.update_framework(F1, suppressed);
    assert!(it.one(2.0).is_none());
    it.allocator.update_framework(F1, framework(&["a"]));
    assert!(it.one(3.0).is_some());
}

#[test]
fn a_framework_keeps_what_it_holds_in_a_role_it_left() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[(F1, parse("cpus:1").allocated("a"))]);
    it.allocator.update_framework(F1, framework(&["b"]));
    assert_eq!(show(&it.one(0.0).unwrap()), "1 b 1: cpus:1; mem:64");
    assert_eq!(it.allocator.report().roles.len(), 2);
    it.allocator.recover(F1, A1, &parse("cpus:1").allocated("a"), None, at(0.0));
    let roles: Vec<String> =
        it.allocator.report().roles.iter().map(|role| role.role.to_string()).collect();
    assert_eq!(roles, ["b"]);
}

#[test]
fn filters_hold_until_they_are_over() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    it.decline(&offer, refuse(5.0), 0.5);
    assert_eq!(it.allocator.report().roles[0].active_filters, 1);
    for second in 1..=5 {
        assert!(it.one(f64::from(second)).is_none());
    }
    assert!(it.one(6.0).is_some());
    assert_eq!(it.allocator.report().roles[0].active_filters, 0);
}

#[test]
fn short_filters_last_one_batch_and_zero_none() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    it.decline(&offer, refuse(0.001), 0.0);
    assert!(it.one(1.0).is_none());
    let offer = it.one(2.0).unwrap();
    it.decline(&offer, refuse(0.0), 2.0);
    assert!(it.one(3.0).is_some());
}

#[test]
fn filters_let_more_resources_through() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    let task = parse("cpus:1;mem:32").allocated("a");
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[(F1, task.clone())]);
    let offer = it.one(0.0).unwrap();
    assert_eq!(show(&offer), "1 a 1: cpus:1; mem:32");
    it.decline(&offer, refuse(100.0), 0.0);
    assert!(it.one(1.0).is_none());
    it.allocator.recover(F1, A1, &task, None, at(1.0));
    let offer = it.one(2.0).unwrap();
    assert_eq!(show(&offer), "1 a 1: cpus:2; mem:64");
    // Less is filtered too.
    it.allocator.recover(F1, A1, &offer.resources, refuse(100.0), at(2.0));
    let mut smaller = agent("cpus:1.5;mem:64");
    it.allocator.update_agent(A1, smaller.clone());
    assert!(it.one(3.0).is_none());
    smaller.attributes = attributes::parse("rack:1").unwrap();
    it.allocator.update_agent(A1, smaller);
    assert!(it.one(4.0).is_some());
}

#[test]
fn filters_are_of_one_role_of_one_framework() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a", "b"]), true);
    it.allocator.add_framework(F2, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    let mut seen = BTreeSet::new();
    for second in 0..3 {
        let offer = it.one(f64::from(second)).unwrap();
        it.decline(&offer, refuse(100.0), f64::from(second));
        seen.insert((offer.framework.0, offer.role.to_string()));
    }
    assert_eq!(seen.len(), 3);
    assert!(it.one(4.0).is_none());
    it.allocator.deactivate_framework(F2);
    it.allocator.activate_framework(F2);
    assert_eq!(it.one(5.0).unwrap().framework, F2);
}

#[test]
fn many_filters_do_not_hide_the_one_who_did_not_refuse() {
    let mut it = cluster();
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    for key in 0..40 {
        it.allocator.add_framework(FrameworkKey(key), framework(&["a"]), true);
    }
    let mut served = BTreeSet::new();
    for step in 0..40 {
        let offer = it.one(f64::from(step) * 0.1).unwrap();
        it.decline(&offer, refuse(1000.0), f64::from(step) * 0.1);
        served.insert(offer.framework);
    }
    assert_eq!(served.len(), 40);
    assert!(it.one(5.0).is_none());
    assert!(it.one(6.0).is_none());
    it.allocator.revive(FrameworkKey(17), &[]);
    assert_eq!(it.one(7.0).unwrap().framework, FrameworkKey(17));
    assert_eq!(it.allocator.report().roles[0].active_filters, 39);
}

#[test]
fn what_is_too_small_is_not_offered() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:0.009;mem:31;disk:999"), &[]);
    assert!(it.one(0.0).is_none());
    let mut own = framework(&["a"]);
    own.min_allocatable.insert("a".to_owned(), MinAllocatable::parse("disk:500").unwrap());
    it.allocator.update_framework(F1, own.clone());
    assert!(it.one(1.0).is_some());
    it.allocator.remove_framework(F1);
    own.min_allocatable.insert("a".to_owned(), MinAllocatable::parse("disk:5000").unwrap());
    it.allocator.add_framework(F1, own, true);
    it.allocator.add_agent(A2, agent("cpus:8;mem:999;disk:4999"), &[]);
    assert!(it.one(2.0).is_none());
}

#[test]
fn only_active_frameworks_and_agents_take_part() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), false);
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[]);
    assert!(it.one(0.0).is_none());
    it.allocator.activate_framework(F1);
    it.allocator.deactivate_agent(A1);
    assert!(it.one(1.0).is_none());
    it.allocator.activate_agent(A1);
    let offer = it.one(2.0).unwrap();
    it.decline(&offer, None, 2.0);
    it.allocator.set_whitelist(Some(BTreeSet::from(["other".to_owned()])));
    assert!(it.one(3.0).is_none());
    it.allocator.set_whitelist(None);
    assert!(it.one(4.0).is_some());
}

#[test]
fn removing_frees_what_was_held() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    let used = parse("cpus:1").allocated("a");
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[(F1, used)]);
    let offer = it.one(0.0).unwrap();
    it.allocator.remove_framework(F1);
    assert_eq!(it.allocator.available(A1), parse("cpus:2;mem:64"));
    // Late words about it change nothing.
    it.decline(&offer, refuse(5.0), 0.0);
    it.allocator.revive(F1, &[]);
    assert_eq!(it.allocator.available(A1), parse("cpus:2;mem:64"));
    assert!(it.allocator.report().roles.is_empty());

    it.allocator.add_framework(F2, framework(&["a"]), true);
    let offer = it.one(1.0).unwrap();
    it.allocator.remove_agent(A1);
    it.decline(&offer, refuse(5.0), 1.0);
    let report = it.allocator.report();
    assert_eq!(report.offered_or_allocated.to_string(), "{}");
    assert_eq!(report.total.to_string(), "{}");
    assert!(it.one(2.0).is_none());
}

#[test]
fn an_agent_may_come_before_the_framework_that_uses_it() {
    let mut it = cluster();
    let used = parse("cpus:1;mem:32").allocated("a");
    it.allocator.add_agent(A1, agent("cpus:2;mem:64"), &[(F1, used.clone())]);
    assert_eq!(it.allocator.available(A1), parse("cpus:1;mem:32"));
    assert!(it.one(0.0).is_none());
    it.allocator.add_framework(F1, framework(&["a"]), true);
    assert_eq!(it.allocator.held(F1), [(A1, used)]);
    assert!(it.one(1.0).is_some());
}

#[test]
fn an_agent_that_shrank_below_its_use_offers_nothing_until_it_fits() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    let used = parse("cpus:3;mem:64").allocated("a");
    it.allocator.add_agent(A1, agent("cpus:4;mem:128"), &[(F1, used)]);
    it.allocator.update_agent(A1, agent("cpus:2;mem:64"));
    assert!(it.one(0.0).is_none());
    it.allocator.recover(F1, A1, &parse("cpus:1;mem:32").allocated("a"), None, at(0.0));
    assert_eq!(it.allocator.available(A1), parse("mem:32"));
    it.allocator.recover(F1, A1, &parse("cpus:2;mem:32").allocated("a"), None, at(0.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:2;mem:64"));
}

fn capable(change: impl FnOnce(&mut FrameworkCapabilities)) -> FrameworkSpec {
    let mut spec = framework(&["a"]);
    change(&mut spec.capabilities);
    spec
}

#[test]
fn gpus_are_for_those_who_know_them() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;gpus:1"), &[]);
    assert!(it.one(0.0).is_none());
    it.allocator.update_framework(F1, capable(|can| can.gpu_resources = true));
    assert!(it.one(1.0).is_some());

    let mut it = Cluster::new(PolicyConfig { filter_gpu_resources: false, ..Default::default() });
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:2;gpus:1"), &[]);
    assert!(it.one(0.0).is_some());
}

#[test]
fn remote_regions_are_for_those_who_know_them() {
    let config = PolicyConfig { local_region: Some("home".to_owned()), ..PolicyConfig::default() };
    let mut it = Cluster::new(config);
    it.allocator.add_framework(F1, framework(&["a"]), true);
    let mut remote = agent("cpus:2");
    remote.region = Some("away".to_owned());
    it.allocator.add_agent(A1, remote, &[]);
    assert!(it.one(0.0).is_none());
    it.allocator.update_framework(F1, capable(|can| can.region_aware = true));
    assert!(it.one(1.0).is_some());
    let mut local = agent("cpus:2");
    local.region = Some("home".to_owned());
    it.allocator.add_agent(A2, local, &[]);
    it.allocator.update_framework(F1, framework(&["a"]));
    assert_eq!(it.one(2.0).unwrap().agent, A2);
}

#[test]
fn old_agents_do_not_get_multi_role_frameworks_nor_nested_roles() {
    let old = |multi_role, hierarchical_role| {
        let mut spec = agent("cpus:2");
        spec.capabilities = AgentCapabilities { multi_role, hierarchical_role };
        spec
    };
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, old(false, false), &[]);
    assert!(it.one(0.0).is_none());
    it.allocator.update_framework(F1, capable(|can| can.multi_role = false));
    let offer = it.one(1.0).unwrap();
    it.decline(&offer, None, 1.0);
    it.allocator.update_framework(F1, framework(&["a/b"]));
    it.allocator.update_agent(A1, old(true, false));
    assert!(it.one(2.0).is_none());
    it.allocator.update_agent(A1, old(true, true));
    assert!(it.one(3.0).is_some());
}

#[test]
fn revocable_and_refined_resources_are_for_those_who_know_them() {
    let mut wire = parse("cpus:2;cpus(a):1;mem:64").to_proto();
    wire[0].revocable = Some(v1::resource::RevocableInfo {});
    wire[1].reservations.push(v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some("a/b".to_owned()),
        ..Default::default()
    });
    let mut spec = agent("");
    spec.total = Resources::from_proto(&wire).unwrap();
    let offered = |can: FrameworkCapabilities| {
        let mut it = cluster();
        it.allocator.add_framework(
            F1,
            FrameworkSpec { capabilities: can, ..framework(&["a/b"]) },
            true,
        );
        it.allocator.add_agent(A1, spec.clone(), &[]);
        it.one(0.0).unwrap().resources.unallocated().to_string()
    };
    assert_eq!(offered(FrameworkCapabilities::default()), "mem:64");
    assert_eq!(
        offered(FrameworkCapabilities { revocable_resources: true, ..Default::default() }),
        "cpus{REV}:2; mem:64"
    );
    assert_eq!(
        offered(FrameworkCapabilities { reservation_refinement: true, ..Default::default() }),
        "cpus(reservations: [(STATIC,a),(DYNAMIC,a/b)]):1; mem:64"
    );
}

#[test]
fn shared_volumes_are_offered_once_in_a_pass_although_in_use() {
    let mut wire = parse("disk(a):64;cpus:4;mem:512").to_proto();
    wire[0].disk = Some(
        v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence {
                id: "v".to_owned(),
                principal: None,
            }),
            ..Default::default()
        }
        .into(),
    );
    wire[0].shared = Some(v1::resource::SharedInfo {});
    let total = Resources::from_proto(&wire).unwrap();
    let mut it = cluster();
    it.allocator.add_framework(F1, capable(|can| can.shared_resources = true), true);
    it.allocator.add_framework(F2, capable(|can| can.shared_resources = true), true);
    it.allocator.add_framework(F3, framework(&["a"]), true);
    let mut spec = agent("");
    spec.total = total.clone();
    it.allocator.add_agent(A1, spec, &[]);
    let offers = it.allocate(0.0);
    let sharing: Vec<_> =
        offers.iter().filter(|offer| !offer.resources.shared().is_empty()).collect();
    assert_eq!(sharing.len(), 1, "{offers:?}");
    assert!(offers.iter().all(|offer| offer.framework != F3));
    let first = sharing[0].clone();
    assert_eq!(it.allocator.available(A1), total.shared());

    // In use, and offered again with the rest.
    let task = &parse("cpus:1;mem:32").allocated("a") + &first.resources.shared();
    it.allocator.allocated(first.framework, A1, &task);
    let rest = &first.resources.non_shared() - &parse("cpus:1;mem:32").allocated("a");
    it.allocator.recover(first.framework, A1, &rest, None, at(0.0));
    let second = it.allocate(1.0);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].resources.shared(), first.resources.shared());
    // It counts once, for however many.
    let report = it.allocator.report();
    assert_eq!(report.offered_or_allocated.to_string(), "cpus:4; disk:64; mem:512");
    for (framework, agent, resources) in
        [(second[0].framework, A1, second[0].resources.clone()), (first.framework, A1, task)]
    {
        it.allocator.recover(framework, agent, &resources, None, at(1.0));
    }
    assert_eq!(it.allocator.available(A1), total);
    assert_eq!(it.allocator.report().offered_or_allocated.to_string(), "{}");
}

#[test]
fn operations_change_the_offer_and_the_total() {
    let mut it = cluster();
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_agent(A1, agent("cpus:4;mem:64"), &[]);
    let offer = it.one(0.0).unwrap();
    let in_role =
        Conversion::new(parse("cpus:1").allocated("a"), parse("cpus(a):1").allocated("a"));
    it.allocator.convert(F1, A1, &offer.resources, std::slice::from_ref(&in_role));
    let converted = offer.resources.convert(&in_role).unwrap();
    assert_eq!(it.allocator.held(F1), [(A1, converted.clone())]);
    it.allocator.recover(F1, A1, &converted, refuse(5.0), at(0.0));
    assert_eq!(it.allocator.available(A1), parse("cpus:3;mem:64;cpus(a):1"));
    assert_eq!(it.allocator.report().total.to_string(), "cpus:4; mem:64");
}

fn constraint(selector: Selector, predicate: Predicate) -> v1::scheduler::AttributeConstraint {
    v1::scheduler::AttributeConstraint {
        selector: attribute_constraint::Selector { selector: Some(selector) },
        predicate: attribute_constraint::Predicate { predicate: Some(predicate) },
    }
}

fn constraints(list: Vec<v1::scheduler::AttributeConstraint>) -> v1::scheduler::OfferConstraints {
    use v1::scheduler::offer_constraints::{RoleConstraints, role_constraints::Group};
    let groups = vec![Group { attribute_constraints: list }];
    v1::scheduler::OfferConstraints {
        role_constraints: BTreeMap::from([("a".to_owned(), RoleConstraints { groups })]),
    }
}

fn named(name: &str) -> Selector {
    Selector::AttributeName(name.to_owned())
}

fn matches(regex: &str) -> Predicate {
    Predicate::TextMatches(predicate::TextMatches { regex: regex.to_owned() })
}

#[test]
fn offer_constraints_choose_agents() {
    let compile =
        |wire| Arc::new(OfferConstraints::compile(&wire, ConstraintLimits::default()).unwrap());
    let fits = |list: Vec<v1::scheduler::AttributeConstraint>| {
        let mut it = cluster();
        let mut spec = framework(&["a"]);
        spec.constraints = Some(compile(constraints(list)));
        it.allocator.add_framework(F1, spec, true);
        let mut agent = agent("cpus:2");
        agent.attributes = attributes::parse("rack:r-12;level:3;rack:other").unwrap();
        agent.zone = Some("z1".to_owned());
        it.allocator.add_agent(A1, agent, &[]);
        let offered = it.one(0.0).is_some();
        assert_eq!(it.allocator.excluded_by_constraints(F1, &"a".into()).is_empty(), offered);
        offered
    };
    let text = |value: &str| value.to_owned();
    let equals = |value: &str| Predicate::TextEquals(predicate::TextEquals { value: text(value) });
    let differs =
        |value: &str| Predicate::TextNotEquals(predicate::TextNotEquals { value: text(value) });
    let exists = || Predicate::Exists(predicate::Exists {});
    let absent = || Predicate::NotExists(predicate::NotExists {});
    let pseudo = |kind: PseudoattributeType| Selector::PseudoattributeType(kind as i32);

    for (selector, predicate, expected) in [
        (named("rack"), exists(), true),
        (named("none"), exists(), false),
        (named("none"), absent(), true),
        (named("rack"), equals("r-12"), true),
        // Only the first attribute of a name counts.
        (named("rack"), equals("other"), false),
        (named("rack"), differs("r-12"), false),
        (named("none"), equals(""), false),
        (named("none"), differs("x"), true),
        // Text predicates hold for what is not text.
        (named("level"), equals("4"), true),
        (named("level"), differs("3"), true),
        (named("rack"), matches("r-[0-9]+"), true),
        // The whole must match.
        (named("rack"), matches("r-1"), false),
        (named("none"), matches(".*"), false),
        (pseudo(PseudoattributeType::Hostname), equals("host"), true),
        (pseudo(PseudoattributeType::Zone), matches("z.|y"), true),
        (pseudo(PseudoattributeType::Region), exists(), false),
    ] {
        let shown = format!("{selector:?} {predicate:?}");
        assert_eq!(fits(vec![constraint(selector, predicate)]), expected, "{shown}");
    }
    assert!(!fits(vec![constraint(named("rack"), exists()), constraint(named("none"), exists())]));
}

#[test]
fn constraints_follow_the_agent_and_the_framework() {
    let list = vec![constraint(named("rack"), matches("r1"))];
    let compiled =
        OfferConstraints::compile(&constraints(list), ConstraintLimits::default()).unwrap();
    let mut it = cluster();
    let mut spec = framework(&["a"]);
    spec.constraints = Some(Arc::new(compiled));
    it.allocator.add_framework(F1, spec, true);
    it.allocator.add_agent(A1, agent("cpus:2"), &[]);
    assert!(it.one(0.0).is_none());
    let mut changed = agent("cpus:2");
    changed.attributes = attributes::parse("rack:r1").unwrap();
    it.allocator.update_agent(A1, changed);
    let offer = it.one(1.0).unwrap();
    it.decline(&offer, None, 1.0);
    it.allocator.update_agent(A1, agent("cpus:2"));
    assert!(it.one(2.0).is_none());
    it.allocator.update_framework(F1, framework(&["a"]));
    assert!(it.one(3.0).is_some());
}

#[test]
fn bad_constraints_are_refused() {
    let error = |wire: v1::scheduler::OfferConstraints| {
        OfferConstraints::compile(&wire, ConstraintLimits::default()).unwrap_err()
    };
    let pattern = |regex: &str| error(constraints(vec![constraint(named("x"), matches(regex))]));
    assert!(pattern("(").contains("Failed to construct regex from pattern '('"));
    assert!(pattern("a)|(b").contains("Failed to construct regex"));
    assert!(pattern("(a{100}){100}{100}").contains("is too complex"));
    assert!(pattern(&"a".repeat(5000)).contains("is too complex"));
    assert!(error(constraints(Vec::new())).contains("contains an empty"));
    let unknown = constraint(Selector::PseudoattributeType(0), matches("x"));
    assert_eq!(
        error(constraints(vec![unknown])),
        "A role a has an invalid 'AttributeConstraint': Unknown pseudoattribute type"
    );
}

#[test]
fn events_mark_the_agents_worth_a_pass() {
    let mut it = cluster();
    assert!(!it.allocator.is_dirty());
    it.allocator.add_agent(A1, agent("cpus:2"), &[]);
    assert!(it.allocator.is_dirty());
    assert!(it.allocator.allocate_dirty(at(0.0), 1).is_empty());
    assert!(!it.allocator.is_dirty());
    it.allocator.add_framework(F1, framework(&["a"]), true);
    let offer = it.allocator.allocate_dirty(at(0.0), 1).pop().unwrap();
    // Resources that come back wait for the regular pass.
    it.decline(&offer, None, 0.0);
    assert!(!it.allocator.is_dirty());
    it.allocator.add_agent(A2, agent("cpus:2"), &[]);
    let offers = it.allocator.allocate_dirty(at(0.0), 1);
    assert_eq!(offers.iter().map(|offer| offer.agent).collect::<Vec<_>>(), [A2]);
    it.allocator.update_agent(A1, agent("cpus:3"));
    let offers = it.allocator.allocate_dirty(at(0.0), 1);
    assert_eq!(offers.iter().map(|offer| offer.agent).collect::<Vec<_>>(), [A1]);
}

#[test]
fn excluded_resources_do_not_count_in_shares() {
    let config = PolicyConfig {
        fair_sharing_excluded: vec!["gpus".to_owned()],
        filter_gpu_resources: false,
        ..PolicyConfig::default()
    };
    let mut it = Cluster::new(config);
    it.allocator.add_framework(F1, framework(&["a"]), true);
    it.allocator.add_framework(F2, framework(&["b"]), true);
    let used = [(F1, parse("gpus:4").allocated("a")), (F2, parse("cpus:1").allocated("b"))];
    it.allocator.add_agent(A1, agent("cpus:10;gpus:4"), &used);
    assert_eq!(it.one(0.0).unwrap().framework, F1);
}
