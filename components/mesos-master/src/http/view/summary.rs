//! `/state-summary`: agents and frameworks with counts of their tasks.
use std::collections::HashMap;

use http_kit::json;
use mesos_messages::v1::TaskState;
use rustc_hash::FxBuildHasher;

use super::{agent, framework, member, member_string};
use crate::{
    http::render::text::quoted,
    model::{FrameworkView, Id, Snapshot, Task},
};

/// The states counted, in the order shown.
const STATES: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

#[derive(Clone, Copy, Default)]
struct Counts([u32; STATES.len()]);

impl Counts {
    fn add(&mut self, state: TaskState) {
        let place = STATES.iter().position(|known| *known == state);
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += 1;
        }
    }

    fn add_all(&mut self, other: &Counts) {
        for (mine, more) in self.0.iter_mut().zip(other.0) {
            *mine += more;
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (state, count) in STATES.iter().zip(self.0) {
            member(out, state.as_str_name());
            json::integer(out, i64::from(count));
        }
    }
}

type ByAgent<'a> = HashMap<&'a str, (Counts, Vec<&'a Id>), FxBuildHasher>;

/// Appends the whole answer.
pub(crate) fn write(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let mut by_agent = ByAgent::default();
    let mut frameworks = Vec::new();
    json::list(&mut frameworks, &snapshot.frameworks, |out, view| {
        write_framework(out, view, &mut by_agent);
    });
    let master = &snapshot.master;
    out.extend_from_slice(b"{\"hostname\":");
    quoted(out, master.info.hostname.as_deref().unwrap_or(""));
    if let Some(cluster) = &master.cluster {
        member_string(out, "cluster", cluster);
    }
    member(out, "slaves");
    json::list(out, snapshot.agents.iter(), |out, agent| {
        agent::write_open(out, agent);
        let known = by_agent.get(&*agent.id);
        known.map(|(counts, _)| *counts).unwrap_or_default().write(out);
        member(out, "framework_ids");
        let ids = known.map(|(_, ids)| ids.as_slice()).unwrap_or_default();
        json::list(out, ids, |out, id| quoted(out, id));
        out.push(b'}');
    });
    member(out, "frameworks");
    out.extend_from_slice(&frameworks);
    out.push(b'}');
}

fn write_framework<'a>(out: &mut Vec<u8>, view: &'a FrameworkView, by_agent: &mut ByAgent<'a>) {
    let mut own: HashMap<&str, Counts, FxBuildHasher> = HashMap::default();
    let mut all = Counts::default();
    let mut count = |task: &'a Task| {
        own.entry(&task.agent_id).or_default().add(task.state);
        all.add(task.state);
    };
    view.tasks.iter().for_each(|task| count(task));
    view.unreachable_tasks.iter().for_each(|task| count(task));
    view.completed_tasks.iter().for_each(|task| count(task));
    framework::write_summary_open(out, &view.framework);
    all.write(out);
    member(out, "slave_ids");
    json::list(out, own.keys(), |out, id| quoted(out, id));
    out.push(b'}');
    for (agent, counts) in own {
        let (sum, frameworks) = by_agent.entry(agent).or_default();
        sum.add_all(&counts);
        frameworks.push(&view.framework.id);
    }
}
