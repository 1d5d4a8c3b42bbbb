//! Names by table: those of the original's tests, and those that its documents promise.

use cluster_events::picture::{Input, State};

use super::build::{With as _, agent, framework, original, task};
use super::*;

fn held(settings: Settings, state: State, leader: &str) -> Held {
    let mut picture = Picture::default();
    let mut names = Names::new(settings);
    let leader = (!leader.is_empty()).then(|| leader.parse().unwrap());
    let changed = picture.connected(leader, Input::State(Box::new(state)));
    names.update(&picture, &changed);
    let mut held = Held::new();
    enter(&mut held, names.all());
    held
}

fn sources(ip_sources: &[IpSource]) -> Settings {
    Settings {
        ip_sources: ip_sources.to_vec(),
        rule: Rule::Rfc952,
        masters: vec!["144.76.157.37:5050".parse().unwrap()],
        name_server: "mesos-dns.mesos".into(),
        listeners: vec!["127.0.0.1".parse().unwrap()],
        ..Settings::default()
    }
}

fn check(held: &Held, cases: &[(&str, &[&str])]) {
    for (name, records) in cases {
        let found: Vec<&str> = held.get(*name).into_iter().flatten().map(String::as_str).collect();
        let mut records = records.to_vec();
        records.sort_unstable();
        assert_eq!(found, records, "{name}");
    }
}

use IpSource::{Docker, Host, Mesos, Netinfo};

#[test]
fn names_are_those_of_the_original() {
    let all = held(sources(&[Netinfo, Docker, Mesos, Host]), original(), "144.76.157.37:5050");
    check(
        &all,
        &[
            ("big-dog.marathon.mesos", &["10.3.0.1"]),
            ("liquor-store.marathon.mesos", &["10.3.0.1", "10.3.0.2"]),
            // Under the name as it is, too.
            ("liquor.store.marathon.mesos", &["10.3.0.1", "10.3.0.2"]),
            ("liquor-store.marathon.slave.mesos", &["1.2.3.11", "1.2.3.12"]),
            ("car-store.marathon.slave.mesos", &["1.2.3.11"]),
            ("nginx.marathon.mesos", &["10.3.0.3"]),
            ("poseidon-bc4e3796.marathon.mesos", &[]),
            ("poseidon-bc4e3796.marathon.slave.mesos", &[]),
            ("master.mesos", &["144.76.157.37"]),
            ("master0.mesos", &["144.76.157.37"]),
            ("master1.mesos", &[]),
            ("leader.mesos", &["144.76.157.37"]),
            ("mesos-dns.mesos", &["127.0.0.1"]),
            ("slave.mesos", &["1.2.3.10", "1.2.3.11", "1.2.3.12", "2001:db8::1"]),
            ("some-box.chronoswithaspaceandmixe.mesos", &["1.2.3.11"]),
            ("marathon.mesos", &["1.2.3.11"]),
            ("nopid.mesos", &[]),
            ("toy-store.ipv6-framework.mesos", &["12.0.1.2", "12.0.1.3", "fd01:b::1:8000:2"]),
            ("toy-store.ipv6-framework.slave.mesos", &["2001:db8::1"]),
            ("ipv6-framework.mesos", &["2001:db8::1"]),
            ("_framework._tcp.marathon.mesos", &["marathon.mesos:25501"]),
            ("_leader._tcp.mesos", &["leader.mesos:5050"]),
            ("_leader._udp.mesos", &["leader.mesos:5050"]),
            ("_slave._tcp.mesos", &["slave.mesos:5051"]),
            ("_master._tcp.mesos", &[]),
        ],
    );
    check(
        &all,
        &[
            (
                "_liquor-store._tcp.marathon.mesos",
                &[
                    "liquor-store-4dfjd-0.marathon.mesos:80",
                    "liquor-store-4dfjd-0.marathon.mesos:443",
                    "liquor-store-zasmd-1.marathon.mesos:80",
                    "liquor-store-zasmd-1.marathon.mesos:443",
                ],
            ),
            ("_liquor-store._udp.marathon.mesos", &[]),
            ("_liquor-store.marathon.mesos", &[]),
            (
                "_https._liquor-store._tcp.marathon.mesos",
                &[
                    "liquor-store-4dfjd-0.marathon.mesos:443",
                    "liquor-store-zasmd-1.marathon.mesos:443",
                ],
            ),
            (
                "_liquor-store._udp.marathon.slave.mesos",
                &[
                    "liquor-store-4dfjd-0.marathon.slave.mesos:31354",
                    "liquor-store-4dfjd-0.marathon.slave.mesos:31355",
                    "liquor-store-zasmd-1.marathon.slave.mesos:31737",
                    "liquor-store-zasmd-1.marathon.slave.mesos:31738",
                ],
            ),
            ("liquor-store-zasmd-1.marathon.slave.mesos", &["1.2.3.12"]),
            ("liquor-store-zasmd-1.marathon.mesos", &["10.3.0.2"]),
            ("liquor.store-zasmd-1.marathon.mesos", &["10.3.0.2"]),
            (
                "_http._liquor.store._tcp.marathon.mesos",
                &[
                    "liquor.store-4dfjd-0.marathon.mesos:80",
                    "liquor.store-zasmd-1.marathon.mesos:80",
                ],
            ),
            (
                "_car-store._tcp.marathon.mesos",
                &[
                    "car-store-zinaz-0.marathon.slave.mesos:31364",
                    "car-store-zinaz-0.marathon.slave.mesos:31365",
                ],
            ),
            (
                "_car-store._udp.marathon.slave.mesos",
                &[
                    "car-store-zinaz-0.marathon.slave.mesos:31364",
                    "car-store-zinaz-0.marathon.slave.mesos:31365",
                ],
            ),
        ],
    );
}

