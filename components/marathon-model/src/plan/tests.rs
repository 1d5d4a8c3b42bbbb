//! The order of things.

use super::*;
use crate::{
    Change,
    testing::{World, path, shown, steps, timestamp},
};

#[test]
fn levels_of_dependencies() {
    let mut world = World::default();
    let json = |service: &str, web: &str| {
        format!(
            r#"{{"id": "/test", "groups": [
            {{"id": "database", "apps": [{{"id": "redis", "cmd": "xx"}}, {{"id": "mongo", "cmd": "xx"}}]}},
            {{"id": "service", "dependencies": ["../database"], "apps": [
                {{"id": "s1", "cmd": "{service}", "dependencies": ["../database/mongo"]}}]}},
            {{"id": "web", "dependencies": ["../service"], "apps": [{{"id": "w1", "cmd": "{web}"}}]}},
            {{"id": "free", "apps": [{{"id": "f", "cmd": "xx"}}]}}]}}"#
        )
    };
    let applied = world.put_group("/test", &json("aa", "aa")).unwrap();
    assert_eq!(
        steps(&applied),
        "Start /test/database/mongo, Start /test/database/redis, Start /test/free/f, \
         Start /test/service/s1, Start /test/web/w1; \
         Scale /test/database/mongo, Scale /test/database/redis, Scale /test/free/f; \
         Scale /test/service/s1; Scale /test/web/w1"
    );
    let applied = world.put_group("/test", &json("bb", "bb")).unwrap();
    assert_eq!(steps(&applied), "Restart /test/service/s1; Restart /test/web/w1");
}

#[test]
fn an_app_that_depends_on_a_group_waits_for_all_of_it() {
    let mut world = World::default();
    let json = r#"{"apps": [{"id": "z", "cmd": "xx"},
                            {"id": "y", "cmd": "xx", "dependencies": ["z"]}]}"#;
    world.put_group("/g", json).unwrap();
    world.post(r#"{"id": "/a", "cmd": "xx", "dependencies": ["/g"]}"#).unwrap();
    let scale = [path("/a"), path("/g/y"), path("/g/z")].map(|id| (id, 3));
    let applied = world.apply(Change::ScaleApps(scale.into())).unwrap();
    assert_eq!(steps(&applied), "Scale /g/z; Scale /g/y; Scale /a");
}

#[test]
fn as_clients_see_it() {
    let mut world = World::default();
    let applied = world.post(r#"{"id": "/a", "cmd": "xx"}"#).unwrap();
    let plan = plan(&applied, "867ed450".to_owned());
    assert_eq!(
        plan.light_json().to_string(),
        r#"{"id":"867ed450","steps":[{"actions":[{"action":"StartApplication","app":"/a"}]},{"actions":[{"action":"ScaleApplication","app":"/a"}]}],"version":"2020-09-13T12:26:40.001Z"}"#
    );
}

#[test]
fn plans_in_each_others_way() {
    let mut world = World::default();
    let mut plan_of = |json: &str| plan(&world.post(json).unwrap(), String::new());
    let one = plan_of(r#"{"id": "/a", "cmd": "xx"}"#);
    let other = plan_of(r#"{"id": "/b", "cmd": "xx"}"#);
    assert!(one.conflicts_with(&one) && !one.conflicts_with(&other));
}

#[test]
fn the_stored_form_is_small_and_complete() {
    let mut world = World::default();
    let command = "x".repeat(10_000);
    world.post(&format!(r#"{{"id": "/g/a", "cmd": "{command}"}}"#)).unwrap();
    let before = world.app("/g/a").clone();
    let applied = world.put("/g/a", r#"{"cmd": "yy"}"#).unwrap();
    let made = plan(&applied, "d".to_owned());
    let stored = StoredPlan::from(&made);
    assert!(stored.to_bytes().len() < 300);
    assert_eq!(
        stored.references().collect::<Vec<_>>(),
        [(&path("/g/a"), timestamp(1)), (&path("/g/a"), timestamp(2))]
    );
    let after = world.app("/g/a").clone();
    let read = stored.resolve(|_, version| {
        Some(if version == before.version { before.clone() } else { after.clone() })
    });
    assert_eq!(shown(&read.unwrap()), "Restart /g/a");
    let made = Plan { rollback: true, ..made };
    let stored = StoredPlan::from_bytes(&StoredPlan::from(&made).to_bytes()).unwrap();
    assert!(stored.resolve(|_, _| Some(after.clone())).unwrap().rollback);
    let missing = stored.resolve(|_, _| None).unwrap_err();
    let text = "app /g/a of the stored plan is not there in version 2020-09-13T12:26:40.001Z";
    assert_eq!(missing.to_string(), text);
    assert!(StoredPlan::from_bytes(b"{}").is_err());
}
