//! Frameworks that come, come back, or take over.
use std::sync::Arc;

use libprocess::Upid;
use mesos_messages::{internal, v1};

use super::{
    Effect, MasterCore, Outgoing,
    outbound::News,
    state::{Connection, FrameworkKey, FrameworkState},
    timers::Timer,
    validate,
};
use crate::{
    handle::Principal,
    model::{Framework, Id, OperatorEvent},
    wire::PidSubscribe,
};

/// How often a stream shows a sign of life.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(15);

/// A subscription that passed the checks that need no known framework.
struct Checked {
    info: v1::FrameworkInfo,
    suppressed: Vec<String>,
    constraints: Option<v1::scheduler::OfferConstraints>,
}

impl MasterCore {
    pub(super) fn subscribe_http(
        &mut self,
        stream: Id,
        call: v1::scheduler::Call,
        principal: Principal,
    ) {
        let Some(subscribe) = call.subscribe else {
            return self.refuse_stream(stream, "Expecting 'subscribe' to be present".to_owned());
        };
        let mut info = subscribe.framework_info;
        if info.principal.is_none() {
            info.principal = principal.0;
        }
        self.count_subscription(&info);
        let checked =
            match self.check(info, subscribe.suppressed_roles, subscribe.offer_constraints) {
                Ok(checked) => checked,
                Err(refused) => return self.refuse_stream(stream, refused.to_string()),
            };
        let Some(id) = given_id(&checked.info) else {
            let key = self.add_new_framework(checked);
            self.welcome_http(key, stream, News::Registered);
            return self.announce_framework(key);
        };
        let key = self.known_or_recovered(&id, &checked.info);
        if let Err(refused) = self.apply_resubscription(key, checked) {
            return self.refuse_stream(stream, refused.to_string());
        }
        self.end_old_connection(key, true);
        self.discard_offers(key);
        self.welcome_http(key, stream, News::Registered);
        self.broadcast_framework(key);
    }

    pub(super) fn subscribe_pid(&mut self, from: Upid, subscribe: PidSubscribe) {
        self.count_subscription(&subscribe.info);
        let force = subscribe.force;
        let checked = match self.check(
            subscribe.info,
            subscribe.suppressed_roles,
            subscribe.offer_constraints,
        ) {
            Ok(checked) => checked,
            Err(refused) => return self.refuse_pid(from, &refused.to_string()),
        };
        let same_pid = self.frameworks.pids.get(&from).copied();
        let Some(id) = given_id(&checked.info) else {
            // A driver that did not get the answer asks again.
            if let Some(known) = same_pid {
                return self.tell(known, News::Registered);
            }
            let key = self.add_new_framework(checked);
            self.welcome_pid(key, from, News::Registered);
            return self.announce_framework(key);
        };
        if same_pid.is_some() && same_pid != self.frameworks.key(&id) {
            tracing::error!(%from, "a different framework is subscribed at this address");
            return;
        }
        let key = self.known_or_recovered(&id, &checked.info);
        let Some(framework) = self.frameworks.get(key) else { return };
        let recovered = framework.record.recovered;
        let is_same = framework.connection == Connection::Pid(from.clone())
            || framework.record.pid.as_deref() == Some(from.to_string().as_str());
        if let Err(refused) = self.check_update(key, &checked.info) {
            return self.refuse_pid(from, &refused.to_string());
        }
        if !recovered && !is_same && !force {
            return self.refuse_pid(from, "Framework failed over");
        }
        if let Err(refused) = self.apply_resubscription(key, checked) {
            return self.refuse_pid(from, &refused.to_string());
        }
        if recovered || force {
            self.end_old_connection(key, !is_same);
            self.discard_offers(key);
            self.welcome_pid(key, from, News::Registered);
        } else {
            // The driver may have answered offers while it thought it was disconnected.
            self.rescind_offers(key);
            self.welcome_pid(key, from, News::Reregistered);
        }
        self.broadcast_framework(key);
    }

    /// Tells a scheduler over libprocess why it may not subscribe.
    pub(super) fn refuse_pid(&mut self, to: Upid, text: &str) {
        let message = internal::FrameworkErrorMessage { message: text.to_owned() };
        self.send(to, Outgoing::FrameworkError(message));
    }

