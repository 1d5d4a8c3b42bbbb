//! What each change comes to.

mod naive;
mod random;

use super::*;
use crate::{
    group::work,
    settings::NewGroupEnforceRole,
    testing::{World, group, path, refusal, steps, timestamp, update},
};

const CLASH: &str = "Groups and Applications may not have the same identifier.";
const CYCLE: &str = "Dependency graph has cyclic dependencies.";

fn world(apps: &[&str]) -> World {
    let mut world = World::default();
    for app in apps {
        world.post(app).unwrap();
    }
    world
}

#[test]
fn a_new_app_brings_its_groups() {
    let mut world = World::default();
    let applied = world.post(r#"{"id": "/a/b/c", "cmd": "xx"}"#).unwrap();
    assert!(applied.created);
    assert_eq!((world.apps(), world.groups()), (vec!["/a/b/c"], vec!["/", "/a", "/a/b"]));
    assert_eq!(applied.groups_changed.len(), 2);
    let app = world.app("/a/b/c");
    assert_eq!((app.version, world.root.version()), (timestamp(1), timestamp(1)));
    assert_eq!(app.version_info.last_config_change_at, timestamp(1));

    // The groups stay when the app goes.
    let applied = world.apply(Change::DeleteApp { id: path("/a/b/c") }).unwrap();
    assert_eq!((world.apps().len(), world.groups().len()), (0, 3));
    assert!(applied.groups_changed.is_empty() && !applied.created);
    assert_eq!(steps(&applied), "Stop /a/b/c");
}

#[test]
fn versions_say_what_kind_of_change_it_was() {
    let mut world = world(&[r#"{"id": "/a", "cmd": "xx"}"#]);
    let info = |world: &World| {
        let app = world.app("/a");
        let (scaled, changed) =
            (app.version_info.last_scaling_at, app.version_info.last_config_change_at);
        [app.version, scaled, changed].map(|t| t.0 - timestamp(0).0)
    };
    assert_eq!(info(&world), [1, 1, 1]);
    assert_eq!(steps(&world.put("/a", r#"{"instances": 3}"#).unwrap()), "Scale /a");
    assert_eq!(info(&world), [2, 2, 1]);
    assert_eq!(steps(&world.apply(Change::RestartApp { id: path("/a") }).unwrap()), "Restart /a");
    assert_eq!(info(&world), [3, 2, 3]);
    let same = world.put("/a", r#"{"instances": 3, "cmd": "xx"}"#).unwrap();
    assert_eq!((steps(&same).as_str(), same.changed.len()), ("", 0));
    assert_eq!((info(&world), world.root.version()), ([3, 2, 3], timestamp(4)));
    assert_eq!(steps(&world.put("/a", r#"{"labels": {"k": "v"}}"#).unwrap()), "Restart /a");
    assert_eq!(info(&world), [5, 5, 5]);
    // Changed and scaled to nothing: nothing is to be started.
    assert_eq!(steps(&world.put("/a", r#"{"cmd": "yy", "instances": 0}"#).unwrap()), "Scale /a");
}

#[test]
fn versions_rise_when_the_clock_does_not() {
    let mut world = world(&[r#"{"id": "/a", "cmd": "xx"}"#]);
    world.clock = 0;
    world.put("/a", r#"{"cmd": "yy"}"#).unwrap();
    assert_eq!(world.app("/a").version, timestamp(2));
}

#[test]
fn what_is_refused_of_apps() {
    let mut world = world(&[r#"{"id": "/a/x", "cmd": "xx"}"#]);
    let taken = (409, "An app with id [/a/x] already exists.".to_owned());
    assert_eq!(refusal(world.post(r#"{"id": "a/x", "cmd": "yy"}"#)), taken);
    assert_eq!(refusal(world.post(r#"{"id": "/a", "cmd": "yy"}"#)), (422, CLASH.to_owned()));
    assert_eq!(refusal(world.post(r#"{"id": "/a/x/y", "cmd": "yy"}"#)), (422, CLASH.to_owned()));
    let gone = (404, "App '/n' does not exist".to_owned());
    for change in [
        Change::DeleteApp { id: path("/n") },
        Change::RestartApp { id: path("/n") },
        Change::RestoreApp { id: path("/n"), app: world.app("/a/x").clone() },
        Change::ScaleApps([(path("/n"), 1)].into()),
        Change::UpdateApp {
            id: path("/n"),
            update: update(r#"{"cmd": "xx"}"#),
            partial: true,
            create: false,
        },
        Change::UpdateApps {
            updates: vec![update(r#"{"id": "/n", "cmd": "xx"}"#)],
            partial: true,
            create: false,
        },
    ] {
        assert_eq!(refusal(world.apply(change)), gone);
    }
    let nameless = Change::UpdateApps {
        updates: vec![update(r#"{"cmd": "xx"}"#)],
        partial: true,
        create: true,
    };
    let text = "requirement failed: App Update must have app id set";
    assert_eq!(refusal(world.apply(nameless)), (422, text.to_owned()));
    // Nothing of it was kept.
    assert_eq!((world.apps(), world.root.version()), (vec!["/a/x"], timestamp(1)));
}

#[test]
fn an_empty_group_gives_way_to_an_app() {
    let mut world = world(&[r#"{"id": "/a/b/x", "cmd": "xx"}"#]);
    world.apply(Change::DeleteApp { id: path("/a/b/x") }).unwrap();
    let applied = world.post(r#"{"id": "/a", "cmd": "xx"}"#).unwrap();
    assert_eq!((world.apps(), world.groups()), (vec!["/a"], vec!["/"]));
    assert_eq!(applied.groups_changed.len(), 2);
}

#[test]
fn several_apps_at_once() {
    let mut world = world(&[r#"{"id": "/a", "cmd": "xx"}"#]);
    let updates = [r#"{"id": "/a", "instances": 2}"#, r#"{"id": "b", "cmd": "yy"}"#].map(update);
    let applied = world
        .apply(Change::UpdateApps { updates: updates.into(), partial: true, create: true })
        .unwrap();
    assert_eq!(steps(&applied), "Start /b; Scale /a, Scale /b");
    let applied = world.apply(Change::ScaleApps([(path("/a"), 7), (path("/b"), 1)].into()));
    assert_eq!(steps(&applied.unwrap()), "Scale /a");
}

#[test]
fn an_old_version_comes_back_as_a_new_one() {
    let mut world = world(&[r#"{"id": "/a", "cmd": "xx"}"#]);
    let old = world.app("/a").clone();
    world.put("/a", r#"{"cmd": "yy", "instances": 4}"#).unwrap();
    let restore = Change::RestoreApp { id: path("/a"), app: old };
    assert_eq!(steps(&world.apply(restore.clone()).unwrap()), "Restart /a");
    let app = world.app("/a");
    assert_eq!((app.cmd.as_deref(), app.instances, app.version), (Some("xx"), 1, timestamp(3)));
    assert_eq!(steps(&world.apply(restore).unwrap()), "");
}

#[test]
fn service_ports_are_the_lowest_free_ones() {
    let ports = |world: &World, id: &str| world.app(id).service_ports().collect::<Vec<_>>();
    let mut world = World::default();
    let app = |id: &str, ports: &str| format!(r#"{{"id": "{id}", "cmd": "xx", "ports": {ports}}}"#);
    world.post(&app("/a", "[0, 10001, 0]")).unwrap();
    assert_eq!(ports(&world, "/a"), [10_000, 10_001, 10_002]);
    world.post(&app("/b", "[0, 80]")).unwrap();
    assert_eq!(ports(&world, "/b"), [10_003, 80]);
    // An update keeps those the app had.
    world.put("/a", &app("/a", "[0, 0, 0, 0]")).unwrap();
    assert_eq!(ports(&world, "/a"), [10_000, 10_001, 10_002, 10_004]);
    let same = world.put("/a", &app("/a", "[0, 0, 0, 0]")).unwrap();
    assert_eq!(steps(&same), "");
    world.apply(Change::DeleteApp { id: path("/a") }).unwrap();
    world.post(&app("/c", "[0]")).unwrap();
    assert_eq!(ports(&world, "/c"), [10_000]);
    // Two apps may name the same one.
    world.post(&app("/d", "[10000]")).unwrap();
    world.apply(Change::DeleteApp { id: path("/c") }).unwrap();
    world.post(&app("/e", "[0]")).unwrap();
    assert_eq!(ports(&world, "/e"), [10_001]);

    world.settings.local_port_max = 10_003;
    world.post(&app("/f", "[0]")).unwrap();
    let text = "All ports in the range [10000-10003) are already in use";
    assert_eq!(refusal(world.post(&app("/g", "[0]"))), (422, text.to_owned()));
}

#[test]
fn dependencies_may_not_be_circular() {
    let mut world = world(&[
        r#"{"id": "/g/a", "cmd": "xx", "dependencies": ["/g/b", "/nowhere"]}"#,
        r#"{"id": "/g/b", "cmd": "xx"}"#,
    ]);
    let cycle = (422, CYCLE.to_owned());
    for dependency in ["/g/a", "/g/b", "/g", "/"] {
        let json = format!(r#"{{"dependencies": ["{dependency}"]}}"#);
        assert_eq!(refusal(world.put("/g/b", &json)), cycle, "{dependency}");
    }
    // Through groups: everything of /h on everything of /g.
    world.put_group("/h", r#"{"dependencies": ["/g"], "apps": []}"#).unwrap();
    world.put("/g/b", r#"{"dependencies": ["/h"]}"#).unwrap();
    assert_eq!(refusal(world.post(r#"{"id": "/h/c", "cmd": "xx"}"#)), cycle);
    // As long as a group is empty it may say anything.
    world.put_group("/h", r#"{"dependencies": ["/h", "/g"]}"#).unwrap();
}

#[test]
fn a_long_chain_of_dependencies() {
    let mut world = World::default();
    let count = 3000;
    let updates = (0..count).map(|i| {
        update(&format!(r#"{{"id": "/a{i}", "cmd": "xx", "dependencies": ["/a{}"]}}"#, i + 1))
    });
    let change = Change::UpdateApps { updates: updates.collect(), partial: true, create: true };
    let applied = world.apply(change).unwrap();
    let plan = crate::plan::plan(&applied, String::new());
    assert_eq!(plan.steps.len(), 1 + count);
}

#[test]
fn groups_are_put_part_by_part() {
    let mut world = World::default();
    let json = r#"{"id": "/p", "dependencies": ["q"], "groups": [
        {"id": "db", "apps": [{"id": "pg", "cmd": "xx"}]},
        {"id": "web", "dependencies": ["../db"], "apps": [
            {"id": "ui", "cmd": "xx", "dependencies": ["../db/pg"]}]}]}"#;
    let create = Change::CreateGroup { id: PathId::root(), update: group(json) };
    let applied = world.apply(create.clone()).unwrap();
    assert_eq!(steps(&applied), "Start /p/db/pg, Start /p/web/ui; Scale /p/db/pg; Scale /p/web/ui");
    assert!(applied.created);
    let text = "Group /p is already created. Use PUT to change this group.";
    assert_eq!(refusal(world.apply(create)), (409, text.to_owned()));
    assert_eq!(world.root.group(&path("/p")).unwrap().dependencies, [path("/p/q")].into());

    // Nothing said, nothing changed.
    assert_eq!(steps(&world.put_group("/p", "{}").unwrap()), "");
    assert_eq!(world.root.group(&path("/p")).unwrap().dependencies.len(), 1);
    // What is listed stays and is updated in the same way, what is not goes.
    let applied = world.put_group("/p", r#"{"groups": [{"id": "web"}, {"id": "new"}]}"#).unwrap();
    assert_eq!(steps(&applied), "Stop /p/db/pg");
    assert_eq!(world.groups(), ["/", "/p", "/p/new", "/p/web"]);
    let put = r#"{"apps": [{"id": "ui", "cmd": "xx", "dependencies": ["../db/pg"]},
                           {"id": "/p/web/two", "cmd": "yy"}]}"#;
    assert_eq!(
        steps(&world.put_group("/p/web", put).unwrap()),
        "Start /p/web/two; Scale /p/web/two"
    );
    assert_eq!(
        steps(&world.put_group("/p/web", r#"{"apps": []}"#).unwrap()),
        "Stop /p/web/two, Stop /p/web/ui"
    );
    assert_eq!(world.groups(), ["/", "/p", "/p/new", "/p/web"]);
}

#[test]
fn groups_are_scaled_and_deleted() {
    let mut world = world(&[
        r#"{"id": "/g/a", "cmd": "xx", "instances": 3}"#,
        r#"{"id": "/g/h/b", "cmd": "xx", "instances": 1}"#,
        r#"{"id": "/gg", "cmd": "xx", "instances": 1}"#,
    ]);
    assert_eq!(
        steps(&world.put_group("/g", r#"{"scaleBy": 1.5}"#).unwrap()),
        "Scale /g/a, Scale /g/h/b"
    );
    assert_eq!((world.app("/g/a").instances, world.app("/g/h/b").instances), (5, 2));
    let alone = "not allowed in conjunction with other properties.";
    for json in [r#"{"scaleBy": 2, "id": "/g"}"#, r#"{"scaleBy": 2, "apps": []}"#] {
        assert_eq!(refusal(world.put_group("/g", json)), (422, alone.to_owned()));
    }
    let none = (404, "Group '/n' does not exist".to_owned());
    assert_eq!(refusal(world.apply(Change::DeleteGroup { id: path("/n") })), none);
    let applied = world.apply(Change::DeleteGroup { id: path("/g") }).unwrap();
    assert_eq!(steps(&applied), "Stop /g/a, Stop /g/h/b");
    assert_eq!((world.apps(), world.groups()), (vec!["/gg"], vec!["/"]));
    world.apply(Change::DeleteGroup { id: PathId::root() }).unwrap();
    assert_eq!((world.apps().len(), world.groups()), (0, vec!["/"]));
}

#[test]
fn a_group_goes_back_to_what_it_was() {
    let mut world = world(&[
        r#"{"id": "/g/a", "cmd": "xx"}"#,
        r#"{"id": "/g/h/b", "cmd": "xx"}"#,
        r#"{"id": "/other", "cmd": "xx"}"#,
    ]);
    let old = world.root.clone();
    world.put("/g/a", r#"{"cmd": "yy"}"#).unwrap();
    world.post(r#"{"id": "/g/new/c", "cmd": "xx"}"#).unwrap();
    world.apply(Change::DeleteGroup { id: path("/g/h") }).unwrap();
    world.put("/other", r#"{"cmd": "yy"}"#).unwrap();
    let restore = Change::RestoreGroup {
        id: path("/g"),
        apps: old.apps_below(&path("/g")).cloned().collect(),
        groups: std::iter::once(old.group(&path("/g")).unwrap())
            .chain(old.groups_below(&path("/g")))
            .cloned()
            .collect(),
    };
    let applied = world.apply(restore).unwrap();
    assert_eq!(steps(&applied), "Stop /g/new/c; Start /g/h/b; Restart /g/a, Scale /g/h/b");
    assert_eq!(world.groups(), ["/", "/g", "/g/h"]);
    assert_eq!(world.app("/other").cmd.as_deref(), Some("yy"));
}

#[test]
fn what_is_refused_of_groups() {
    let mut world = world(&[r#"{"id": "/g/a", "cmd": "xx"}"#]);
    let app = Change::CreateGroup { id: path("/g/a"), update: group("{}") };
    let text = "An app with the path /g/a already exists.";
    // The clash is found when everything else is known.
    assert_eq!(refusal(world.apply(app)), (409, text.to_owned()));
    assert_eq!(refusal(world.put_group("/g/a", "{}")), (422, CLASH.to_owned()));
    let child = "Identifier is not child of '/g'";
    for json in [r#"{"apps": [{"id": "/x", "cmd": "xx"}]}"#, r#"{"groups": [{"id": "b/c"}]}"#] {
        assert_eq!(refusal(world.put_group("/g", json)), (422, child.to_owned()));
    }
    let (status, text) = refusal(world.put_group("/g/tasks", "{}"));
    assert!(status == 422 && text.contains("reserved keywords"), "{text}");
}

#[test]
fn groups_may_make_their_name_the_role() {
    let mut world = World::default();
    world.settings.mesos_role = "slave_public".to_owned();
    world.post(r#"{"id": "/a", "cmd": "xx"}"#).unwrap();
    world.post(r#"{"id": "/dev/a", "cmd": "xx"}"#).unwrap();
    assert_eq!(world.app("/dev/a").role, "slave_public");
    let wrong = refusal(world.post(r#"{"id": "/b", "cmd": "xx", "role": "dev"}"#));
    assert_eq!(wrong, (422, "got dev, expected one of: [slave_public]".to_owned()));
    world.post(r#"{"id": "/dev/b", "cmd": "xx", "role": "dev"}"#).unwrap();

    let top = |id: &str| Change::PatchGroup { id: path(id), enforce_role: Some(true) };
    let version = world.root.version();
    assert_eq!(steps(&world.apply(top("/dev")).unwrap()), "");
    assert_eq!(world.root.version(), version);
    world.post(r#"{"id": "/dev/x/c", "cmd": "xx"}"#).unwrap();
    assert_eq!(world.app("/dev/x/c").role, "dev");
    // The role an app has may stay.
    world.put("/dev/a", r#"{"cmd": "yy"}"#).unwrap();
    let wrong = refusal(world.post(r#"{"id": "/dev/d", "cmd": "xx", "role": "slave_public"}"#));
    assert_eq!(wrong, (422, "got slave_public, expected one of: [dev]".to_owned()));
    let nested = (422, "Path needs to be top-level".to_owned());
    assert_eq!(refusal(world.apply(top("/dev/x"))), nested);
    assert_eq!(refusal(world.apply(top("/n"))), (404, "Group '/n' does not exist".to_owned()));
    let nested = refusal(world.put_group("/dev/x", r#"{"enforceRole": true}"#));
    assert!(nested.1.starts_with("enforceRole can only be set for top-level groups"));

    // With apps in the same request it may not change; saying the same is no change.
    let put = |role| format!(r#"{{"id": "/dev", "enforceRole": {role}, "apps": []}}"#);
    let (status, text) = refusal(world.put_group("/dev", &put(false)));
    assert!(status == 422 && text.starts_with("enforceRole cannot be modified"), "{text}");
    world.put_group("/dev", &put(true)).unwrap();
    world.put_group("/dev", r#"{"enforceRole": false}"#).unwrap();
    assert_eq!(world.root.group(&path("/dev")).unwrap().enforce_role, Some(false));

    world.settings.new_group_enforce_role = NewGroupEnforceRole::Top;
    world.post(r#"{"id": "/prod/a", "cmd": "xx"}"#).unwrap();
    assert_eq!(world.app("/prod/a").role, "prod");
    world
        .put_group("/qa", r#"{"enforceRole": false, "apps": [{"id": "a", "cmd": "xx"}]}"#)
        .unwrap();
    assert_eq!(world.app("/qa/a").role, "slave_public");
}

#[test]
fn apps_with_volumes_of_their_own_keep_their_resources() {
    let mut world = World::default();
    let app = r#"{"id": "/g/db", "cmd": "xx", "role": "g", "cpus": 1, "portDefinitions": [],
        "unreachableStrategy": "disabled",
        "container": {"type": "MESOS", "volumes": [
            {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}]}}"#;
    world.post(app).unwrap();
    world.put("/g/db", r#"{"instances": 2}"#).unwrap();
    let result = world.put("/g/db", r#"{"cpus": 2, "requirePorts": true}"#);
    let body = result.unwrap_err().body();
    assert_eq!(body.pointer("/details/0/path").unwrap(), "/app(0)/cpus");
    assert_eq!(body.pointer("/details/1/path").unwrap(), "/app(0)/requirePorts");
    let (status, text) = refusal(world.put(
        "/g/db",
        r#"{"container": {"type": "MESOS", "volumes": [
        {"containerPath": "data", "mode": "RW", "persistent": {"size": 20}}]}}"#,
    ));
    assert_eq!((status, text.as_str()), (422, "Persistent volumes can not be changed!"));
    world.apply(Change::PatchGroup { id: path("/g"), enforce_role: Some(false) }).unwrap();
    world.settings.mesos_role = "other".to_owned();
    let (status, text) = refusal(world.put("/g/db", r#"{"role": "other"}"#));
    assert!(status == 422 && text.contains("retry your request with ?force=true"), "{text}");
    world.force = true;
    world.put("/g/db", r#"{"role": "other"}"#).unwrap();
}

#[test]
fn a_deployment_is_taken_back_and_nothing_else() {
    let mut world = world(&[r#"{"id": "/g/a", "cmd": "xx"}"#, r#"{"id": "/g/b", "cmd": "xx"}"#]);
    let json = r#"{"groups": [], "dependencies": ["/d"], "apps": [{"id": "a", "cmd": "yy"}, {"id": "c", "cmd": "xx"}]}"#;
    let applied = world.put_group("/g", json).unwrap();
    let plan = Arc::new(crate::plan::plan(&applied, "d".to_owned()));
    world.post(r#"{"id": "/g/later", "cmd": "xx"}"#).unwrap();
    world.post(r#"{"id": "/n/later", "cmd": "xx"}"#).unwrap();
    let applied = world.apply(Change::RevertDeployment { plan }).unwrap();
    assert_eq!(steps(&applied), "Stop /g/c; Start /g/b; Restart /g/a, Scale /g/b");
    assert_eq!(world.apps(), ["/g/a", "/g/b", "/g/later", "/n/later"]);
    assert_eq!(world.app("/g/a").cmd.as_deref(), Some("xx"));
    assert!(world.root.group(&path("/g")).unwrap().dependencies.is_empty());

    // A group that the deployment made goes if it is empty again, and stays if not.
    for (other, groups) in [(false, 3), (true, 4)] {
        let mut world = world.clone();
        let applied = world.post(r#"{"id": "/new/a", "cmd": "xx"}"#).unwrap();
        let plan = Arc::new(crate::plan::plan(&applied, "d".to_owned()));
        if other {
            world.post(r#"{"id": "/new/b", "cmd": "xx"}"#).unwrap();
        }
        world.apply(Change::RevertDeployment { plan }).unwrap();
        assert_eq!(world.groups().len(), groups);
    }
}

#[test]
fn the_label_for_taking_updates_back_is_checked() {
    let mut world = World::default();
    let app = |value| {
        format!(r#"{{"id": "/a", "cmd": "xx", "labels": {{"DAIS_AUTO_ROLLBACK": "{value}"}}}}"#)
    };
    let (status, text) = refusal(world.post(&app("often")));
    assert_eq!((status, text.as_str()), (422, "must be true, false or a number from 1 to 100"));
    world.post(&app("5")).unwrap();
    assert_eq!(crate::rollback::failures_allowed(world.app("/a")), Some(5));
}

/// What a thousand new apps cost at most, each.
fn cost_of_new_apps(mut world: World) -> u64 {
    let template = update(r#"{"cmd": "xx", "portDefinitions": []}"#);
    let mut most = 0;
    for i in 0..1000_u32 {
        let id = Some(format!("/g{}/h{}/new-{i}", i % 7, i % 300));
        let port_definitions = template.port_definitions.clone().filter(|_| i % 5 == 0);
        let update = AppUpdate { id, port_definitions, ..template.clone() };
        work::take();
        let applied = world.apply(Change::CreateApp(update)).unwrap();
        let plan = crate::plan::plan(&applied, String::new());
        assert_eq!((applied.changed.len(), plan.steps.len()), (1, 2));
        most = most.max(work::take());
    }
    most
}

#[test]
fn a_new_app_costs_the_same_however_many_there_are() {
    let mut few = World::default();
    few.put_group("/g0", r#"{"dependencies": ["/base"]}"#).unwrap();
    few.post(r#"{"id": "/base/db", "cmd": "xx", "portDefinitions": []}"#).unwrap();
    let mut many = few.clone();
    let template = few.app("/base/db").clone();
    let apps = (0..100_000).map(|i| {
        let id = path(&format!("/g{}/h{}/app-{i}", i % 7, i % 300));
        Arc::new(App { id, ..App::clone(&template) })
    });
    many.root = Root::load(
        many.root.version(),
        many.root.groups().values().cloned(),
        apps.chain([template.clone()]),
    );
    let (few, many) = (cost_of_new_apps(few), cost_of_new_apps(many));
    assert!(many <= few && few < 40, "{few} with none, {many} with 100,000");
}
