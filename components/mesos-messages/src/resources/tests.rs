//! The algebra's laws, on resources of every kind.
use proptest::prelude::*;

use super::*;
use crate::v1;
use crate::v1::resource::disk_info::source::Type as SourceType;
use crate::v1::resource::disk_info::{Persistence, Source};
use crate::v1::resource::reservation_info::Type as ReservationType;
use crate::v1::resource::{AllocationInfo, DiskInfo, ReservationInfo, RevocableInfo, SharedInfo};

fn wire(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").unwrap().to_proto()
}

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn dynamic(role: &str) -> ReservationInfo {
    ReservationInfo {
        r#type: Some(ReservationType::Dynamic as i32),
        role: Some(role.to_owned()),
        principal: Some("ops".to_owned()),
        labels: None,
    }
}

fn disk(source: Option<SourceType>, persistence: Option<&str>) -> DiskInfo {
    DiskInfo {
        persistence: persistence.map(|id| Persistence { id: id.to_owned(), principal: None }),
        volume: None,
        source: source.map(|kind| Source { r#type: kind as i32, ..Source::default() }),
    }
}

fn with_disk(amount: &str, info: DiskInfo) -> v1::Resource {
    let mut resource = wire(&format!("disk:{amount}")).remove(0);
    resource.disk = Some(info.into());
    resource
}

fn of(resources: &[v1::Resource]) -> Resources {
    Resources::from_proto(resources).unwrap()
}

/// Any one valid wire resource, from a space small enough that they meet.
fn any_resource() -> impl Strategy<Value = v1::Resource> {
    let value = prop_oneof![
        4 => (prop_oneof![Just("cpus"), Just("mem"), Just("disk"), Just("x")], 1u32..5000)
            .prop_map(|(name, thousandths)| {
                let mut resource = wire("cpus:1").remove(0);
                resource.name = name.to_owned();
                resource.scalar =
                    Some(v1::value::Scalar { value: f64::from(thousandths) / 1000.0 });
                resource
            }),
        2 => prop::collection::vec((0u64..40, 0u64..6), 1..4).prop_map(|pairs| {
            let ranges = pairs.into_iter().map(|(begin, more)| Range { begin, end: begin + more });
            Resources::of_ranges("ports", Ranges::new(ranges.collect())).to_proto().remove(0)
        }),
        1 => prop::collection::btree_set("[a-d]", 1..4).prop_map(|items| {
            let mut resource = wire("r:{a}").remove(0);
            resource.set = Some(v1::value::Set { item: items.into_iter().collect() });
            resource
        }),
    ];
    let facts = (0u8..12, prop::option::of(prop_oneof![Just("a"), Just("b")]), any::<bool>());
    (value, facts).prop_map(|(mut resource, (kind, role, revocable))| {
        match kind {
            0 => resource.reservations = vec![dynamic("eng")],
            1 => resource.reservations = vec![dynamic("eng"), dynamic("eng/prod")],
            2 | 3 if resource.name == "disk" => {
                let source = [None, Some(SourceType::Path)][usize::from(kind - 2)];
                resource.disk = Some(disk(source, None).into());
            }
            4 if resource.name == "disk" => {
                resource.disk = Some(disk(Some(SourceType::Mount), None).into());
            }
            5 | 6 if resource.name == "disk" => {
                resource.disk = Some(disk(None, Some("v1")).into());
                resource.shared = (kind == 6).then_some(SharedInfo {});
            }
            _ => {}
        }
        let provider = (kind == 7).then(|| v1::ResourceProviderId { value: "rp".to_owned() });
        resource.provider_id = provider;
        resource.revocable = (revocable && kind > 8).then_some(RevocableInfo {});
        resource.allocation_info = role.map(|role| AllocationInfo { role: Some(role.to_owned()) });
        resource
    })
}

fn any_resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(any_resource(), 0..7).prop_map(|wire| of(&wire))
}

/// Sets and ranges merge what overlaps; for these the laws hold only between disjoint ones.
fn disjoint(left: &Resources, right: &Resources) -> bool {
    left.iter().all(|mine| {
        right.iter().all(|theirs| match (mine.value(), theirs.value()) {
            (Value::Scalar(_), _) | (_, Value::Scalar(_)) => true,
            (Value::Ranges(mine), Value::Ranges(theirs)) => mine.difference(theirs) == *mine,
            (Value::Set(mine), Value::Set(theirs)) => mine.difference(theirs) == *mine,
            _ => true,
        })
    })
}

fn amounts(resources: &Resources) -> Vec<(String, Scalar)> {
    let names = ["cpus", "mem", "disk", "x"];
    names
        .iter()
        .map(|name| (name.to_string(), resources.scalar(name).unwrap_or_default()))
        .collect()
}

proptest! {
    #[test]
    fn adding_and_taking_away_changes_nothing(a in any_resources(), b in any_resources()) {
        prop_assume!(disjoint(&a, &b));
        let sum = &a + &b;
        prop_assert!(sum.contains(&b));
        prop_assert_eq!(&sum - &b, a);
    }

    #[test]
    fn adding_commutes_and_associates(
        a in any_resources(), b in any_resources(), c in any_resources()
    ) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
    }

    #[test]
    fn containing_is_a_partial_order(
        a in any_resources(), b in any_resources(), c in any_resources()
    ) {
        prop_assert!(a.contains(&a));
        prop_assert!(a.contains(&Resources::new()));
        if a.contains(&b) && b.contains(&c) {
            prop_assert!(a.contains(&c));
        }
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        prop_assert!((&sum + &c).contains(&sum));
    }

    #[test]
    fn nothing_is_invented(a in any_resources(), b in any_resources()) {
        for (((name, a), (_, b)), (_, left)) in
            amounts(&a).into_iter().zip(amounts(&b)).zip(amounts(&(&a - &b)))
        {
            prop_assert!(left <= a && left >= Scalar::ZERO, "{} {} {}", name, a, b);
        }
        let sum = &a + &b;
        let plain = |resources: &Resources| amounts(&resources.non_shared());
        for (((_, a), (_, b)), (_, both)) in
            plain(&a).into_iter().zip(plain(&b)).zip(plain(&sum))
        {
            prop_assert_eq!(a + b, both);
        }
        prop_assert!(a.contains(&(&a - &b)));
        let parts = &(&a.reserved() + &a.unreserved());
        prop_assert_eq!(parts, &a);
        prop_assert_eq!(amounts(&a.to_unreserved().non_shared()), amounts(&a.non_shared()));
    }

    #[test]
    fn allocating_only_names_a_role(a in any_resources()) {
        let plain = a.unallocated();
        let allocated = a.allocated("eng");
        prop_assert_eq!(allocated.unallocated(), plain.clone());
        prop_assert!(allocated.iter().all(|entry| entry.allocation_role() == Some("eng")));
        prop_assert_eq!(plain.allocated("eng"), allocated.clone());
        prop_assert!(plain.is_empty() || !plain.contains(&allocated));
        let by_role = allocated.allocations();
        prop_assert_eq!(by_role.values().fold(Resources::new(), |sum, part| &sum + part), allocated);
    }

    #[test]
    fn the_wire_keeps_everything(a in any_resources()) {
        // Copies of a shared resource are a count of ours; the wire tells of one.
        let once = of(&a.to_proto());
        prop_assert_eq!(once.non_shared(), a.non_shared());
        prop_assert_eq!(of(&once.to_proto()), once.clone());
        prop_assert_eq!(of(&a.to_proto_endpoint()), once.clone());
        match a.to_proto_pre_refinement() {
            Ok(old) => prop_assert_eq!(of(&old), once),
            Err(error) => {
                prop_assert_eq!(error, ResourceError::Refined);
                prop_assert!(a.has_refined_reservations());
            }
        }
    }

    #[test]
    fn what_is_printed_is_read_back(a in any_resources()) {
        let plain = a.filter(|item| {
            !item.is_reserved() && item.disk().is_none() && !item.is_revocable()
                && item.provider_id().is_none()
        });
        let plain = plain.unallocated();
        if !plain.is_empty() {
            prop_assert_eq!(parse(&plain.to_string()), plain);
        }
    }

    #[test]
    fn reserving_is_undone(a in any_resources()) {
        let plain = a.to_unreserved();
        let once = plain.push_reservation(&dynamic("eng")).unwrap();
        let twice = once.push_reservation(&dynamic("eng/prod")).unwrap();
        prop_assert!(plain.is_empty() || twice.push_reservation(&dynamic("ops")).is_err());
        prop_assert_eq!(twice.pop_reservation().unwrap(), once.clone());
        prop_assert_eq!(once.pop_reservation().unwrap(), plain.clone());
        prop_assert_eq!(twice.to_unreserved(), plain);
        prop_assert_eq!(twice.allocatable_to("eng/prod/x"), twice.clone());
        prop_assert!(twice.allocatable_to("eng").is_empty());
    }

    #[test]
    fn foreign_bytes_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
        fuzz::resource_text(&data);
        fuzz::resource_proto(&data);
        fuzz::resource_text(text.as_bytes());
    }

    #[test]
    fn text_near_the_syntax_does_no_harm(text in "((cpus|mem|ports|x)(\\((eng|\\*)\\))?:([0-9.e]{1,5}|\\[[0-9,-]{0,9}\\]|\\{[a-c,]{0,5}\\});?){0,4}") {
        fuzz::resource_text(text.as_bytes());
    }
}

