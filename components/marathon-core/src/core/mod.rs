//! The state machine itself.

use crate::{Config, Effects, Input, Recovered, View};
use mesos_messages::time::Now;
use std::time::Duration;

/// The orchestrator's whole state.
#[derive(Debug)]
pub struct Core {
    config: Config,
    view: View,
}

// === impl Core ===

impl Core {
    /// Begins with what was stored.
    pub fn new(config: Config, recovered: Recovered, _now: Now) -> Self {
        let view = View { root: recovered.root, ..View::default() };
        Self { config, view }
    }

    /// One thing that happened.
    pub fn handle(&mut self, _now: Now, _input: Input, _out: &mut Effects) {
        let _ = &self.config;
    }

    /// When it wants to be woken with a tick, on the clock of [`Now::mono`]; never: nothing waits.
    pub fn deadline(&self) -> Option<Duration> {
        None
    }

    /// What readers see now.
    pub fn view(&self) -> View {
        self.view.clone()
    }
}
