//! Answers, decoded by another implementation.

use std::collections::BTreeSet;

use hickory_proto::op::{Edns, Message, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use proptest::prelude::*;

use super::answer::{Bare, LONGEST, Outcome, Rules, Via, answer, bare, read};
use super::query::Code;
use crate::record::{Change, Data};
use crate::zone::{Alias, Zone, Zones};

const RULES: Rules = Rules { udp_size: 1232, forwards: true, truncates: true };
const UDP: Via = Via { is_tcp: false, is_trusted: true };
const TCP: Via = Via { is_tcp: true, is_trusted: true };
const STRANGER: Via = Via { is_tcp: false, is_trusted: false };

fn a(last: u8) -> Data {
    Data::A([10, 0, 0, last].into())
}

fn srv(port: u16, target: &str) -> Data {
    Data::Srv { priority: 0, weight: 1, port, target: target.into() }
}

fn change(name: &str, records: Vec<Data>) -> Change {
    Change { name: name.into(), records }
}

fn zones() -> Zones {
    let aliases =
        vec![Alias { name: "thisdcos.global".into(), target: "thisdcos.directory".into() }];
    let zones = Zones::new(
        vec![
            Zone::new("mesos", 60),
            Zone::new("thisdcos.directory", 5),
            Zone::new("l4lb.thisdcos.directory", 5),
        ],
        aliases,
    );
    zones.reload(vec![
        change("ns1.mesos", vec![a(9)]),
        change(
            "web.marathon.mesos",
            vec![a(1), a(2), a(3), Data::Aaaa("fd01::1".parse().unwrap())],
        ),
        change("one.marathon.mesos", vec![a(4)]),
        change(
            "_web._tcp.marathon.mesos",
            vec![
                srv(31000, "one.marathon.mesos"),
                srv(31001, "web.marathon.mesos"),
                srv(31002, "one.marathon.mesos"),
            ],
        ),
        change("many.mesos", (0..=255).map(a).collect()),
        change("text.mesos", vec![Data::Txt("hello".into())]),
        change("web.marathon.l4lb.thisdcos.directory", vec![Data::A([11, 1, 2, 3].into())]),
    ]);
    zones
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(DnsName::from_ascii(name).unwrap(), kind));
    message
}

fn with_edns(mut message: Message, size: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    message.set_edns(edns);
    message
}

fn say(zones: &Zones, packet: &[u8], via: Via, turn: u32) -> (Outcome, Vec<u8>) {
    let mut to = b"left over".to_vec();
    let outcome = answer(zones, &RULES, read(zones, packet), via, turn, &mut to);
    (outcome, to)
}

fn ask_via(zones: &Zones, message: &Message, via: Via) -> Message {
    let (outcome, bytes) = say(zones, &message.to_vec().unwrap(), via, 0);
    assert!(matches!(outcome, Outcome::Answered(_)), "{outcome:?}");
    Message::from_vec(&bytes).unwrap()
}

fn ask(zones: &Zones, name: &str, kind: RecordType) -> Message {
    ask_via(zones, &question(name, kind), UDP)
}