#[test]
fn a_million_tenths_do_not_drift() {
    let tenth = parse("cpus:0.1;mem:0.001");
    let mut sum = Resources::new();
    for _ in 0..100_000 {
        sum += &tenth;
    }
    assert_eq!(sum.to_string(), "cpus:10000; mem:100");
    for _ in 0..100_000 {
        assert!(sum.contains(&tenth));
        sum -= &tenth;
    }
    assert!(sum.is_empty());
}

#[test]
fn prints_as_the_original() {
    assert_eq!(Resources::new().to_string(), "{}");
    assert_eq!(
        parse("cpus:0.1;mem:32").allocated("*").to_string(),
        "cpus(allocated: *):0.1; mem(allocated: *):32"
    );
    assert_eq!(parse("cpus:1000000;mem:32").to_string(), "cpus:1000000; mem:32");
    let eng = parse("cpus:1;mem:256").push_reservation(&dynamic("eng")).unwrap();
    assert_eq!(
        eng.to_string(),
        "cpus(reservations: [(DYNAMIC,eng,ops)]):1; mem(reservations: [(DYNAMIC,eng,ops)]):256"
    );
    let refined = eng.named("cpus").push_reservation(&dynamic("eng/prod")).unwrap();
    assert_eq!(
        refined.allocated("eng/prod").to_string(),
        "cpus(allocated: eng/prod)(reservations: [(DYNAMIC,eng,ops),(DYNAMIC,eng/prod,ops)]):1"
    );
    let mut volume = with_disk("64", disk(Some(SourceType::Path), Some("v1")));
    if let Some(source) = volume.disk.as_mut().and_then(|disk| disk.source.as_mut()) {
        source.path = Some(v1::resource::disk_info::source::Path { root: Some("/mnt".to_owned()) });
    }
    volume.shared = Some(SharedInfo {});
    let mut revocable = wire("cpus:2").remove(0);
    revocable.revocable = Some(RevocableInfo {});
    assert_eq!(
        of(&[volume.clone(), volume, revocable]).to_string(),
        "disk[PATH:/mnt,v1]<SHARED>:64<2>; cpus{REV}:2"
    );
}

