//! Rules of the orchestrator, one by one, on a cluster made of numbers.

mod calls;
mod commands;
mod deployments;
mod foresee;
mod instances;
mod queue;

use crate::{Done, Refusal, testing::World};
use marathon_model::PathId;
use serde_json::{Value, json};

fn path(id: &str) -> PathId {
    PathId::parse(id).unwrap()
}

fn app(id: &str, instances: u32) -> Value {
    json!({"id": id, "cmd": "fine", "instances": instances, "cpus": 1.0, "mem": 1})
}

fn with(mut app: Value, field: &str, value: Value) -> Value {
    app.as_object_mut().unwrap().insert(field.to_owned(), value);
    app
}

/// A world in which the app runs.
fn running(app: &Value) -> World {
    let mut world = World::new(1, 4, 10.0);
    world.create(app).unwrap();
    assert!(world.until(120, World::idle), "{:?}", world.core.view().deployments);
    world.events.clear();
    world
}

fn deployment(done: &Result<Done, Refusal>) -> String {
    match done {
        Ok(Done::Deployment { id, .. }) => id.clone(),
        other => panic!("no deployment: {other:?}"),
    }
}
