//! What agents report when they come back, matched with what the master knows.
use std::sync::Arc;

use libprocess::Upid;
use mesos_messages::{internal, resources::Resources, v1};
use rustc_hash::{FxHashMap, FxHashSet};
use v1::task_status::{Reason, Source};

use super::{
    MasterCore, Outgoing,
    agents::sorted,
    outbound::{self, News},
    state::{AgentKey, FrameworkKey, TaskKey},
    tasks::{is_over, is_terminal},
};
use crate::model::{Id, Status, Task, TaskSpec};

impl MasterCore {
    pub(super) fn recover_frameworks(&mut self, infos: &[v1::FrameworkInfo]) {
        for info in infos {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if self.frameworks.key(id).is_none() && !self.frameworks.completed_ids.contains(id) {
                self.recover_framework(info);
            }
        }
    }

    pub(super) fn add_reported_executor(&mut self, agent: AgentKey, mut info: v1::ExecutorInfo) {
        let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
        let Some(key) = self.frameworks.key(id) else { return };
        self.inject_allocation(key, &mut info.resources);
        if let Ok(resources) = Resources::from_proto(&info.resources) {
            self.add_executor(key, agent, info, resources);
        }
    }

    /// Agents that know no multi-role frameworks report resources without their role.
    fn inject_allocation(&self, key: FrameworkKey, resources: &mut [v1::Resource]) {
        if resources.iter().all(|resource| resource.allocation_info.is_some()) {
            return;
        }
        let Some(framework) = self.frameworks.get(key) else { return };
        let role = framework.record.roles.first().map(|role| role.to_string());
        for resource in resources.iter_mut().filter(|one| one.allocation_info.is_none()) {
            resource.allocation_info = Some(v1::resource::AllocationInfo { role: role.clone() });
        }
    }

    /// A task in an agent's report; `returns` says how it comes that the scheduler must be told.
    pub(super) fn add_reported_task(
        &mut self,
        agent: AgentKey,
        mut reported: v1::Task,
        returns: Option<&str>,
    ) {
        let Some(key) = self.frameworks.key(&reported.framework_id.value) else { return };
        self.inject_allocation(key, &mut reported.resources);
        let Some(task) = self.reported_task(key, agent, &reported) else { return };
        let id = task.id.clone();
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if framework.task_slots.contains_key(&id) {
            return;
        }
        if returns.is_some() {
            framework.retain_unreachable(|other| other.id != id);
            if framework.completed.iter().any(|other| other.id == id) {
                Arc::make_mut(&mut framework.completed).retain(|other| other.id != id);
            }
        }
        let status = returns.map(|text| v1::TaskStatus {
            message: Some(text.to_owned()),
            reason: Some(Reason::AgentReregistered as i32),
            ..task.current_status(task.state, self.now.seconds())
        });
        self.insert_task(key, agent, task);
        if let Some(status) = status {
            self.tell(key, News::Update { status, agent: None });
        }
    }

    fn reported_task(
        &mut self,
        key: FrameworkKey,
        agent: AgentKey,
        reported: &v1::Task,
    ) -> Option<Task> {
        let resources = self.read_resources(&reported.resources)?;
        let record_id = self.agents.records.get(agent)?.id.clone();
        let framework = self.frameworks.get_mut(key)?;
        let role = resources.allocation_role().cloned().unwrap_or_else(|| "*".into());
        let executor_id = reported.executor_id.as_ref().map(|executor| {
            let known = framework.executor(agent, &executor.value);
            known.map_or_else(|| executor.value.as_str().into(), |known| known.shared_id.clone())
        });
        let spec = TaskSpec::of_report(reported, resources, role);
        let mut task = Task {
            id: reported.task_id.value.as_str().into(),
            framework_id: framework.record.id.clone(),
            agent_id: record_id,
            executor_id,
            spec: framework.specs.share(spec),
            state: reported.state(),
            status_update_state: reported
                .status_update_state
                .map(|_| reported.status_update_state()),
            status_update_uuid: reported
                .status_update_uuid
                .as_ref()
                .and_then(|uuid| uuid.as_ref().try_into().ok()),
            statuses: Vec::with_capacity(reported.statuses.len()),
        };
        let networks = &mut self.agents.state_mut(agent)?.networks;
        for status in &reported.statuses {
            let status = Status::from_proto(status, &task, networks);
            task.statuses.push(status);
        }
        Some(task)
    }