#[test]
fn addresses_are_of_the_first_source_that_has_any() {
    let cases: [(&[IpSource], [&[&str]; 4]); 5] = [
        (&[Host], [&["1.2.3.11", "1.2.3.12"], &["1.2.3.11"], &["1.2.3.11"], &["2001:db8::1"]]),
        (
            &[Mesos, Host],
            [&["1.2.3.11", "1.2.3.12"], &["10.3.0.3"], &["1.2.3.11"], &["2001:db8::1"]],
        ),
        (
            &[Docker, Host],
            [&["10.3.0.1", "10.3.0.2"], &["1.2.3.11"], &["1.2.3.11"], &["2001:db8::1"]],
        ),
        (&[Netinfo], [&[], &[], &[], &["12.0.1.2", "12.0.1.3", "fd01:b::1:8000:2"]]),
        (
            &[Netinfo, Docker],
            [&["10.3.0.1", "10.3.0.2"], &[], &[], &["12.0.1.2", "12.0.1.3", "fd01:b::1:8000:2"]],
        ),
    ];
    for (order, [liquor, nginx, car, toy]) in cases {
        let all = held(sources(order), original(), "144.76.157.37:5050");
        check(
            &all,
            &[
                ("liquor-store.marathon.mesos", liquor),
                ("nginx.marathon.mesos", nginx),
                ("car-store.marathon.mesos", car),
                ("toy-store.ipv6-framework.mesos", toy),
                ("liquor-store.marathon.slave.mesos", &["1.2.3.11", "1.2.3.12"]),
            ],
        );
    }
}