fn addresses(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

#[test]
fn addresses_in_turn_with_the_case_that_was_asked() {
    let zones = zones();
    let reply = ask(&zones, "Web.MARATHON.mesos.", RecordType::A);
    assert_eq!(reply.queries[0].name().to_string(), "Web.MARATHON.mesos.");
    assert!(reply.metadata.authoritative && reply.metadata.recursion_available);
    assert!(reply.metadata.recursion_desired && !reply.metadata.truncation);
    assert_eq!((reply.metadata.id, reply.metadata.op_code), (0x1234, OpCode::Query));
    assert_eq!(reply.answers.len(), 3);
    assert_eq!(reply.answers[0].ttl, 60);
    let packet = question("web.marathon.mesos.", RecordType::A).to_vec().unwrap();
    let first = |turn| {
        let reply = Message::from_vec(&say(&zones, &packet, UDP, turn).1).unwrap();
        assert_eq!(reply.answers.len(), 3);
        addresses(&reply.answers)[0].clone()
    };
    let firsts: BTreeSet<String> = (0..3).map(first).collect();
    assert_eq!(firsts.len(), 3);
    assert_eq!(ask(&zones, "web.marathon.mesos.", RecordType::AAAA).answers.len(), 1);
    assert_eq!(ask(&zones, "web.marathon.mesos.", RecordType::ANY).answers.len(), 4);
}

#[test]
fn services_come_with_the_addresses_of_their_targets() {
    let reply = ask(&zones(), "_web._tcp.marathon.mesos.", RecordType::SRV);
    assert_eq!(reply.answers.len(), 3);
    let extras: BTreeSet<String> = addresses(&reply.additionals).into_iter().collect();
    let wanted = [
        "one.marathon.mesos. 10.0.0.4",
        "web.marathon.mesos. 10.0.0.1",
        "web.marathon.mesos. 10.0.0.2",
        "web.marathon.mesos. 10.0.0.3",
        "web.marathon.mesos. fd01::1",
    ];
    assert_eq!(extras, wanted.into_iter().map(str::to_owned).collect());
}

#[test]
fn nothing_there_is_said_in_three_ways() {
    let zones = zones();
    let soa = |reply: &Message| match &reply.authorities[..] {
        [record] => (record.name.to_string(), record.data.to_string()),
        other => panic!("{other:?}"),
    };
    let unknown = ask(&zones, "none.Marathon.mesos.", RecordType::A);
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(soa(&unknown).0, "mesos.");
    let serial = zones.serial("mesos");
    assert_eq!(soa(&unknown).1, format!("ns1.mesos. root.ns1.mesos. {serial} 60 600 86400 60"));
    for (name, kind) in [
        ("one.marathon.mesos.", RecordType::AAAA),
        ("one.marathon.mesos.", RecordType::SRV),
        ("one.marathon.mesos.", RecordType::SOA),
        ("one.marathon.mesos.", RecordType::MX),
        // Only names below it exist.
        ("marathon.mesos.", RecordType::A),
        ("_tcp.marathon.mesos.", RecordType::ANY),
        ("mesos.", RecordType::A),
    ] {
        let reply = ask(&zones, name, kind);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{name} {kind}");
        assert!(reply.answers.is_empty() && reply.metadata.authoritative);
        assert_eq!(soa(&reply).0, "mesos.");
    }
    let unknown = ask(&zones, "x.l4lb.thisdcos.directory.", RecordType::SRV);
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(soa(&unknown).0, "l4lb.thisdcos.directory.");
}

#[test]
fn a_zone_speaks_of_itself() {
    let zones = zones();
    let soa = ask(&zones, "mesos.", RecordType::SOA);
    assert_eq!((soa.answers.len(), soa.answers[0].record_type()), (1, RecordType::SOA));
    let ns = ask(&zones, "MESOS.", RecordType::NS);
    assert_eq!(addresses(&ns.answers), ["MESOS. ns1.MESOS."]);
    assert_eq!(addresses(&ns.additionals), ["ns1.MESOS. 10.0.0.9"]);
    assert_eq!(ask(&zones, "mesos.", RecordType::ANY).answers.len(), 2);
}

#[test]
fn before_the_data_are_there_nobody_hears_that_a_name_does_not_exist() {
    let zones = Zones::new(vec![Zone::new("mesos", 60)], Vec::new());
    let reply = ask(&zones, "web.mesos.", RecordType::A);
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    zones.publish(vec![change("web.mesos", vec![a(1)])]);
    assert_eq!(ask(&zones, "web.mesos.", RecordType::A).answers.len(), 1);
    zones.reload(Vec::new());
    let reply = ask(&zones, "web.mesos.", RecordType::A);
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn aliases_and_stars_stand_for_other_names() {
    let zones = zones();
    let reply = ask(&zones, "web.marathon.l4lb.thisdcos.global.", RecordType::A);
    assert_eq!(addresses(&reply.answers), ["web.marathon.l4lb.thisdcos.global. 11.1.2.3"]);
    for (name, code, owner) in [
        ("x.l4lb.thisdcos.global.", ResponseCode::NXDomain, "thisdcos.global."),
        ("x.thisdcos.global.", ResponseCode::NXDomain, "thisdcos.global."),
        ("web.marathon.l4lb.thisdcos.global.", ResponseCode::NoError, "thisdcos.global."),
        ("one.*.marathon.mesos.", ResponseCode::NoError, "mesos."),
    ] {
        let reply = ask(&zones, name, RecordType::SRV);
        assert_eq!(reply.metadata.response_code, code, "{name}");
        assert!(reply.authorities[0].name.to_string().ends_with(owner), "{name}");
    }
    let reply = ask(&zones, "one.*.marathon.mesos.", RecordType::A);
    assert_eq!(addresses(&reply.answers), ["one.*.marathon.mesos. 10.0.0.4"]);
    let reply = ask(&zones, "*.marathon.mesos.", RecordType::A);
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let zones = zones();
    let plain = question("many.mesos.", RecordType::A);
    for (message, most) in [
        (plain.clone(), 512),
        (with_edns(plain.clone(), 100), 512),
        (with_edns(plain.clone(), 1000), 1000),
        (with_edns(plain.clone(), 4096), 1232),
    ] {
        let (_, bytes) = say(&zones, &message.to_vec().unwrap(), UDP, 7);
        assert!(bytes.len() <= most && bytes.len() > most - 16, "{} of {most}", bytes.len());
        let reply = Message::from_vec(&bytes).unwrap();
        assert!(reply.metadata.truncation);
        assert_eq!(reply.edns.is_some(), message.edns.is_some());
    }
    let reply = ask_via(&zones, &plain, TCP);
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 256);
    // Extras are dropped without a word.
    let crowd = (0..9).map(|n| srv(n, &format!("{}{n}.mesos", "x".repeat(20))));
    zones.publish(vec![change("crowd.mesos", crowd.collect())]);
    for number in 0..9 {
        let name = format!("{}{number}.mesos", "x".repeat(20));
        zones.publish(vec![change(&name, vec![a(number)])]);
    }
    let reply = ask(&zones, "crowd.mesos.", RecordType::SRV);
    assert!(!reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 9);
    assert!(reply.additionals.len() < 9);
    assert_eq!(
        ask_via(&zones, &question("crowd.mesos.", RecordType::SRV), TCP).additionals.len(),
        9
    );
}

#[test]
fn edns_is_answered_with_edns() {
    let zones = zones();
    let reply =
        ask_via(&zones, &with_edns(question("one.marathon.mesos.", RecordType::A), 4096), UDP);
    assert_eq!(reply.edns.as_ref().unwrap().max_payload(), 1232);
    let mut edns = Edns::new();
    edns.set_version(1);
    let mut message = question("one.marathon.mesos.", RecordType::A);
    message.set_edns(edns);
    let reply = ask_via(&zones, &message, UDP);
    assert_eq!(u16::from(reply.metadata.response_code), Code::BadVers as u16);
    assert!(reply.answers.is_empty());
    // An option that nobody knows.
    let mut packet = question("one.marathon.mesos.", RecordType::A).to_vec().unwrap();
    packet[11] = 1;
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0xff, 0xee, 0, 2, 1, 2]);
    assert_eq!(say(&zones, &packet, UDP, 0).0, Outcome::Answered(Code::NoError));
    // One that ends behind the record is malformed, and so is a second EDNS.
    let at = packet.len() - 3;
    packet[at] = 9;
    assert_eq!(say(&zones, &packet, UDP, 0).0, Outcome::Answered(Code::FormErr));
    packet[at] = 2;
    packet[11] = 2;
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    assert_eq!(say(&zones, &packet, UDP, 0).0, Outcome::Answered(Code::FormErr));
}