#[test]
fn exclusive_disks_are_taken_whole() {
    let mount = with_disk("100", disk(Some(SourceType::Mount), None));
    let smaller = with_disk("50", disk(Some(SourceType::Mount), None));
    let one = of(std::slice::from_ref(&mount));
    let two = of(&[mount.clone(), mount]);
    assert_eq!(two.len(), 2);
    assert!(two.contains(&one) && !one.contains(&two));
    assert!(!one.contains(&of(std::slice::from_ref(&smaller))));
    assert_eq!(&one - &of(&[smaller]), one);
    assert_eq!(&two - &one, one);

    let path = with_disk("100", disk(Some(SourceType::Path), None));
    let path = of(&[path.clone(), path]);
    assert_eq!(path.len(), 1);
    assert_eq!(path.disk(), Some(Scalar::from_whole(200)));

    let raw = |id: Option<&str>| {
        let mut info = disk(Some(SourceType::Raw), None);
        info.source.as_mut().unwrap().id = id.map(str::to_owned);
        with_disk("10", info)
    };
    assert_eq!(of(&[raw(None), raw(None)]).len(), 1);
    assert_eq!(of(&[raw(Some("a")), raw(Some("a"))]).len(), 2);
}

#[test]
fn shared_volumes_are_counted() {
    let mut volume = with_disk("64", disk(None, Some("v1")));
    volume.shared = Some(SharedInfo {});
    let one = of(std::slice::from_ref(&volume));
    let three = &(&one + &one) + &one;
    assert_eq!(three.len(), 1);
    assert_eq!(three.disk(), Some(Scalar::from_whole(64)));
    assert!(three.contains(&one) && !one.contains(&three));
    assert_eq!(&(&three - &one) - &one, one);
    assert!((&one - &three).is_empty());
    // The role of an owner decides who may use it; the wire shows it once.
    assert_eq!(three.to_proto().len(), 1);
}

#[test]
fn volumes_are_told_apart_by_id_only() {
    let mut with_path = disk(None, Some("v1"));
    with_path.volume =
        Some(v1::Volume { container_path: "data".to_owned(), ..v1::Volume::default() });
    let (left, right) =
        (of(&[with_disk("1", with_path)]), of(&[with_disk("1", disk(None, Some("v1")))]));
    assert_eq!(left, right);
    assert_ne!(left, of(&[with_disk("1", disk(None, Some("v2")))]));
    assert_eq!(left.persistent_volumes(), left);
}