#[test]
fn masters_are_counted_in_their_order() {
    let none: &[&str] = &[];
    type Case<'c> = (&'c [&'c str], &'c str, [&'c [&'c str]; 5]);
    let cases: &[Case<'_>] = &[
        (&[], "0.0.0.6:7", [&["0.0.0.6"], &["0.0.0.6"], &["0.0.0.6"], none, none]),
        (&["0.0.0.6:7"], "0.0.0.6:7", [&["0.0.0.6"], &["0.0.0.6"], &["0.0.0.6"], none, none]),
        (
            &["0.0.0.8:9"],
            "0.0.0.6:7",
            [&["0.0.0.6"], &["0.0.0.6", "0.0.0.8"], &["0.0.0.8"], &["0.0.0.6"], none],
        ),
        (
            &["0.0.0.8:9", "0.0.0.8:9"],
            "0.0.0.6:7",
            [&["0.0.0.6"], &["0.0.0.6", "0.0.0.8"], &["0.0.0.8"], &["0.0.0.6"], none],
        ),
        (
            &["0.0.0.8:9", "0.0.0.6:7", "[2001:db8::1]:1"],
            "0.0.0.6:7",
            [
                &["0.0.0.6"],
                &["0.0.0.6", "0.0.0.8", "2001:db8::1"],
                &["0.0.0.8"],
                &["0.0.0.6"],
                &["2001:db8::1"],
            ],
        ),
        // Nobody leads yet.
        (&["0.0.0.8:9"], "", [none, &["0.0.0.8"], &["0.0.0.8"], none, none]),
    ];
    for (masters, leader, [lead, all, zero, one, two]) in cases {
        let settings = Settings {
            domain: "foo.com".into(),
            masters: masters.iter().map(|master| master.parse().unwrap()).collect(),
            ..Settings::default()
        };
        let held = held(settings, State::default(), leader);
        check(
            &held,
            &[
                ("leader.foo.com", lead),
                ("leader.dcos.thisdcos.directory", lead),
                ("master.foo.com", all),
                ("master.dcos.thisdcos.directory", all),
                ("master0.foo.com", zero),
                ("master1.foo.com", one),
                ("master2.foo.com", two),
            ],
        );
    }
}

fn one(task: cluster_events::picture::Task) -> State {
    State {
        agents: vec![agent("x-S7", "172.17.0.4:5051")],
        frameworks: vec![framework("m", "dev/marathon.EU", None)],
        tasks: vec![task],
        ..State::default()
    }
}

#[test]
fn names_of_thisdcos_directory() {
    let base = || task("m", "t", "web", "x-S7");
    let host: &[&str] = &["172.17.0.4"];
    let own: &[&str] = &["9.0.2.5"];
    let none: &[&str] = &[];
    let web: &[(u32, &str, &str)] = &[(80, "tcp", "http")];
    let cases = [
        ("without a network of its own", base(), none, host),
        ("on the host's network", base().netinfo(host), host, host),
        ("on its own", base().netinfo(own), own, own),
        ("behind a mapped port", base().netinfo(own).mapped(31000, 80), own, host),
        (
            "a port of its own",
            base().netinfo(own).found_as("web", web).scoped("container"),
            own,
            own,
        ),
        ("a port of the host", base().netinfo(own).found_as("web", web).scoped("host"), own, host),
        (
            "a label for a port of the host",
            base().netinfo(own).ports(&[(31000, 31000)]).labelled("VIP_PORT0", "tcp://1.2.3.4:80"),
            own,
            host,
        ),
        (
            "a label for a port that it has not",
            base().netinfo(own).ports(&[(31000, 31000)]).labelled("vip_port1", "tcp://1.2.3.4:80"),
            own,
            own,
        ),
    ];
    for (case, task, container, auto) in cases {
        let held = held(Settings::default(), one(task), "");
        println!("{case}");
        check(
            &held,
            &[
                ("web.devmarathon-eu.agentip.dcos.thisdcos.directory", host),
                ("web.devmarathon-eu.containerip.dcos.thisdcos.directory", container),
                ("web.devmarathon-eu.autoip.dcos.thisdcos.directory", auto),
                ("web.devmarathon.eu.slave.mesos", host),
            ],
        );
    }
}