    /// Reads resources; most are like the ones before them.
    fn read_resources(&mut self, resources: &[v1::Resource]) -> Option<Resources> {
        if let Some((_, known)) = self.last_read.as_ref().filter(|(wire, _)| *wire == resources) {
            return Some(known.clone());
        }
        let read = Resources::from_proto(resources).ok()?;
        self.last_read = Some((resources.to_vec(), read.clone()));
        Some(read)
    }

    /// The tasks that were lost with the agent are not lost any more.
    pub(super) fn forget_lost_tasks(&mut self, id: &Id) {
        for (framework, task) in self.agents.unreachable_tasks.remove(id).unwrap_or_default() {
            if let Some(key) = self.frameworks.key(&framework)
                && let Some(framework) = self.frameworks.get_mut(key)
            {
                framework.retain_unreachable(|other| other.id != task);
            }
        }
    }

    pub(super) fn add_archived(&mut self, archived: Vec<internal::archive::Framework>) {
        let limit = self.config.max_completed_tasks_per_framework;
        for archive in archived {
            let id = archive.framework_info.id.as_ref().map_or("", |id| id.value.as_str());
            let Some(key) = self.frameworks.key(id) else { continue };
            for task in &archive.tasks {
                let Some(agent) = self.agents.key(&task.agent_id.value) else { continue };
                if let Some(task) = self.reported_task(key, agent, task)
                    && let Some(framework) = self.frameworks.get_mut(key)
                {
                    framework.complete(Arc::new(task), limit);
                }
            }
        }
    }

    pub(super) fn used_by_framework(&self, agent: AgentKey) -> Vec<(FrameworkKey, Resources)> {
        let Some((_, state)) = self.agents.get(agent) else { return Vec::new() };
        let mut used: FxHashMap<FrameworkKey, Resources> = FxHashMap::default();
        for at in &state.tasks {
            let framework = self.frameworks.get(at.framework);
            if let Some(task) = framework.and_then(|framework| framework.tasks.get(at.slot))
                && !is_over(task.state)
            {
                *used.entry(at.framework).or_default() += &task.spec.resources;
            }
        }
        for (key, slot) in &state.executors {
            let framework = self.frameworks.get(*key);
            if let Some(executor) = framework.and_then(|framework| framework.executors.get(*slot)) {
                *used.entry(*key).or_default() += &executor.resources;
            }
        }
        let mut used: Vec<(FrameworkKey, Resources)> = used.into_iter().collect();
        used.sort_unstable_by_key(|(key, _)| *key);
        used
    }

    /// Tells the allocator if the agent turned out to run more than was known.
    pub(super) fn recharge(&mut self, agent: AgentKey, before: &[(FrameworkKey, Resources)]) {
        let used = self.used_by_framework(agent);
        let grew = used.iter().any(|(key, now)| {
            let before = before.iter().find(|(other, _)| other == key);
            before.is_none_or(|(_, before)| !before.contains(now))
        });
        if grew {
            self.rescind_offers_on(agent);
            self.alloc_remove_agent(agent);
            self.alloc_add_agent(agent, &used);
            if self.agents.records.get(agent).is_some_and(|record| !record.active) {
                self.alloc_deactivate_agent(agent);
            }
        }
    }