#[test]
fn strangers_learn_of_our_names_alone() {
    let zones = zones();
    let foreign = question("example.org.", RecordType::A).to_vec().unwrap();
    assert_eq!(say(&zones, &foreign, UDP, 0), (Outcome::Foreign, Vec::new()));
    assert_eq!(say(&zones, &foreign, STRANGER, 0).0, Outcome::Answered(Code::Refused));
    let mut message = question("example.org.", RecordType::A);
    message.metadata.recursion_desired = false;
    let packet = message.to_vec().unwrap();
    assert_eq!(say(&zones, &packet, UDP, 0).0, Outcome::Answered(Code::Refused));
    let reply = ask_via(&zones, &question("web.marathon.mesos.", RecordType::ANY), STRANGER);
    assert_eq!(reply.answers.len(), 3);
    assert!(!reply.metadata.recursion_available);
    let alone = Rules { forwards: false, ..RULES };
    let mut to = Vec::new();
    let outcome = answer(&zones, &alone, read(&zones, &foreign), UDP, 0, &mut to);
    assert_eq!(outcome, Outcome::Answered(Code::Refused));
}

#[test]
fn what_is_no_question_is_refused_or_dropped() {
    let zones = zones();
    let good = question("one.marathon.mesos.", RecordType::A).to_vec().unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        say(&zones, &packet, UDP, 0).0
    };
    let last = good.len() - 1;
    assert_eq!(with(&|_| {}), Outcome::Answered(Code::NoError));
    assert_eq!(with(&|p| p[2] |= 0x80), Outcome::Dropped);
    assert_eq!(with(&|p| p.truncate(11)), Outcome::Dropped);
    assert_eq!(with(&|p| p[2] |= 0x28), Outcome::Answered(Code::NotImp));
    assert_eq!(with(&|p| p[5] = 0), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p[5] = 2), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p[12] = 0xc0), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p.truncate(last)), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p.push(0)), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p[last] = 3), Outcome::Answered(Code::Refused));
    assert_eq!(with(&|p| p[last - 2] = 252), Outcome::Answered(Code::Refused));
    assert_eq!(with(&|p| p[last - 2] = 41), Outcome::Answered(Code::FormErr));
    assert_eq!(with(&|p| p[11] = 1), Outcome::Answered(Code::FormErr));
    let mut to = Vec::new();
    assert!(bare(&good, &RULES, UDP, Bare::Truncated, &mut to));
    assert!(Message::from_vec(&to).unwrap().metadata.truncation);
    assert!(bare(&good, &RULES, UDP, Bare::Code(Code::ServFail), &mut to));
    assert_eq!(Message::from_vec(&to).unwrap().metadata.response_code, ResponseCode::ServFail);
    assert!(!bare(&good[..20], &RULES, UDP, Bare::Truncated, &mut to));
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-d]", 1 => "[a-z0-9]{1,12}", 1 => Just("x".repeat(63))]
}

