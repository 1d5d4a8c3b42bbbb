//! Every endpoint, asked by everybody, compared with what is written down in `golden/`, which
//! `UPDATE_GOLDEN=1` writes anew. What must hold in any case is checked besides.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use http_kit::guard::Mode;
use http_kit::permissions::{Need, Row, Table};
use identity::Action;

use super::people::Person;
use super::samples::{self, Facts};
use super::world::{Answer, Asked, Plan, World};

/// Those with tokens, the administrator last: only that one's requests do something.
const TOKENS: [Person; 6] = [
    Person::Expired,
    Person::NoAlgorithm,
    Person::WrongKey,
    Person::Other,
    Person::Reader,
    Person::Admin,
];

const HEAD: &str = "\
Who gets what from COMPONENT. `ok`: the guard lets it pass. Columns:
nobody   without a token: on loopback / through a proxy (permissive mode) / in strict mode
bad      tokens that are expired / unsigned (alg none) / signed with another key
good     tokens of a user without permissions / who may read everything / of a superuser,
         with the status that the request has then
A request with a token gets the same in permissive and in strict mode.

";

struct Worlds {
    permissive: World,
    strict: World,
    facts: [Facts; 2],
}

impl Worlds {
    fn start() -> Worlds {
        let start = |mode| World::start(&Plan { mode, helper: None });
        let (permissive, strict) = (start(Mode::Permissive), start(Mode::Strict));
        let facts = [samples::prepare(&permissive), samples::prepare(&strict)];
        Worlds { permissive, strict, facts }
    }

    fn each(&self) -> [(&World, &Facts, bool); 2] {
        let [permissive, strict] = &self.facts;
        [(&self.permissive, permissive, true), (&self.strict, strict, false)]
    }
}

fn address(world: &World, component: &str) -> SocketAddr {
    match component {
        "mesos-master" => world.master,
        "mesos-agent" => world.agent,
        "marathon" => world.marathon,
        "cosmos" => world.cosmos,
        "dns" => world.dns,
        "net" => world.net,
        other => panic!("{other} is not started"),
    }
}

/// The methods to try of a row: each that it names, and where any will do, the one that is meant.
fn methods(table: &Table, row: &Row) -> Vec<&'static str> {
    if row.methods != "*" {
        return row.methods.split(' ').collect();
    }
    let same = |other: &&Row| other.path == row.path && other.call == row.call;
    let get = table.rows.iter().filter(same).any(|other| other.methods == "GET");
    let reads = |need: Need| match need {
        Need::Each(asks) => asks.iter().any(|(_, action)| *action == Action::Read),
        _ => true,
    };
    vec![if get || !reads(row.need) { "POST" } else { "GET" }]
}

fn shown(answer: &Answer) -> String {
    match answer.status {
        401 | 403 => answer.status.to_string(),
        503 if answer.head.contains("retry-after") => panic!("the guard knows nothing"),
        _ => "ok".to_owned(),
    }
}

/// What the row has to say whatever is written down.
fn check(row: &Row, what: &str, nobody: &[String; 3], by: &[String]) {
    let [local, proxied, strict] = nobody;
    let [expired, none, wrong, other, reader, admin] = by else { panic!("{by:?}") };
    if matches!(row.need, Need::Public(_)) {
        assert!(
            nobody.iter().chain(by).all(|one| one == "ok"),
            "{what} is public: {nobody:?} {by:?}"
        );
        return;
    }
    assert_eq!((local.as_str(), admin.as_str()), ("ok", "ok"), "{what}");
    for refused in [proxied, strict, expired, none, wrong] {
        assert_eq!(refused, "401", "{what}: {nobody:?} {by:?}");
    }
    if let Need::Each(asks) = row.need {
        let reads = asks.iter().all(|(_, action)| *action == Action::Read);
        assert_eq!(other, "403", "{what}");
        assert_eq!(reader, if reads { "ok" } else { "403" }, "{what}");
    }
}

fn line(worlds: &Worlds, table: &Table, number: usize, row: &Row, method: &str) -> String {
    let component = table.component;
    let what = format!("{component}: {method} {} {}", row.path, row.call);
    let asked = |world: &World, facts: &Facts| -> Asked {
        let mut asked = samples::of(component, row, method, number, facts);
        asked.path = asked.path.replace("{work_dir}", &world.agent_dir());
        asked
    };
    let ask = |world: &World, facts: &Facts, person, proxied| {
        world.ask(address(world, component), &asked(world, facts), person, proxied)
    };
    let [(permissive, permissive_facts, _), (strict, strict_facts, _)] = worlds.each();
    let proxied = ask(permissive, permissive_facts, Person::Nobody, true);
    let refused = ask(strict, strict_facts, Person::Nobody, false);
    for answer in [&proxied, &refused].into_iter().filter(|answer| answer.status == 401) {
        assert!(answer.head.contains("www-authenticate: acsjwt"), "{what}: {}", answer.head);
    }
    let mut by = Vec::new();
    let mut status = 0;
    for person in TOKENS {
        let answers = worlds.each().map(|(world, facts, proxied)| {
            let answer = ask(world, facts, person, proxied);
            status = answer.status;
            shown(&answer)
        });
        assert_eq!(answers[0], answers[1], "{what}: {person:?} in permissive and in strict mode");
        by.push(answers[1].clone());
    }
    // Last: whoever is let pass may change what the others are asked about.
    let local = ask(permissive, permissive_facts, Person::Nobody, false);
    let nobody = [shown(&local), shown(&proxied), shown(&refused)];
    check(row, &what, &nobody, &by);
    let name = [method, row.path, row.call].join(" ");
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    let [expired, none, wrong, other, reader, _] = by.as_slice() else { panic!("{by:?}") };
    format!(
        "{:<62} | {:>3} {:>3} {:>3} | {expired:>3} {none:>3} {wrong:>3} | {other:>3} {reader:>3} \
         {status:>3} | {}",
        name.trim_end(),
        nobody[0],
        nobody[1],
        nobody[2],
        row.need
    )
}