    fn count_subscription(&mut self, info: &v1::FrameworkInfo) {
        if given_id(info).is_none() {
            self.counters.messages_register_framework += 1;
        } else {
            self.counters.messages_reregister_framework += 1;
        }
    }

    fn check(
        &self,
        info: v1::FrameworkInfo,
        suppressed: Vec<String>,
        constraints: Option<v1::scheduler::OfferConstraints>,
    ) -> Result<Checked, validate::Invalid> {
        validate::framework(&info, &self.config, |id| self.frameworks.completed_ids.contains(id))?;
        self.check_options(&info, &suppressed, constraints.as_ref())?;
        Ok(Checked { info, suppressed, constraints })
    }

    /// Checks what comes beside the framework itself.
    pub(super) fn check_options(
        &self,
        info: &v1::FrameworkInfo,
        suppressed: &[String],
        constraints: Option<&v1::scheduler::OfferConstraints>,
    ) -> validate::Check {
        let roles = validate::roles(info);
        validate::suppressed_roles(&roles, suppressed)?;
        if let Some(constraints) = constraints {
            validate::offer_constraint_roles(&roles, constraints)?;
            self.check_constraints(constraints)?;
        }
        Ok(())
    }

    fn add_new_framework(&mut self, checked: Checked) -> FrameworkKey {
        let id: Id = format!("{}-{:04}", self.master.info.id, self.next_framework).into();
        self.next_framework += 1;
        let mut info = checked.info;
        info.id = Some(v1::FrameworkId { value: id.to_string() });
        let record = self.new_record(id, info, &checked.suppressed, checked.constraints);
        self.insert_framework(record)
    }

    /// A framework known only from agents or from its own word after the master restarted.
    pub(super) fn recover_framework(&mut self, info: &v1::FrameworkInfo) -> FrameworkKey {
        let id: Id = info.id.as_ref().map_or("", |id| id.value.as_str()).into();
        let mut record = self.new_record(id, info.clone(), &[], None);
        record.recovered = true;
        let key = self.insert_framework(record);
        self.announce_framework(key);
        key
    }

    fn known_or_recovered(&mut self, id: &str, info: &v1::FrameworkInfo) -> FrameworkKey {
        match self.frameworks.key(id) {
            Some(key) => key,
            None => self.recover_framework(info),
        }
    }

    fn new_record(
        &self,
        id: Id,
        info: v1::FrameworkInfo,
        suppressed: &[String],
        constraints: Option<v1::scheduler::OfferConstraints>,
    ) -> Framework {
        let now = self.now.seconds();
        Framework {
            id,
            pid: None,
            active: false,
            connected: false,
            recovered: false,
            roles: sorted(validate::roles(&info)),
            suppressed_roles: sorted(suppressed.iter().map(String::as_str)),
            registered_time: now,
            reregistered_time: now,
            unregistered_time: 0.0,
            used: Default::default(),
            offered: Default::default(),
            offer_constraints: constraints.map(Arc::new),
            info: Arc::new(info),
        }
    }

    fn insert_framework(&mut self, record: Framework) -> FrameworkKey {
        let key = self.frameworks.insert(FrameworkState::new(record));
        self.alloc_add_framework(key);
        key
    }

    fn check_update(&self, key: FrameworkKey, info: &v1::FrameworkInfo) -> validate::Check {
        let Some(framework) = self.frameworks.get(key) else { return Ok(()) };
        validate::update(&framework.record.info, &keep_immutable(&framework.record.info, info))
    }

    fn apply_resubscription(&mut self, key: FrameworkKey, checked: Checked) -> validate::Check {
        let Some(framework) = self.frameworks.get_mut(key) else { return Ok(()) };
        let info = keep_immutable(&framework.record.info, &checked.info);
        validate::update(&framework.record.info, &info)?;
        let now = self.now.seconds();
        let recovered = framework.record.recovered;
        let record = framework.record_mut();
        record.reregistered_time = now;
        if recovered {
            record.registered_time = now;
            record.recovered = false;
        }
        self.update_framework(key, info, &checked.suppressed, checked.constraints);
        Ok(())
    }