fn name() -> impl Strategy<Value = String> {
    let below = prop::collection::vec(label(), 0..4);
    (below, prop::bool::weighted(0.9)).prop_map(|(mut labels, is_ours)| {
        labels.push(if is_ours { "mesos" } else { "org" }.to_owned());
        labels.join(".")
    })
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        3 => any::<[u8; 4]>().prop_map(|octets| Data::A(octets.into())),
        2 => any::<[u8; 16]>().prop_map(|octets| Data::Aaaa(octets.into())),
        3 => (any::<u16>(), any::<u16>(), name())
            .prop_map(|(weight, port, target)| Data::Srv { priority: 0, weight, port, target: target.into() }),
        1 => name().prop_map(|name| Data::Ns(name.into())),
        1 => "[ -~]{0,300}".prop_map(|text| Data::Txt(text.into())),
    ]
}

fn decoded(data: &RData) -> Option<Data> {
    let text = |name: &DnsName| name.to_string().trim_end_matches('.').to_ascii_lowercase();
    Some(match data {
        RData::A(address) => Data::A(address.0),
        RData::AAAA(address) => Data::Aaaa(address.0),
        RData::SRV(srv) => Data::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text(&srv.target).into(),
        },
        RData::NS(name) => Data::Ns(text(&name.0).into()),
        RData::TXT(txt) => {
            let bytes: Vec<u8> = txt.txt_data.iter().flatten().copied().collect();
            Data::Txt(String::from_utf8_lossy(&bytes).into())
        }
        _ => return None,
    })
}

