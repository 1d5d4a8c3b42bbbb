//! Which parts each large answer consists of.
use std::{ops::Range, sync::Arc};

use http_kit::json;
use mesos_messages::{json::JsonMessage, v1};

use super::{
    render::{
        Plan, proto,
        text::{double, quoted},
    },
    view::{
        agent,
        framework::{self, AgentIndex},
        member, summary,
        task::{self, TaskWriter},
        task_v1::{JsonTasks, ProtoTasks},
    },
};
use crate::model::{FrameworkView, Snapshot, Task};

/// Records in one unit, the smallest piece a list is divided into.
const UNIT: usize = 64;
/// Units of tasks in one piece of work.
const TASK_UNITS: usize = 2;
/// Units of agents in one piece of work.
const AGENT_UNITS: usize = 1;

/// The three lists of tasks a framework has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskList {
    Current,
    Unreachable,
    Completed,
}

impl TaskList {
    fn units(self, view: &FrameworkView) -> usize {
        match self {
            TaskList::Current => view.tasks.chunk_count(),
            TaskList::Unreachable => view.unreachable_tasks.len().div_ceil(UNIT),
            TaskList::Completed => view.completed_tasks.len().div_ceil(UNIT),
        }
    }

    fn each(self, view: &FrameworkView, units: Range<usize>, mut visit: impl FnMut(&Task)) {
        let list = match self {
            TaskList::Current => {
                return view.tasks.in_chunks(units).for_each(|task| visit(task));
            }
            TaskList::Unreachable => &view.unreachable_tasks,
            TaskList::Completed => &view.completed_tasks,
        };
        let count = units.len() * UNIT;
        list.iter().skip(units.start * UNIT).take(count).for_each(|task| visit(task));
    }
}

/// A framework by its place: the registered ones first, then the completed.
fn view(snapshot: &Snapshot, place: usize) -> Option<&Arc<FrameworkView>> {
    let registered = snapshot.frameworks.len();
    match place.checked_sub(registered) {
        None => snapshot.frameworks.get(place),
        Some(place) => snapshot.completed_frameworks.get(place),
    }
}

fn all_views(snapshot: &Snapshot) -> usize {
    snapshot.frameworks.len() + snapshot.completed_frameworks.len()
}

/// A piece of work on frameworks: several small ones as a whole, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stretch {
    Whole(Range<usize>),
    Part(usize, Range<usize>),
}

/// Divides the frameworks in `places` so that no piece of work is very large or very small.
fn stretches(places: Range<usize>, units: impl Fn(usize) -> usize) -> Vec<Stretch> {
    let mut out = Vec::new();
    let mut begin = places.start;
    let mut gathered = 0;
    for place in places.clone() {
        let own = units(place);
        if own > TASK_UNITS {
            if begin < place {
                out.push(Stretch::Whole(begin..place));
            }
            let cuts = (0..own).step_by(TASK_UNITS);
            out.extend(cuts.map(|at| Stretch::Part(place, at..(at + TASK_UNITS).min(own))));
            (begin, gathered) = (place + 1, 0);
        } else {
            gathered += own.max(1);
            if gathered >= TASK_UNITS {
                out.push(Stretch::Whole(begin..place + 1));
                (begin, gathered) = (place + 1, 0);
            }
        }
    }
    if begin < places.end {
        out.push(Stretch::Whole(begin..places.end));
    }
    out
}

fn weight_of(stretch: &Stretch) -> usize {
    match stretch {
        Stretch::Whole(places) => places.len() * UNIT,
        Stretch::Part(_, units) => units.len() * UNIT,
    }
}

// --- classic ---

/// `/state`; `head` is everything before the agents, `{` included.
pub(crate) fn state(snapshot: &Snapshot, head: &[u8]) -> Plan {
    let mut plan = Plan::default();
    plan.text(head);
    plan.text(",\"slaves\":");
    agents(&mut plan, snapshot, |out, agent| {
        agent::write_open(out, agent);
        out.push(b'}');
    });
    plan.text(",\"recovered_slaves\":");
    recovered(&mut plan, snapshot);
    plan.text(",\"frameworks\":");
    let registered = snapshot.frameworks.len();
    frameworks(&mut plan, snapshot, 0..registered);
    plan.text(",\"completed_frameworks\":");
    frameworks(&mut plan, snapshot, registered..all_views(snapshot));
    plan.text(",\"orphan_tasks\":[],\"unregistered_frameworks\":[]}");
    plan
}