    /// Replaces info, suppressed roles and constraints wholesale.
    pub(super) fn update_framework(
        &mut self,
        key: FrameworkKey,
        info: v1::FrameworkInfo,
        suppressed: &[String],
        constraints: Option<v1::scheduler::OfferConstraints>,
    ) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let record = framework.record_mut();
        record.roles = sorted(validate::roles(&info));
        record.suppressed_roles = sorted(suppressed.iter().map(String::as_str));
        record.offer_constraints = constraints.map(Arc::new);
        record.info = Arc::new(info);
        framework.read_capabilities();
        self.alloc_update_framework(key);
        self.rescind_offers_of_lost_roles(key);
    }

    /// Ends the connection a framework has, for another scheduler takes over.
    fn end_old_connection(&mut self, key: FrameworkKey, tell: bool) {
        if tell {
            self.tell(key, News::Error("Framework failed over".to_owned()));
        }
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        match std::mem::replace(&mut framework.connection, Connection::None) {
            Connection::None => {}
            Connection::Http { stream } => {
                self.frameworks.streams.remove(&stream);
                self.out.push(Effect::CloseStream { stream });
            }
            Connection::Pid(pid) => {
                self.frameworks.pids.remove(&pid);
            }
        }
    }

    fn welcome_http(&mut self, key: FrameworkKey, stream: Id, news: News) {
        self.frameworks.streams.insert(stream.clone(), key);
        self.connect(key, Connection::Http { stream }, None, news);
        self.tell(key, News::Heartbeat);
        if let Some(framework) = self.frameworks.get(key) {
            let connection = framework.connection_number;
            self.timers
                .set(self.now.mono + HEARTBEAT, Timer::Heartbeat { framework: key, connection });
        }
    }

    fn welcome_pid(&mut self, key: FrameworkKey, pid: Upid, news: News) {
        if let Some(old) =
            self.frameworks.get(key).and_then(|framework| match &framework.connection {
                Connection::Pid(old) if *old != pid => Some(old.clone()),
                _ => None,
            })
        {
            self.frameworks.pids.remove(&old);
        }
        self.frameworks.pids.insert(pid.clone(), key);
        self.out.push(Effect::Link(pid.clone()));
        let text: Arc<str> = pid.to_string().into();
        self.connect(key, Connection::Pid(pid), Some(text), news);
    }

    fn connect(
        &mut self,
        key: FrameworkKey,
        connection: Connection,
        pid: Option<Arc<str>>,
        news: News,
    ) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        framework.connection = connection;
        framework.connection_number += 1;
        framework.counters.calls += 1;
        framework.counters.calls_subscribe += 1;
        let was_active = framework.record.active;
        let record = framework.record_mut();
        record.pid = pid;
        record.connected = true;
        record.active = true;
        record.recovered = false;
        self.tell(key, news);
        if !was_active {
            self.alloc_activate_framework(key);
        }
    }

    fn announce_framework(&mut self, key: FrameworkKey) {
        if let Some(framework) = self.frameworks.get(key) {
            let record = framework.record.clone();
            self.tell_operators(|| OperatorEvent::FrameworkAdded(record));
        }
    }

    /// Tells agents and operators what a framework is now, and where.
    pub(super) fn broadcast_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(key) else { return };
        let record = framework.record.clone();
        let agents: Vec<Upid> = self
            .agents
            .records
            .entries()
            .filter_map(|(agent, _)| Some(self.agents.get(agent)?.1.pid.clone()))
            .collect();
        for agent in agents {
            self.send(agent, Outgoing::UpdateFramework(Box::new(update_message(&record))));
        }
        self.tell_operators(|| OperatorEvent::FrameworkUpdated(record));
    }
}

/// What an agent is told of a framework.
pub(super) fn update_message(record: &Framework) -> internal::UpdateFrameworkMessage {
    internal::UpdateFrameworkMessage {
        framework_id: v1::FrameworkId { value: record.id.to_string() },
        pid: Some(record.pid.as_deref().unwrap_or(super::outbound::NO_PID).to_owned()),
        framework_info: Some(v1::FrameworkInfo::clone(&record.info)),
    }
}

fn given_id(info: &v1::FrameworkInfo) -> Option<String> {
    info.id.as_ref().map(|id| id.value.clone()).filter(|id| !id.is_empty())
}

/// User and checkpointing stay as they were first given.
fn keep_immutable(old: &v1::FrameworkInfo, new: &v1::FrameworkInfo) -> v1::FrameworkInfo {
    v1::FrameworkInfo { user: old.user.clone(), checkpoint: old.checkpoint, ..new.clone() }
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Arc<[Id]> {
    let mut names: Vec<Id> = names.into_iter().map(Id::from).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}
