//! A cluster made of numbers, to drive the core with: a master with agents, a store, a clock.

mod cluster;
mod store;
mod world;

pub(crate) use cluster::{Fate, Task};
pub(crate) use world::World;

use marathon_model::{App, AppUpdate, PathId};

/// An app for tests of single rules.
pub(crate) fn app(id: &str, instances: u32) -> App {
    let mut app = crate::launch::testing::app();
    app.id = PathId::parse(id).unwrap();
    app.instances = instances;
    app
}

/// A request body.
pub(crate) fn update(json: &serde_json::Value) -> AppUpdate {
    AppUpdate::parse(json).unwrap()
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `sides`.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A task that runs somewhere.
pub(crate) fn status(task: &str) -> mesos_messages::v1::TaskStatus {
    cluster::status(task, mesos_messages::v1::TaskState::TaskRunning, Some("agent-0"))
}