/// `/state-summary`.
pub(crate) fn state_summary(snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    let tasks: usize = snapshot.frameworks.iter().map(|view| view.tasks.len()).sum();
    let weight = tasks / 16 + snapshot.agents.len() + snapshot.frameworks.len();
    plan.work(weight, |snapshot, out| summary::write(out, snapshot));
    plan
}

/// `/slaves`, all or one.
pub(crate) fn slaves(snapshot: &Snapshot, id: Option<String>) -> Plan {
    let mut plan = Plan::default();
    plan.text("{\"slaves\":");
    let wanted = id.clone();
    agents(&mut plan, snapshot, move |out, agent| {
        if wanted.as_deref().is_none_or(|id| id == &*agent.id) {
            agent::write_open(out, agent);
            agent::write_full_resources(out, agent);
            out.push(b'}');
        }
    });
    plan.text(",\"recovered_slaves\":");
    if id.is_none() {
        recovered(&mut plan, snapshot);
    } else {
        plan.write(|out| {
            let same = |info: &&Arc<v1::AgentInfo>| {
                info.id.as_ref().map(|known| &known.value) == id.as_ref()
            };
            let found = snapshot.recovered_agents.iter().filter(same);
            json::list(out, found, |out, info| agent::write_recovered(out, info));
        });
    }
    plan.text("}");
    plan
}

/// `/frameworks`, all or one.
pub(crate) fn classic_frameworks(snapshot: &Snapshot, id: Option<&str>) -> Plan {
    let registered = snapshot.frameworks.len();
    let mut plan = Plan::default();
    plan.text("{");
    let mut list = |name: &str, places: Range<usize>| {
        plan.text(format!("\"{name}\":"));
        match id {
            None => frameworks(&mut plan, snapshot, places),
            Some(id) => {
                let same = |place: &usize| {
                    view(snapshot, *place).is_some_and(|view| &*view.framework.id == id)
                };
                let found = places.clone().find(same);
                frameworks(&mut plan, snapshot, found.map_or(0..0, |place| place..place + 1));
            }
        }
        plan.text(",");
    };
    list("frameworks", 0..registered);
    list("completed_frameworks", registered..all_views(snapshot));
    plan.text("\"unregistered_frameworks\":[]}");
    plan
}

fn agents(
    plan: &mut Plan,
    snapshot: &Snapshot,
    write: impl Fn(&mut Vec<u8>, &crate::model::Agent) + Clone + Send + Sync + 'static,
) {
    plan.list(|plan| {
        for begin in (0..snapshot.agents.chunk_count()).step_by(AGENT_UNITS) {
            let write = write.clone();
            let weight = (AGENT_UNITS * UNIT).min(snapshot.agents.len());
            plan.work(weight, move |snapshot, out| {
                for agent in snapshot.agents.in_chunks(begin..begin + AGENT_UNITS) {
                    let at = out.len();
                    out.push(b',');
                    write(out, agent);
                    if out.len() == at + 1 {
                        out.truncate(at);
                    }
                }
            });
        }
    });
}

fn recovered(plan: &mut Plan, snapshot: &Snapshot) {
    plan.list(|plan| {
        plan.work(snapshot.recovered_agents.len(), |snapshot, out| {
            for info in &snapshot.recovered_agents {
                out.push(b',');
                agent::write_recovered(out, info);
            }
        });
    });
}

fn units_of(snapshot: &Snapshot, place: usize) -> usize {
    let lists = [TaskList::Current, TaskList::Unreachable, TaskList::Completed];
    view(snapshot, place).map_or(0, |view| lists.iter().map(|list| list.units(view)).sum())
}

fn frameworks(plan: &mut Plan, snapshot: &Snapshot, places: Range<usize>) {
    plan.list(|plan| {
        let mut large = None;
        for stretch in stretches(places, |place| units_of(snapshot, place)) {
            match stretch {
                Stretch::Whole(places) => {
                    plan.work(places.len() * UNIT, move |snapshot, out| {
                        for view in places.clone().filter_map(|place| view(snapshot, place)) {
                            write_framework(out, view);
                        }
                    });
                }
                // A large framework is divided by its lists instead.
                Stretch::Part(place, _) if large == Some(place) => {}
                Stretch::Part(place, _) => {
                    large = Some(place);
                    large_framework(plan, snapshot, place);
                }
            }
        }
    });
}

const TASK_LISTS: [(TaskList, &str); 3] = [
    (TaskList::Current, "tasks"),
    (TaskList::Unreachable, "unreachable_tasks"),
    (TaskList::Completed, "completed_tasks"),
];