#[test]
#[allow(deprecated)]
fn both_formats_of_reservations_are_read() {
    let mut old = wire("cpus:1").remove(0);
    old.role = Some("eng".to_owned());
    assert_eq!(of(&[old.clone()]), parse("cpus(eng):1"));
    old.reservation =
        Some(ReservationInfo { principal: Some("ops".to_owned()), ..ReservationInfo::default() });
    let reserved = parse("cpus:1").push_reservation(&dynamic("eng")).unwrap();
    assert_eq!(of(&[old.clone()]), reserved);

    let shown = reserved.to_proto_endpoint().remove(0);
    assert_eq!(shown.role.as_deref(), Some("eng"));
    assert_eq!(shown.reservations.len(), 1);
    assert_eq!(shown.reservation, old.reservation);
    assert_eq!(reserved.to_proto_pre_refinement().unwrap(), [old]);
    assert_eq!(parse("cpus:1").to_proto_endpoint()[0].role.as_deref(), Some("*"));
    assert_eq!(parse("cpus:1").to_proto()[0].role, None);
}

#[test]
#[allow(deprecated)]
fn refuses_with_the_originals_words() {
    let reason = |change: &dyn Fn(&mut v1::Resource)| {
        let mut resource = wire("cpus:1").remove(0);
        change(&mut resource);
        validate(&resource).unwrap_err()
    };
    assert_eq!(reason(&|it| it.name.clear()), "Empty resource name");
    assert_eq!(reason(&|it| it.r#type = 9), "Invalid resource type");
    assert_eq!(reason(&|it| it.r#type = 3), "Unsupported resource type");
    assert_eq!(reason(&|it| it.scalar = None), "Invalid scalar resource");
    for value in [-1.0, 0.0001, f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(
            reason(&|it| it.scalar = Some(v1::value::Scalar { value })),
            "Invalid scalar resource: value <= 0"
        );
    }
    assert_eq!(
        reason(&|it| it.reservation = Some(ReservationInfo::default())),
        "Invalid reservation: role \"*\" cannot be dynamically reserved"
    );
    assert_eq!(
        reason(&|it| it.reservations = vec![dynamic("*")]),
        "Invalid reservation: role \"*\" cannot be reserved"
    );
    assert_eq!(
        reason(&|it| it.reservations = vec![dynamic("a"), dynamic("b")]),
        "Invalid refined reservation: role 'b' is not a refinement of 'a'"
    );
    assert_eq!(
        reason(&|it| it.reservations = vec![ReservationInfo::default()]),
        "Invalid reservation: 'Resource.ReservationInfo.type' field must be set."
    );
    assert_eq!(reason(&|it| it.shared = Some(SharedInfo {})), "Resource cpus cannot be shared");
    assert_eq!(
        reason(&|it| it.disk = Some(disk(None, None).into())),
        "DiskInfo should not be set for cpus resource"
    );
    assert_eq!(
        reason(&|it| {
            it.reservations = vec![dynamic("a")];
            it.role = Some("b".to_owned());
        }),
        "Invalid resource format: 'Resource.role' field with 'b' does not match the role 'a' in \
         'Resource.reservations'"
    );
    let mut bad = wire("cpus:1").remove(0);
    bad.scalar = Some(v1::value::Scalar { value: -2.0 });
    assert_eq!(
        Resources::from_proto(&[bad]).unwrap_err().to_string(),
        "Resource 'cpus:-2' is invalid: Invalid scalar resource: value <= 0"
    );
}

#[test]
fn a_flood_of_entries_is_refused() {
    let flood: Vec<_> = (0..MAX_RESOURCES + 1)
        .map(|at| {
            let mut resource = wire("cpus:1").remove(0);
            resource.name = format!("r{at}");
            resource
        })
        .collect();
    assert_eq!(Resources::from_proto(&flood).unwrap_err(), ResourceError::TooMany);
}

#[test]
fn limits_shrink_what_can_be_split() {
    let resources = parse("cpus:4;mem:100;ports:[1-2]");
    let target = parse("cpus:1.5;mem:500").quantities();
    assert_eq!(resources.shrunk_to(&target).to_string(), "cpus:1.5; mem:100; ports:[1-2]");
    let mount = of(&[with_disk("100", disk(Some(SourceType::Mount), None))]);
    assert!(mount.shrunk_to(&parse("disk:99").quantities()).is_empty());
    assert_eq!(mount.shrunk_to(&parse("disk:100").quantities()), mount);
}