    /// Tasks the agent should have and did not report: it must say what became of them.
    pub(super) fn unreported(
        &self,
        agent: AgentKey,
        tasks: &[v1::Task],
    ) -> Vec<internal::ReconcileTasksMessage> {
        let Some((record, state)) = self.agents.get(agent) else { return Vec::new() };
        let reported: FxHashSet<(&str, &str)> = tasks
            .iter()
            .map(|task| (task.framework_id.value.as_str(), task.task_id.value.as_str()))
            .collect();
        let mut missing: Vec<internal::ReconcileTasksMessage> = Vec::new();
        let mut last = None;
        for at in sorted(state.tasks.iter().copied()) {
            let Some(framework) = self.frameworks.get(at.framework) else { continue };
            let Some(task) = framework.tasks.get(at.slot) else { continue };
            if reported.contains(&(&*task.framework_id, &*task.id)) {
                continue;
            }
            if last.replace(at.framework) != Some(at.framework) {
                missing.push(internal::ReconcileTasksMessage {
                    framework_id: outbound::framework_id(&task.framework_id),
                    statuses: Vec::new(),
                    framework: Some(v1::FrameworkInfo::clone(&framework.record.info)),
                });
            }
            if let Some(message) = missing.last_mut() {
                message.statuses.push(v1::TaskStatus {
                    task_id: outbound::task_id(&task.id),
                    state: task.status_update_state.unwrap_or(task.state) as i32,
                    message: Some("Reconciliation request".to_owned()),
                    source: Some(Source::Master as i32),
                    reason: Some(Reason::Reconciliation as i32),
                    agent_id: Some(outbound::agent_id(&record.id)),
                    timestamp: Some(self.now.seconds()),
                    ..v1::TaskStatus::default()
                });
            }
        }
        missing
    }

    pub(super) fn match_executors(&mut self, agent: AgentKey, reported: Vec<v1::ExecutorInfo>) {
        let Some((_, state)) = self.agents.get(agent) else { return };
        let mut known: Vec<(FrameworkKey, u32)> = state.executors.iter().copied().collect();
        known.sort_unstable();
        for (key, slot) in known {
            let is_reported = self
                .frameworks
                .get(key)
                .and_then(|framework| framework.executors.get(slot))
                .is_some_and(|executor| reported.iter().any(|info| is_same(info, executor)));
            if !is_reported {
                self.remove_executor(key, agent, slot);
            }
        }
        for info in reported {
            let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
            let is_known = self.frameworks.by_id(id).is_none_or(|framework| {
                framework.executor(agent, &info.executor_id.value).is_some()
            });
            if !is_known {
                // The allocator hears of it as of something newly used.
                self.add_reported_executor(agent, info);
            }
        }
    }

    /// Kills what should be dead, and takes back what was given up too early.
    pub(super) fn match_tasks(&mut self, agent: AgentKey, from: &Upid, tasks: Vec<v1::Task>) {
        for task in tasks {
            if is_terminal(task.state()) {
                continue;
            }
            let Some(key) = self.frameworks.key(&task.framework_id.value) else { continue };
            let slot = self
                .frameworks
                .get(key)
                .and_then(|framework| framework.task_slots.get(task.task_id.value.as_str()))
                .copied();
            let Some(slot) = slot else {
                if !self.ended_by_agent(key, &task.task_id.value) {
                    self.add_reported_task(agent, task, Some("Unknown agent reregistered"));
                }
                continue;
            };
            let at = TaskKey { framework: key, slot };
            if self.agents.get(agent).is_some_and(|(_, state)| state.killed.contains(&at)) {
                let message = internal::KillTaskMessage {
                    framework_id: task.framework_id,
                    task_id: task.task_id,
                    kill_policy: None,
                };
                self.send(from.clone(), Outgoing::KillTask(message));
            }
        }
    }

    /// Whether a task ended by the word of its agent, so that an older report means nothing.
    fn ended_by_agent(&self, key: FrameworkKey, id: &str) -> bool {
        let Some(framework) = self.frameworks.get(key) else { return false };
        let ended = framework.completed.iter().rev().find(|task| *task.id == *id);
        ended
            .and_then(|task| task.statuses.last())
            .is_some_and(|last| last.source != Some(Source::Master))
    }
}

fn is_same(info: &v1::ExecutorInfo, executor: &crate::model::Executor) -> bool {
    info.executor_id.value == executor.id()
        && info.framework_id.as_ref().is_some_and(|id| *id.value == *executor.framework_id)
}