fn write_framework(out: &mut Vec<u8>, view: &FrameworkView) {
    out.push(b',');
    framework::write_summary_open(out, &view.framework);
    framework::write_before_tasks(out, &view.framework);
    let mut writer = TaskWriter::new(&view.framework.id);
    for (list, name) in TASK_LISTS {
        member(out, name);
        out.push(b'[');
        let begin = out.len();
        list.each(view, 0..list.units(view), |task| {
            if out.len() > begin {
                out.push(b',');
            }
            writer.write(out, task);
        });
        out.push(b']');
    }
    write_end(out, view);
}

fn write_end(out: &mut Vec<u8>, view: &FrameworkView) {
    member(out, "offers");
    json::list(out, view.offers.iter(), |out, offer| task::write_offer(out, offer));
    member(out, "executors");
    json::list(out, view.executors.iter(), |out, executor| task::write_executor(out, executor));
    framework::write_after_tasks(out, &view.framework);
}

fn large_framework(plan: &mut Plan, snapshot: &Snapshot, place: usize) {
    let Some(found) = view(snapshot, place) else { return };
    plan.work(1, move |snapshot, out| {
        if let Some(view) = view(snapshot, place) {
            out.push(b',');
            framework::write_summary_open(out, &view.framework);
            framework::write_before_tasks(out, &view.framework);
        }
    });
    for (list, name) in TASK_LISTS {
        plan.text(format!(",\"{name}\":"));
        let units = list.units(found);
        plan.list(|plan| {
            for begin in (0..units).step_by(TASK_UNITS) {
                let end = (begin + TASK_UNITS).min(units);
                plan.work((end - begin) * UNIT, move |snapshot, out| {
                    let Some(view) = view(snapshot, place) else { return };
                    let mut writer = TaskWriter::new(&view.framework.id);
                    list.each(view, begin..end, |task| {
                        out.push(b',');
                        writer.write(out, task);
                    });
                });
            }
        });
    }
    plan.work(1, move |snapshot, out| {
        if let Some(view) = view(snapshot, place) {
            write_end(out, view);
        }
    });
}

/// `/tasks`: what is asked for.
#[derive(Clone, Debug)]
pub(crate) struct TaskQuery {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) ascending: bool,
    pub(crate) framework_id: Option<String>,
    pub(crate) task_id: Option<String>,
}

/// `/tasks`.
pub(crate) fn tasks(snapshot: &Snapshot, query: TaskQuery) -> Plan {
    let mut plan = Plan::default();
    let weight: usize = snapshot.frameworks.iter().map(|view| view.tasks.len()).sum();
    plan.work(weight, move |snapshot, out| write_tasks(out, snapshot, &query));
    plan
}

fn write_tasks(out: &mut Vec<u8>, snapshot: &Snapshot, query: &TaskQuery) {
    let mut found: Vec<(f64, &Task)> = Vec::new();
    let views = (0..all_views(snapshot)).filter_map(|place| view(snapshot, place));
    let wanted = query.framework_id.as_deref();
    for view in views.filter(|view| wanted.is_none_or(|id| id == &*view.framework.id)) {
        let all = view
            .tasks
            .iter()
            .chain(view.unreachable_tasks.iter())
            .chain(view.completed_tasks.iter());
        let same = |task: &&Arc<Task>| query.task_id.as_deref().is_none_or(|id| id == &*task.id);
        // A task that has no status yet is the newest.
        found.extend(
            all.filter(same).map(|task| (task::first_time(task).unwrap_or(f64::INFINITY), &**task)),
        );
    }
    if query.ascending {
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
    } else {
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
    }
    out.extend_from_slice(b"{\"tasks\":");
    let shown = found.iter().skip(query.offset).take(query.limit);
    let mut writer: Option<(&str, TaskWriter)> = None;
    json::list(out, shown, |out, (_, task)| {
        let known = writer.take().filter(|(id, _)| *id == &*task.framework_id);
        let (_, own) = writer.insert(
            known.unwrap_or_else(|| (&*task.framework_id, TaskWriter::new(&task.framework_id))),
        );
        own.write(out, task);
    });
    out.push(b'}');
}

// --- v1 ---

/// Which parts of the state a v1 answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    State,
    Agents,
    Frameworks,
    Executors,
    Tasks,
}