fn compare(component: &str, found: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("tests/end_to_end/permissions/golden").join(format!("{component}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("a golden file that can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let (ours, theirs): (BTreeSet<&str>, BTreeSet<&str>) =
        (found.lines().collect(), written.lines().collect());
    let mut report = String::new();
    for line in theirs.difference(&ours) {
        let _ = writeln!(report, "- {line}");
    }
    for line in ours.difference(&theirs) {
        let _ = writeln!(report, "+ {line}");
    }
    assert!(
        found == written,
        "{} is not what is found; review, then UPDATE_GOLDEN=1:\n{report}",
        path.display()
    );
}

#[test]
fn everybody_gets_from_every_endpoint_what_is_written_down() {
    let worlds = Worlds::start();
    for table in [
        &dns::PERMISSIONS,
        &load_balancer::PERMISSIONS,
        &mesos_master::http::PERMISSIONS,
        &mesos_agent::PERMISSIONS,
        &marathon::PERMISSIONS,
        &cosmos::PERMISSIONS,
    ] {
        let mut found = HEAD.replace("COMPONENT", table.component);
        for (number, row) in table.rows.iter().enumerate() {
            for method in methods(table, row) {
                found.push_str(&line(&worlds, table, number, row, method));
                found.push('\n');
            }
        }
        compare(table.component, &found);
    }
}

/// The endpoints that master and agent say they have, each with a row.
#[test]
fn what_is_served_has_a_row() {
    let world = World::start(&Plan { mode: Mode::Strict, helper: None });
    for (address, table) in
        [(world.master, &mesos_master::http::PERMISSIONS), (world.agent, &mesos_agent::PERMISSIONS)]
    {
        let asked = Asked {
            method: "GET".to_owned(),
            path: "/help?format=json".to_owned(),
            whole: true,
            ..Asked::default()
        };
        let answer = world.ask(address, &asked, Person::Admin, false);
        let help: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        let mut count = 0;
        for process in help["processes"].as_array().expect("a list") {
            for endpoint in process["endpoints"].as_array().expect("a list") {
                let name = endpoint["name"].as_str().expect("a name");
                let path = format!("/{}{name}", process["id"].as_str().expect("an id"));
                assert!(table.knows(&path), "{}: {path} has no row", table.component);
                count += 1;
            }
        }
        assert!(count > 15, "{help}");
    }
}

/// Everything that a component asks for stands in the documentation.
#[test]
fn every_resource_is_documented() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/permissions.md");
    let text = std::fs::read_to_string(path).expect("docs/permissions.md");
    let mut missing = BTreeSet::new();
    for (table, prefix) in [
        (&mesos_master::http::PERMISSIONS, "dcos:mesos:master:"),
        (&mesos_agent::PERMISSIONS, "dcos:mesos:agent:"),
        (&marathon::PERMISSIONS, "dcos:service:marathon:marathon:"),
        (&cosmos::PERMISSIONS, "dcos:adminrouter:package:"),
        (&dns::PERMISSIONS, "dcos:adminrouter:ops:"),
        (&load_balancer::PERMISSIONS, "dcos:adminrouter:ops:"),
    ] {
        let titled = |section: &&str| section.lines().next().is_some_and(|l| l.contains(prefix));
        let section = text.split("\n### ").skip(1).find(titled);
        let section = section.unwrap_or_else(|| panic!("no section on {prefix}"));
        for (rid, _) in table.rows.iter().flat_map(|row| match row.need {
            Need::Each(asks) => asks.to_vec(),
            Need::Filtered(ask) => vec![ask],
            Need::Public(_) | Need::Login(_) => Vec::new(),
        }) {
            let rest = rid.strip_prefix(prefix).unwrap_or_else(|| panic!("{rid} is elsewhere"));
            let name = rest.split_once(":{").map_or(rest, |(name, _)| name);
            let name = name.strip_prefix("endpoint:path:").unwrap_or(name);
            if !section.contains(name) {
                missing.insert(rid);
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/permissions.md: {missing:?}");
}