#[test]
fn names_by_mangling() {
    let long = "b".repeat(70);
    let cut = "b".repeat(63);
    type Case<'c> = (&'c str, Option<&'c str>, &'c [&'c str], &'c [&'c str]);
    let cases: &[Case<'_>] = &[
        ("c.b.a", None, &["c-b-a.devmarathon.eu.mesos"], &["c.b.a.devmarathon.eu.mesos"]),
        (
            "ignored",
            Some("C.b.A"),
            &["c-b-a.devmarathon.eu.mesos", "c.b.a.devmarathon.eu.mesos"],
            &["ignored.devmarathon.eu.mesos"],
        ),
        ("---", None, &[], &["---.devmarathon.eu.mesos"]),
        ("a", Some(""), &["a.devmarathon.eu.mesos"], &[]),
        // What cannot be asked for is left out; the sanitised name is there.
        ("a", Some("x..y"), &["x--y.devmarathon.eu.mesos"], &["x..y.devmarathon.eu.mesos"]),
        (
            &long,
            None,
            &[&*format!("{cut}.devmarathon.eu.mesos")],
            &[&*format!("{long}.devmarathon.eu.mesos")],
        ),
    ];
    for (name, discovery, there, missing) in cases {
        let mut task = task("m", "t", name, "x-S7").ports(&[(31000, 31000)]);
        if let Some(discovery) = discovery {
            task = task.found_as(discovery, &[(80, "", "Web_UI"), (99_999, "tcp", "none")]);
        }
        let held = held(Settings::default(), one(task), "");
        for name in *there {
            assert!(held.contains_key(*name), "{name}: {held:#?}");
        }
        for name in *missing {
            assert!(!held.contains_key(*name), "{name}");
        }
        // Whatever is promised as a target is there.
        for target in held.values().flatten().filter_map(|text| text.split_once(".mesos:")) {
            assert!(held.contains_key(&format!("{}.mesos", target.0)), "{target:?}");
        }
        assert!(held.keys().all(|name| labels::is_name(name)), "{held:#?}");
    }
}

#[test]
fn ports_without_a_protocol_are_of_both() {
    let task = task("m", "t", "x", "x-S7").found_as("web", &[(80, "", "Web_UI"), (53, "UDP", "")]);
    let held = held(Settings::default(), one(task), "");
    let target = "web-t56ap-s7.devmarathon.eu.mesos";
    let [web, dns] = [format!("{target}:80"), format!("{target}:53")];
    check(
        &held,
        &[
            ("_web._tcp.devmarathon.eu.mesos", &[&web]),
            ("_web._udp.devmarathon.eu.mesos", &[&dns, &web]),
            ("_web-ui._web._tcp.devmarathon.eu.mesos", &[&web]),
            ("_web-ui._web._udp.devmarathon.eu.mesos", &[&web]),
        ],
    );
}

#[test]
fn names_of_this_node() {
    let ips = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect();
    let settings = Settings {
        zookeepers: ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        node_ips: ips(&["10.0.0.9"]),
        public_ips: ips(&["192.0.2.9"]),
        ..Settings::default()
    };
    check(
        &held(settings, State::default(), ""),
        &[
            ("ready.spartan", &["127.0.0.1"]),
            ("ns.spartan", &["198.51.100.1"]),
            ("localhost", &["127.0.0.1", "::1"]),
            ("zk-1.zk", &["10.0.0.1"]),
            ("zk-3.zk", &["10.0.0.3"]),
            ("zk-4.zk", &["10.0.0.1"]),
            ("zk-5.zk", &["10.0.0.2"]),
            ("zk-6.zk", &[]),
            ("thisnode.thisdcos.directory", &["10.0.0.9"]),
            ("public.thisnode.thisdcos.directory", &["192.0.2.9"]),
        ],
    );
}

#[test]
fn virtual_services_come_and_go() {
    let mut names = Names::new(Settings::default());
    let mut held = Held::new();
    let ips = |ip: &str| vec![ip.parse().unwrap()];
    enter(&mut held, names.all());
    names.set_vips(vec![("web.marathon".into(), ips("11.1.2.3")), ("B.m".into(), ips("11.1.2.4"))]);
    enter(&mut held, names.changes());
    check(
        &held,
        &[
            ("web.marathon.l4lb.thisdcos.directory", &["11.1.2.3"]),
            ("b.m.l4lb.thisdcos.directory", &["11.1.2.4"]),
        ],
    );
    names.set_vips(vec![("web.marathon".into(), ips("11.1.2.3"))]);
    names.put_vip("c.m", ips("fd01:c::1"));
    let changes = names.changes();
    assert_eq!(changes.len(), 2, "{changes:?}");
    enter(&mut held, changes);
    check(
        &held,
        &[
            ("web.marathon.l4lb.thisdcos.directory", &["11.1.2.3"]),
            ("b.m.l4lb.thisdcos.directory", &[]),
            ("c.m.l4lb.thisdcos.directory", &["fd01:c::1"]),
        ],
    );
}