proptest! {
    /// Whatever is published: another implementation reads in the answer what was published, and
    /// nothing else; and answers over UDP are as long as they may be.
    #[test]
    fn answers_say_what_was_published(
        records in prop::collection::btree_map(name(), prop::collection::vec(data(), 1..6), 0..12),
        asked in prop::collection::vec((name(), 0usize..7, any::<u32>(), prop::option::of(0u16..2000), any::<bool>()), 1..12),
    ) {
        let zones = Zones::new(vec![Zone::new("mesos", 60)], Vec::new());
        zones.reload(records.iter().map(|(name, data)| change(name, data.clone())).collect());
        let kinds = [RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::TXT, RecordType::ANY, RecordType::SOA, RecordType::MX];
        for (name, kind, turn, size, is_tcp) in asked {
            let kind = kinds[kind];
            let mut message = question(&format!("{}.", name.to_uppercase()), kind);
            if let Some(size) = size {
                message = with_edns(message, size);
            }
            let via = Via { is_tcp, is_trusted: true };
            let (outcome, bytes) = say(&zones, &message.to_vec().unwrap(), via, turn);
            if !name.ends_with("mesos") {
                prop_assert_eq!(outcome, Outcome::Foreign);
                continue;
            }
            let most = usize::from(size.unwrap_or(512)).clamp(512, 1232);
            let most = if is_tcp { LONGEST } else { most };
            prop_assert!(bytes.len() <= most);
            let reply = Message::from_vec(&bytes).unwrap();
            prop_assert_eq!(&reply.queries, &message.queries);
            prop_assert_eq!(reply.edns.is_some(), size.is_some());
            let held = records.get(&name).cloned().unwrap_or_default();
            let wanted: BTreeSet<Data> = held.into_iter()
                .filter(|data| kind == RecordType::ANY || RecordType::from(crate::zone::wire::kind_of(data)) == kind)
                .collect();
            let got: Vec<Data> = reply.answers.iter().filter_map(|record| decoded(&record.data)).collect();
            let set: BTreeSet<Data> = got.iter().cloned().collect();
            prop_assert_eq!(set.len(), got.len());
            if name == "mesos" && matches!(kind, RecordType::ANY | RecordType::SOA) {
                prop_assert!(wanted.is_subset(&set) || reply.metadata.truncation);
            } else if reply.metadata.truncation {
                prop_assert!(!is_tcp && set.is_subset(&wanted) && set.len() < wanted.len());
            } else {
                prop_assert_eq!(&set, &wanted);
            }
            let exists = name == "mesos" || records.keys().any(|known| *known == name || known.ends_with(&format!(".{name}")));
            let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            prop_assert_eq!(reply.metadata.response_code, code);
            prop_assert!(reply.answers.iter().all(|record| record.name == *message.queries[0].name()));
            for extra in &reply.additionals {
                let owner = extra.name.to_string().to_ascii_lowercase();
                let held = records.get(owner.trim_end_matches('.')).cloned().unwrap_or_default();
                prop_assert!(held.contains(&decoded(&extra.data).unwrap()));
            }
        }
    }
}