impl Shown {
    /// Name, number of the type, number of the field in `Response`, name of the field.
    fn response(self) -> (&'static str, v1::master::response::Type, u32, &'static str) {
        use v1::master::response::Type;
        match self {
            Shown::State => ("GET_STATE", Type::GetState, 9, "get_state"),
            Shown::Agents => ("GET_AGENTS", Type::GetAgents, 10, "get_agents"),
            Shown::Frameworks => ("GET_FRAMEWORKS", Type::GetFrameworks, 11, "get_frameworks"),
            Shown::Executors => ("GET_EXECUTORS", Type::GetExecutors, 12, "get_executors"),
            Shown::Tasks => ("GET_TASKS", Type::GetTasks, 13, "get_tasks"),
        }
    }
}

/// A `master.Response` showing a part of the state.
pub(crate) fn response(snapshot: &Snapshot, shown: Shown, protobuf: bool) -> Plan {
    let (name, kind, tag, field) = shown.response();
    let mut plan = Plan::default();
    if protobuf {
        plan.write(|out| proto::signed(out, 1, kind as i64));
        plan.field(tag, |plan| proto_part(plan, snapshot, shown));
    } else {
        plan.text(format!("{{\"type\":\"{name}\",\"{field}\":"));
        json_part(&mut plan, snapshot, shown);
        plan.text("}");
    }
    plan
}

/// The first event of a stream: the state, and how often to expect heartbeats.
pub(crate) fn subscribed(snapshot: &Snapshot, heartbeat: f64, protobuf: bool) -> Plan {
    let mut plan = Plan::default();
    if protobuf {
        plan.write(|out| proto::signed(out, 1, v1::master::event::Type::Subscribed as i64));
        plan.field(2, |plan| {
            plan.field(1, |plan| proto_part(plan, snapshot, Shown::State));
            plan.write(|out| proto::double(out, 2, heartbeat));
        });
    } else {
        plan.text("{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"get_state\":");
        json_part(&mut plan, snapshot, Shown::State);
        plan.write(|out| {
            member(out, "heartbeat_interval_seconds");
            double(out, heartbeat);
        });
        plan.text("}}");
    }
    plan
}

fn json_part(plan: &mut Plan, snapshot: &Snapshot, shown: Shown) {
    match shown {
        Shown::State => {
            plan.text("{\"get_tasks\":");
            json_part(plan, snapshot, Shown::Tasks);
            plan.text(",\"get_executors\":");
            json_part(plan, snapshot, Shown::Executors);
            plan.text(",\"get_frameworks\":");
            json_part(plan, snapshot, Shown::Frameworks);
            plan.text(",\"get_agents\":");
            json_part(plan, snapshot, Shown::Agents);
            plan.text("}");
        }
        Shown::Tasks => json_tasks(plan, snapshot),
        Shown::Agents => {
            plan.text("{\"agents\":");
            agents(plan, snapshot, |out, agent| agent::to_v1(agent).write_json(out));
            plan.text(",\"recovered_agents\":");
            plan.list(|plan| {
                plan.work(snapshot.recovered_agents.len(), |snapshot, out| {
                    for info in &snapshot.recovered_agents {
                        out.push(b',');
                        info.write_json(out);
                    }
                });
            });
            plan.text("}");
        }
        Shown::Frameworks => {
            let registered = snapshot.frameworks.len();
            plan.text("{\"frameworks\":");
            json_frameworks(plan, 0..registered);
            plan.text(",\"completed_frameworks\":");
            json_frameworks(plan, registered..all_views(snapshot));
            plan.text("}");
        }
        Shown::Executors => {
            plan.text("{\"executors\":");
            plan.list(|plan| {
                plan.work(all_views(snapshot), |snapshot, out| {
                    for executor in executors(snapshot) {
                        out.extend_from_slice(b",{\"executor_info\":");
                        executor.info.write_json(out);
                        out.extend_from_slice(b",\"agent_id\":{\"value\":");
                        quoted(out, &executor.agent_id);
                        out.extend_from_slice(b"}}");
                    }
                });
            });
            plan.text("}");
        }
    }
}

