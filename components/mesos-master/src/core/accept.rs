//! ACCEPT: offers turned into tasks; what is not used comes back.
use std::{collections::HashSet, sync::Arc};

use mesos_messages::{
    resources::{Resources, to_post_refinement},
    v1,
};
use v1::{
    TaskState, agent_info::capability::Type as AgentCapability, offer::Operation,
    offer::operation::Type as OperationType, scheduler::call, task_status::Reason,
};

use super::{
    MasterCore, Outgoing,
    offers::refuse_seconds,
    outbound::News,
    state::{AgentKey, Connection, FrameworkKey},
    validate,
};
use crate::{
    model::{Id, Offer},
    wire::RunTask,
};

/// What the operations of one ACCEPT work on.
struct Accepting {
    framework: FrameworkKey,
    agent: AgentKey,
    role: Id,
    /// Offered and not yet used.
    remaining: Resources,
    /// In use by what was launched.
    launched: Resources,
}

/// Why tasks were not launched.
struct Refusal {
    state: TaskState,
    reason: Reason,
    message: String,
}

impl MasterCore {
    pub(super) fn accept(&mut self, key: FrameworkKey, accept: call::Accept) {
        for operation in &accept.operations {
            if operation.r#type() == OperationType::Launch {
                let is_empty = operation.launch.as_ref().is_none_or(|l| l.task_infos.is_empty());
                if is_empty {
                    self.counters.messages_decline_offers += 1;
                } else {
                    self.counters.messages_launch_tasks += 1;
                }
            }
        }
        if let Err(reason) = self.check_offers(key, &accept.offer_ids) {
            return self.refuse_accept(key, accept, &reason.to_string());
        }
        let Some(mut accepting) = self.take_offers(key, &accept.offer_ids) else { return };
        let refuse = refuse_seconds(accept.filters.as_ref());
        let operations = self.check_operations(&accepting, accept.operations);
        for operation in operations {
            self.operate(&mut accepting, operation);
        }
        let Accepting { framework, agent, remaining, launched, .. } = accepting;
        self.alloc_recover(framework, agent, &remaining, Some(refuse));
        self.alloc_launched(framework, agent, &launched);
    }

    fn check_offers(&self, key: FrameworkKey, ids: &[v1::OfferId]) -> validate::Check {
        let invalid = |text: String| Err(validate::Invalid(text));
        if ids.is_empty() {
            return invalid("No offers specified".to_owned());
        }
        let mut seen = HashSet::with_capacity(ids.len());
        for id in ids {
            if !seen.insert(id.value.as_str()) {
                return invalid(format!("Duplicate offer {} in offer list", id.value));
            }
        }
        let mut offers: Vec<(&v1::OfferId, FrameworkKey, AgentKey, &Arc<Offer>)> = Vec::new();
        for id in ids {
            let found = self.offer_number(&id.value).and_then(|number| self.offer_record(number));
            let Some((at, offer)) = found else {
                return invalid(format!("Offer {} is no longer valid", id.value));
            };
            offers.push((id, at.framework, at.agent, offer));
        }
        let framework = self.frameworks.get(key).map(|f| f.record.id.clone()).unwrap_or("".into());
        for (id, owner, _, offer) in &offers {
            if *owner != key {
                return invalid(format!(
                    "Offer {} has invalid framework {} while framework {framework} is expected",
                    id.value, offer.framework_id
                ));
            }
        }
        let Some((_, _, agent, first)) = offers.first().copied() else { return Ok(()) };
        if let Some((id, _, _, offer)) = offers.iter().find(|offer| offer.3.role != first.role) {
            return invalid(format!(
                "Aggregated offers must be allocated to the same role. Offer {} uses role '{} \
                 but another is using role '{}",
                id.value, offer.role, first.role
            ));
        }
        if let Some((id, _, _, offer)) = offers.iter().find(|offer| offer.2 != agent) {
            return invalid(format!(
                "Aggregated offers must belong to one single agent. Offer {} uses agent {} and \
                 agent {}",
                id.value, offer.agent_id, first.agent_id
            ));
        }
        Ok(())
    }

    /// The offers cannot be used: none of it happens, and those still valid are given back.
    fn refuse_accept(&mut self, key: FrameworkKey, accept: call::Accept, reason: &str) {
        for id in &accept.offer_ids {
            // Another framework's offers are not this one's to give back.
            if let Some(number) = self.offer_number(&id.value)
                && self.offers.get(&number).is_some_and(|at| at.framework == key)
            {
                self.discard_offer(number, None);
            }
        }
        let refusal = Refusal {
            state: self.lost_or(key, TaskState::TaskDropped),
            reason: Reason::InvalidOffers,
            message: format!("Task launched with invalid offers: {reason}"),
        };
        for operation in accept.operations {
            match operation.r#type() {
                OperationType::Launch | OperationType::LaunchGroup => {
                    self.refuse_tasks(key, tasks_of(&operation), &refusal);
                }
                _ => {
                    let text = format!("Operation attempted with invalid offers: {reason}");
                    self.drop_operation(key, &operation, text);
                }
            }
        }
    }

    fn take_offers(&mut self, key: FrameworkKey, ids: &[v1::OfferId]) -> Option<Accepting> {
        let mut accepting: Option<Accepting> = None;
        for id in ids {
            let number = self.offer_number(&id.value)?;
            let (at, offer) = self.take_offer(number)?;
            let accepting = accepting.get_or_insert_with(|| Accepting {
                framework: key,
                agent: at.agent,
                role: offer.role.clone(),
                remaining: Resources::new(),
                launched: Resources::new(),
            });
            accepting.remaining += &offer.resources;
        }
        if let Some(framework) = self.frameworks.get_mut(key) {
            framework.counters.offers_accepted += ids.len() as u64;
        }
        accepting
    }

    /// Refuses the operations that are wrong whatever came before them; gives the others.
    fn check_operations(
        &mut self,
        accepting: &Accepting,
        operations: Vec<Operation>,
    ) -> Vec<Operation> {
        let mut good = Vec::with_capacity(operations.len());
        for operation in operations {
            match self.check_operation(accepting, &operation) {
                Ok(()) => good.push(operation),
                Err(Some(text)) => self.refuse_operation(accepting.framework, &operation, text),
                Err(None) => {}
            }
        }
        good
    }

    fn check_operation(
        &mut self,
        accepting: &Accepting,
        operation: &Operation,
    ) -> Result<(), Option<String>> {
        let kind = operation.r#type();
        let is_launch = matches!(kind, OperationType::Launch | OperationType::LaunchGroup);
        if let Err(reason) = validate::operation_resources(operation) {
            return Err(Some(if is_launch {
                reason.to_string()
            } else {
                format!("Operation attempted with invalid resources: {reason}")
            }));
        }
        if operation.reserve.as_ref().is_some_and(|reserve| !reserve.source.is_empty()) {
            return Err(Some(
                "Operation attempted with invalid resources: Reservation updates are not yet \
                 implemented for the scheduler API."
                    .to_owned(),
            ));
        }
        if operation.id.is_none() {
            return Ok(());
        }
        if is_launch {
            let name = kind.as_str_name();
            return Err(Some(format!("The `id` field cannot be set on {name} operations")));
        }
        self.check_feedback(accepting, operation)
    }

    /// An operation with an id wants to be told how it went.
    fn check_feedback(
        &mut self,
        accepting: &Accepting,
        _operation: &Operation,
    ) -> Result<(), Option<String>> {
        let key = accepting.framework;
        let is_pid = self
            .frameworks
            .get(key)
            .is_some_and(|framework| matches!(framework.connection, Connection::Pid(_)));
        if is_pid {
            let text = "The 'id' field was set in an offer operation, but operation feedback is \
                        not supported for the SchedulerDriver API; please use the HTTP scheduler \
                        API for this feature";
            self.tell(key, News::Error(text.to_owned()));
            return Err(None);
        }
        let Some((agent, _)) = self.agents.get(accepting.agent) else { return Err(None) };
        if !agent.capable(AgentCapability::ResourceProvider) {
            return Err(Some(format!(
                "Operation requested feedback, but agent {} does not have the required \
                 RESOURCE_PROVIDER capability",
                agent.id
            )));
        }
        if !agent.capable(AgentCapability::AgentOperationFeedback) {
            return Err(Some(format!(
                "Operation on agent default resources requested feedback, but agent {} does not \
                 have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities",
                agent.id
            )));
        }
        Ok(())
    }

    fn refuse_operation(&mut self, key: FrameworkKey, operation: &Operation, message: String) {
        let reason = match operation.r#type() {
            OperationType::Launch => Reason::TaskInvalid,
            OperationType::LaunchGroup => Reason::TaskGroupInvalid,
            _ => return self.drop_operation(key, operation, message),
        };
        let refusal = Refusal { state: TaskState::TaskError, reason, message };
        self.refuse_tasks(key, tasks_of(operation), &refusal);
    }

    fn operate(&mut self, accepting: &mut Accepting, operation: Operation) {
        let key = accepting.framework;
        match operation.r#type() {
            OperationType::Launch => {
                if let Some(framework) = self.frameworks.get_mut(key) {
                    framework.counters.operations += 1;
                    framework.counters.operations_launch += 1;
                }
                for task in operation.launch.unwrap_or_default().task_infos {
                    self.launch(accepting, task);
                }
            }
            OperationType::LaunchGroup => {
                self.launch_group(accepting, operation.launch_group.unwrap_or_default());
            }
            OperationType::Unknown => tracing::warn!("ignoring an unknown operation"),
            kind => {
                let text = format!("{} operations are not supported yet", kind.as_str_name());
                self.drop_operation(key, &operation, text);
            }
        }
    }

    fn launch(&mut self, accepting: &mut Accepting, mut task: v1::TaskInfo) {
        let key = accepting.framework;
        self.complete_task(accepting, &mut task);
        let consumed = match self.check_task(accepting, &task) {
            Ok(consumed) => consumed,
            Err(reason) => {
                let refusal = Refusal {
                    state: TaskState::TaskError,
                    reason: Reason::TaskInvalid,
                    message: reason.to_string(),
                };
                return self.refuse_tasks(key, std::slice::from_ref(&task), &refusal);
            }
        };
        let mut total = consumed.task.clone();
        let is_new = consumed.new_executor;
        if let Some(resources) = consumed.executor.filter(|_| is_new)
            && let Some(executor) = task.executor.as_deref()
        {
            total += &resources;
            self.add_executor(key, accepting.agent, executor.clone(), resources);
        }
        self.add_launched_task(key, accepting.agent, &task, consumed.task, &accepting.role);
        accepting.remaining -= &total;
        accepting.launched += &total;
        self.run_task(accepting, task, is_new);
    }

    /// Fills in what older schedulers leave out.
    fn complete_task(&self, accepting: &Accepting, task: &mut v1::TaskInfo) {
        let resources = task.resources.iter_mut();
        let of_executor = task.executor.as_deref_mut().map(|executor| {
            if executor.framework_id.is_none()
                && let Some(framework) = self.frameworks.get(accepting.framework)
            {
                executor.framework_id = Some(super::outbound::framework_id(&framework.record.id));
            }
            executor.resources.iter_mut()
        });
        for resource in resources.chain(of_executor.into_iter().flatten()) {
            complete_resource(resource, &accepting.role);
        }
        if let Some(check) = task.health_check.as_mut().filter(|check| check.r#type.is_none()) {
            use v1::health_check::Type;
            let kind = match (&check.command, &check.http) {
                (Some(_), None) => Some(Type::Command),
                (None, Some(_)) => Some(Type::Http),
                _ => None,
            };
            check.r#type = kind.map(|kind| kind as i32);
        }
    }

    fn check_task(
        &self,
        accepting: &Accepting,
        task: &v1::TaskInfo,
    ) -> Result<validate::TaskResources, validate::Invalid> {
        self.with_context(accepting, |context| validate::task(task, context))
    }

    fn with_context<T>(
        &self,
        accepting: &Accepting,
        check: impl FnOnce(&validate::TaskContext<'_>) -> Result<T, validate::Invalid>,
    ) -> Result<T, validate::Invalid> {
        let gone = || validate::Invalid("Agent removed".to_owned());
        let framework = self.frameworks.get(accepting.framework).ok_or_else(gone)?;
        let (agent, _) = self.agents.get(accepting.agent).ok_or_else(gone)?;
        check(&validate::TaskContext {
            framework: &framework.record.id,
            agent: &agent.id,
            is_known: &|id| framework.task_slots.contains_key(id),
            is_unreachable: &|id| framework.unreachable.iter().any(|task| *task.id == *id),
            executor: &|id| framework.executor(accepting.agent, id).map(|e| &*e.info),
            limits: agent.capable(AgentCapability::TaskResourceLimits),
            offered: &accepting.remaining,
        })
    }

    fn run_task(&mut self, accepting: &Accepting, mut task: v1::TaskInfo, new_executor: bool) {
        let Some(framework) = self.frameworks.get(accepting.framework) else { return };
        let Some((agent, state)) = self.agents.get(accepting.agent) else { return };
        if !agent.capable(AgentCapability::ReservationRefinement) {
            downgrade(&mut task.resources);
            if let Some(executor) = &mut task.executor {
                downgrade(&mut executor.resources);
            }
        }
        let message = RunTask {
            framework: framework.record.info.clone(),
            pid: framework.record.pid.clone().unwrap_or_else(|| super::outbound::NO_PID.into()),
            resource_version: state.resource_version.clone(),
            launch_executor: new_executor || task.executor.is_none(),
            task,
        };
        let to = state.pid.clone();
        self.send(to, Outgoing::RunTask(Box::new(message)));
    }

    fn launch_group(&mut self, accepting: &Accepting, launch: v1::offer::operation::LaunchGroup) {
        let v1::offer::operation::LaunchGroup { mut executor, mut task_group } = launch;
        for resource in &mut executor.resources {
            complete_resource(resource, &accepting.role);
        }
        for task in &mut task_group.tasks {
            for resource in &mut task.resources {
                complete_resource(resource, &accepting.role);
            }
            match &mut task.executor {
                None => task.executor = Some(Box::new(executor.clone())),
                Some(executor) => executor
                    .resources
                    .iter_mut()
                    .for_each(|resource| complete_resource(resource, &accepting.role)),
            }
        }
        let checked = self
            .with_context(accepting, |context| validate::group(&task_group, &executor, context));
        let message = match checked {
            Err(reason) => reason.to_string(),
            Ok(()) => "Task groups are not supported yet".to_owned(),
        };
        let refusal =
            Refusal { state: TaskState::TaskError, reason: Reason::TaskGroupInvalid, message };
        self.refuse_tasks(accepting.framework, &task_group.tasks, &refusal);
    }

    fn refuse_tasks(&mut self, key: FrameworkKey, tasks: &[v1::TaskInfo], refusal: &Refusal) {
        for task in tasks {
            self.count_terminal(
                refusal.state,
                v1::task_status::Source::Master,
                Some(refusal.reason),
            );
            let status = v1::TaskStatus {
                task_id: task.task_id.clone(),
                state: refusal.state as i32,
                message: Some(refusal.message.clone()),
                source: Some(v1::task_status::Source::Master as i32),
                reason: Some(refusal.reason as i32),
                agent_id: Some(task.agent_id.clone()),
                timestamp: Some(self.now.seconds()),
                ..v1::TaskStatus::default()
            };
            self.tell(key, News::Update { status, agent: None });
        }
    }

    /// An operation other than a launch does not happen; a framework that asked is told.
    fn drop_operation(&mut self, key: FrameworkKey, operation: &Operation, message: String) {
        tracing::warn!(kind = operation.r#type().as_str_name(), %message, "dropping an operation");
        let is_http = self.frameworks.get(key).is_some_and(|framework| framework.is_http());
        if let Some(id) = operation.id.as_ref().filter(|_| is_http) {
            let status = v1::OperationStatus {
                operation_id: Some(id.clone()),
                state: v1::OperationState::OperationError as i32,
                message: Some(message),
                ..v1::OperationStatus::default()
            };
            self.tell(key, News::OperationStatus(status));
        }
    }

    /// `state` for frameworks that know partitions, and the old word for all others.
    pub(super) fn lost_or(&self, key: FrameworkKey, state: TaskState) -> TaskState {
        let aware = self.frameworks.get(key).is_some_and(|framework| framework.partition_aware);
        if aware { state } else { TaskState::TaskLost }
    }
}

fn complete_resource(resource: &mut v1::Resource, role: &Id) {
    to_post_refinement(resource);
    if resource.allocation_info.is_none() {
        let role = Some(role.to_string());
        resource.allocation_info = Some(v1::resource::AllocationInfo { role });
    }
}

fn downgrade(resources: &mut Vec<v1::Resource>) {
    let parsed = Resources::from_proto(resources).ok();
    // Refined reservations are never offered from an agent that does not know them.
    if let Some(old) = parsed.and_then(|parsed| parsed.to_proto_pre_refinement().ok()) {
        *resources = old;
    }
}

fn tasks_of(operation: &Operation) -> &[v1::TaskInfo] {
    match (&operation.launch, &operation.launch_group) {
        (Some(launch), _) if operation.r#type() == OperationType::Launch => &launch.task_infos,
        (_, Some(group)) if operation.r#type() == OperationType::LaunchGroup => {
            &group.task_group.tasks
        }
        _ => &[],
    }
}
