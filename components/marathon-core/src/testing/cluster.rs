//! A master and its agents.

use super::Dice;
use crate::Call;
use mesos_messages::{
    resources::Resources,
    v1::{self, TaskState, task_status::Reason},
};
use std::{collections::BTreeMap, time::Duration};

/// What a task does; written in the app's `cmd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// Fails before it runs.
    Crash,
    /// Runs, but answers no check well.
    Sick,
    /// Runs for some seconds.
    Short,
}

#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) cpus: f64,
    pub(crate) up: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) agent: String,
    pub(crate) state: TaskState,
    pub(crate) cpus: f64,
    pub(crate) fate: Fate,
    /// The master has said that it is out of reach.
    pub(crate) cut_off: bool,
    pub(crate) killed: bool,
}

/// What will happen on its own.
#[allow(clippy::large_enum_variant, reason = "few at a time, in tests only")]
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// The task gets on.
    Step(String),
    /// The task obeys a kill.
    Die(String),
    Update(v1::TaskStatus),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Offer to agent.
    offers: BTreeMap<String, (String, f64)>,
    refused: BTreeMap<String, Duration>,
    suppressed: bool,
    next: u64,
}

// === impl Fate ===

impl Fate {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Crash => "crash",
            Self::Sick => "sick",
            Self::Short => "short",
        }
    }

    fn of(task: &v1::TaskInfo) -> Self {
        let value = task.command.as_ref().and_then(|command| command.value.as_deref());
        let all = [Self::Crash, Self::Sick, Self::Short];
        let value = value.unwrap_or_default();
        all.into_iter().find(|fate| value.contains(fate.word())).unwrap_or(Self::Fine)
    }
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn add_agent(&mut self, name: &str, cpus: f64) {
        self.agents.insert(name.to_owned(), Agent { cpus, up: true });
    }

    /// A new subscription: everything is offered again.
    pub(crate) fn subscribe(&mut self) {
        self.offers.clear();
        self.refused.clear();
        self.suppressed = false;
    }

    fn free(&self, agent: &str) -> f64 {
        let used: f64 = self
            .tasks
            .values()
            .filter(|task| task.agent == agent && !over(task.state))
            .map(|task| task.cpus)
            .sum();
        self.agents.get(agent).map_or(0.0, |known| known.cpus) - used
    }

    /// Everything that is free and wanted.
    pub(crate) fn offer(&mut self, now: Duration) -> Vec<v1::Offer> {
        if self.suppressed {
            return Vec::new();
        }
        let mut offers = Vec::new();
        let names: Vec<String> = self.agents.keys().cloned().collect();
        for name in names {
            let up = self.agents.get(&name).is_some_and(|agent| agent.up);
            let refused = self.refused.get(&name).is_some_and(|until| *until > now);
            let out = self.offers.values().any(|(agent, _)| *agent == name);
            let free = self.free(&name);
            if !up || refused || out || free < 0.05 {
                continue;
            }
            self.next += 1;
            let id = format!("offer-{}", self.next);
            self.offers.insert(id.clone(), (name.clone(), free));
            offers.push(offer(&id, &name, free));
        }
        offers
    }

    pub(crate) fn call(
        &mut self,
        call: Call,
        now: Duration,
        dice: &mut Dice,
    ) -> Vec<(Duration, Next)> {
        let soon = |dice: &mut Dice| Duration::from_millis(10 + dice.below(2000));
        let mut next = Vec::new();
        match call {
            Call::Accept { offers, operations, refuse: _ } => {
                let out: Vec<_> = offers.iter().map(|id| self.offers.remove(&id.value)).collect();
                let agent = out.into_iter().next().flatten().map(|(agent, _)| agent);
                let launches = operations.into_iter().filter_map(|operation| operation.launch);
                for task in launches.flat_map(|launch| launch.task_infos) {
                    let up = agent.as_ref().and_then(|name| self.agents.get(name));
                    if up.is_none_or(|agent| !agent.up) {
                        let status = status(&task.task_id.value, TaskState::TaskDropped, None);
                        next.push((Duration::ZERO, Next::Update(status)));
                        continue;
                    }
                    let id = self.launch(&task);
                    next.push((soon(dice), Next::Step(id)));
                }
            }
            Call::Decline { offers, refuse } => {
                for id in offers {
                    if let Some((agent, _)) = self.offers.remove(&id.value) {
                        self.refused.insert(agent, now + refuse);
                    }
                }
            }
            Call::Kill { task, .. } => match self.tasks.get_mut(&task) {
                Some(known) if known.cut_off => {
                    let status = status(&task, TaskState::TaskUnreachable, Some(&known.agent));
                    next.push((Duration::ZERO, Next::Update(status)));
                }
                // Now and then a kill gets lost.
                Some(known) if !over(known.state) => {
                    if !known.killed && !dice.once_in(20) {
                        known.killed = true;
                        next.push((soon(dice), Next::Die(task)));
                    }
                }
                _ => {
                    let status = status(&task, TaskState::TaskUnknown, None);
                    next.push((Duration::ZERO, Next::Update(status)));
                }
            },
            Call::Revive { .. } => {
                self.suppressed = false;
                self.refused.clear();
            }
            Call::Suppress { .. } => self.suppressed = true,
            Call::Reconcile(tasks) => {
                for status in self.reconcile(&tasks) {
                    next.push((Duration::ZERO, Next::Update(status)));
                }
            }
            Call::Acknowledge(_) | Call::UpdateFramework { .. } => {}
        }
        next
    }

    fn launch(&mut self, task: &v1::TaskInfo) -> String {
        let id = task.task_id.value.clone();
        let cpus = task.resources.iter().filter(|resource| resource.name == "cpus");
        let cpus = cpus.filter_map(|resource| resource.scalar.as_ref()).map(|one| one.value).sum();
        let agent = task.agent_id.value.clone();
        let known = self.tasks.insert(
            id.clone(),
            Task {
                agent: agent.clone(),
                state: TaskState::TaskStaging,
                cpus,
                fate: Fate::of(task),
                cut_off: false,
                killed: false,
            },
        );
        assert!(known.is_none(), "{id} was launched twice");
        assert!(self.free(&agent) > -0.001, "more was launched on {agent} than fits");
        id
    }

    fn reconcile(&self, asked: &[(String, Option<String>)]) -> Vec<v1::TaskStatus> {
        let told = |id: &str, task: &Task| {
            let state = if task.cut_off { TaskState::TaskUnreachable } else { task.state };
            let mut status = status(id, state, Some(&task.agent));
            status.set_reason(Reason::Reconciliation);
            status.uuid = None;
            status
        };
        if asked.is_empty() {
            let live = self.tasks.iter().filter(|(_, task)| !over(task.state));
            return live.map(|(id, task)| told(id, task)).collect();
        }
        let answer = |(id, _): &(String, Option<String>)| match self.tasks.get(id) {
            Some(task) => told(id, task),
            None => {
                let mut status = status(id, TaskState::TaskUnknown, None);
                status.uuid = None;
                status
            }
        };
        asked.iter().map(answer).collect()
    }

    /// A task gets on: the update it sends, and what comes after that.
    pub(crate) fn step(
        &mut self,
        id: &str,
        dice: &mut Dice,
    ) -> (Option<v1::TaskStatus>, Option<(Duration, Next)>) {
        let Some(task) = self.tasks.get_mut(id).filter(|task| !over(task.state)) else {
            return (None, None);
        };
        let later = Duration::from_millis(100 + dice.below(3000));
        let (state, next) = match (task.state, task.fate) {
            (TaskState::TaskStaging, Fate::Crash) => (TaskState::TaskFailed, None),
            (TaskState::TaskStaging, _) => (TaskState::TaskStarting, Some(later)),
            (TaskState::TaskStarting, Fate::Short) => (TaskState::TaskRunning, Some(later * 4)),
            (TaskState::TaskStarting, _) => (TaskState::TaskRunning, None),
            (TaskState::TaskRunning, Fate::Short) => (TaskState::TaskFailed, None),
            _ => return (None, None),
        };
        task.state = state;
        let told = (!task.cut_off).then(|| status(id, state, Some(&task.agent)));
        (told, next.map(|later| (later, Next::Step(id.to_owned()))))
    }

    pub(crate) fn die(&mut self, id: &str, state: TaskState) -> Option<v1::TaskStatus> {
        let task = self.tasks.get_mut(id).filter(|task| !over(task.state))?;
        task.state = state;
        (!task.cut_off).then(|| status(id, state, Some(&task.agent)))
    }

    /// The agent is out of reach, or back; tasks go on there.
    pub(crate) fn cut(&mut self, agent: &str, up: bool) -> Vec<v1::TaskStatus> {
        let Some(known) = self.agents.get_mut(agent).filter(|known| known.up != up) else {
            return Vec::new();
        };
        known.up = up;
        self.offers.retain(|_, (of, _)| of != agent);
        self.refused.remove(agent);
        let mut updates = Vec::new();
        for (id, task) in self.tasks.iter_mut().filter(|(_, task)| task.agent == agent) {
            if over(task.state) && !task.cut_off {
                continue;
            }
            task.cut_off = !up;
            let state = if up { task.state } else { TaskState::TaskUnreachable };
            updates.push(status(id, state, Some(agent)));
        }
        updates
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (&String, &Task)> {
        self.tasks.iter().filter(|(_, task)| !over(task.state))
    }
}

pub(crate) fn over(state: TaskState) -> bool {
    use TaskState as S;
    matches!(
        state,
        S::TaskFinished
            | S::TaskFailed
            | S::TaskKilled
            | S::TaskError
            | S::TaskDropped
            | S::TaskGone
    )
}

pub(crate) fn status(task: &str, state: TaskState, agent: Option<&str>) -> v1::TaskStatus {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId { value: task.to_owned() },
        agent_id: agent.map(|agent| v1::AgentId { value: agent.to_owned() }),
        uuid: Some(vec![7; 16].into()),
        ..v1::TaskStatus::default()
    };
    status.set_state(state);
    status
}

fn offer(id: &str, agent: &str, cpus: f64) -> v1::Offer {
    let text = format!("cpus:{cpus};mem:100000;disk:10000;ports:[31000-31999]");
    let resources = Resources::parse(&text, "*").unwrap();
    v1::Offer {
        id: v1::OfferId { value: id.to_owned() },
        agent_id: v1::AgentId { value: agent.to_owned() },
        hostname: agent.to_owned(),
        resources: resources.allocated("*").to_proto(),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some("*".to_owned()) }),
        ..v1::Offer::default()
    }
}