fn executors(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<crate::model::Executor>> {
    let views = (0..all_views(snapshot)).filter_map(|place| view(snapshot, place));
    views.flat_map(|view| view.executors.iter())
}

fn json_frameworks(plan: &mut Plan, places: Range<usize>) {
    plan.list(|plan| {
        for begin in places.clone().step_by(UNIT) {
            let places = begin..(begin + UNIT).min(places.end);
            plan.work(places.len(), move |snapshot, out| {
                let agents = AgentIndex::new(snapshot);
                for view in places.clone().filter_map(|place| view(snapshot, place)) {
                    out.push(b',');
                    framework::view_to_v1(view, &agents).write_json(out);
                }
            });
        }
    });
}

fn json_tasks(plan: &mut Plan, snapshot: &Snapshot) {
    let mut before = "{";
    for (list, name) in TASK_LISTS {
        plan.text(format!("{before}\"{name}\":"));
        before = ",";
        plan.list(|plan| {
            task_work(plan, snapshot, list, move |view, units, out| {
                let mut writer = JsonTasks::new(&view.framework.id);
                list.each(view, units, |task| {
                    out.push(b',');
                    writer.write(out, task);
                });
            });
        });
    }
    plan.text("}");
}

/// Divides one list of tasks of all frameworks into work.
fn task_work(
    plan: &mut Plan,
    snapshot: &Snapshot,
    list: TaskList,
    write: impl Fn(&FrameworkView, Range<usize>, &mut Vec<u8>) + Copy + Send + Sync + 'static,
) {
    let units = |place| view(snapshot, place).map_or(0, |view| list.units(view));
    for stretch in stretches(0..all_views(snapshot), units) {
        let weight = weight_of(&stretch);
        plan.work(weight, move |snapshot, out| match &stretch {
            Stretch::Part(place, units) => {
                if let Some(view) = view(snapshot, *place) {
                    write(view, units.clone(), out);
                }
            }
            Stretch::Whole(places) => {
                for view in places.clone().filter_map(|place| view(snapshot, place)) {
                    let units = list.units(view);
                    if units > 0 {
                        write(view, 0..units, out);
                    }
                }
            }
        });
    }
}

fn proto_part(plan: &mut Plan, snapshot: &Snapshot, shown: Shown) {
    match shown {
        Shown::State => {
            plan.field(1, |plan| proto_part(plan, snapshot, Shown::Tasks));
            plan.field(2, |plan| proto_part(plan, snapshot, Shown::Executors));
            plan.field(3, |plan| proto_part(plan, snapshot, Shown::Frameworks));
            plan.field(4, |plan| proto_part(plan, snapshot, Shown::Agents));
        }
        Shown::Tasks => {
            for (list, tag) in
                [(TaskList::Current, 2), (TaskList::Completed, 3), (TaskList::Unreachable, 5)]
            {
                task_work(plan, snapshot, list, move |view, units, out| {
                    let mut writer = ProtoTasks::new(&view.framework.id);
                    list.each(view, units, |task| writer.write(out, tag, task));
                });
            }
        }
        Shown::Agents => {
            for begin in (0..snapshot.agents.chunk_count()).step_by(AGENT_UNITS) {
                let weight = (AGENT_UNITS * UNIT).min(snapshot.agents.len());
                plan.work(weight, move |snapshot, out| {
                    for agent in snapshot.agents.in_chunks(begin..begin + AGENT_UNITS) {
                        proto::embed(out, 1, &agent::to_v1(agent));
                    }
                });
            }
            plan.work(snapshot.recovered_agents.len(), |snapshot, out| {
                for info in &snapshot.recovered_agents {
                    proto::embed(out, 2, &**info);
                }
            });
        }
        Shown::Frameworks => {
            let registered = snapshot.frameworks.len();
            for (tag, places) in [(1, 0..registered), (2, registered..all_views(snapshot))] {
                plan.work(places.len(), move |snapshot, out| {
                    let agents = AgentIndex::new(snapshot);
                    for view in places.clone().filter_map(|place| view(snapshot, place)) {
                        proto::embed(out, tag, &framework::view_to_v1(view, &agents));
                    }
                });
            }
        }
        Shown::Executors => plan.work(all_views(snapshot), |snapshot, out| {
            for executor in executors(snapshot) {
                proto::message(out, 1, |out| {
                    proto::embed(out, 1, &*executor.info);
                    proto::id(out, 2, &executor.agent_id);
                });
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frameworks_are_divided_without_gap_or_overlap() {
        for sizes in [vec![], vec![0, 0, 0], vec![1, 20, 3], vec![9, 9], vec![8; 5], vec![100]] {
            let mut seen: Vec<(usize, usize)> = Vec::new();
            for stretch in stretches(0..sizes.len(), |place| sizes[place]) {
                match stretch {
                    Stretch::Whole(places) => {
                        seen.extend(places.flat_map(|p| (0..sizes[p]).map(move |u| (p, u))));
                    }
                    Stretch::Part(place, units) => seen.extend(units.map(|u| (place, u))),
                }
            }
            let all: Vec<(usize, usize)> =
                sizes.iter().enumerate().flat_map(|(p, n)| (0..*n).map(move |u| (p, u))).collect();
            assert_eq!(seen, all, "{sizes:?}");
        }
    }
}
