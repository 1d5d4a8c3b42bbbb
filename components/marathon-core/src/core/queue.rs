//! The launch queue as readers see it: how many wait, and why.

use super::{Core, Timer, index::Class};
use crate::{EventKind, QueueItem};
use marathon_model::{App, PathId, Timestamp};
use std::{sync::Arc, time::Duration};

/// How long a change may stay unseen.
const REFRESH: Duration = Duration::from_secs(1);
/// Reasons that are shown.
const MAX_REASONS: usize = 5;

// === impl Core ===

impl Core {
    /// After each change of an app: whether it wants offers, and its entry in the queue.
    pub(super) fn keep_queue(&mut self, app: &PathId) {
        let Some(data) = self.apps.get(app) else { return };
        let waiting = data.index.total(&[Class::Waiting]);
        let next = data.index.next_waiting().and_then(|id| self.view.instance(id));
        let Some(spec) = next.map(|next| next.spec.clone()) else {
            return self.leave_queue(app);
        };
        let (now, at) = (self.now.mono, self.at());
        let shown = self.view.apps.get(app).is_some_and(|state| state.queue.is_some());
        let Some(data) = self.apps.get_mut(app) else { return };
        let delayed = data.backoffs.until(&spec, now).is_some_and(|until| until > now);
        let wants = (!delayed).then(|| spec.role.clone());
        let (count, version) = data.waiting.replace((waiting, spec.version)).unwrap_or_default();
        let more = waiting > count || version != spec.version;
        let before = std::mem::replace(&mut data.wanting, wants.clone());
        data.waiting_since.get_or_insert(at);
        if let Some(before) = before.filter(|before| wants.as_ref() != Some(before)) {
            self.roles.drop_app(&before, app);
        }
        if let Some(role) = wants {
            self.roles.want(&role, app, more);
        }
        if !shown {
            self.show_queue(app);
        }
        // By then somebody has refused, or nobody has offered anything.
        self.refresh_queue(app);
    }

    fn leave_queue(&mut self, app: &PathId) {
        let Some(data) = self.apps.get_mut(app) else { return };
        if data.waiting_since.take().is_none() {
            return;
        }
        data.refusals = crate::launch::Refusals::default();
        data.told.clear();
        data.waiting = None;
        if let Some(role) = data.wanting.take() {
            self.roles.drop_app(&role, app);
        }
        if let Some(at) = data.refresh.take() {
            self.timers.clear(at, Timer::Queue(app.clone()));
        }
        self.view.queued.remove(app);
        if let Some(state) = self.view.apps.get_mut(app) {
            Arc::make_mut(state).queue = None;
        }
    }

    /// Shows the entry anew before long.
    pub(super) fn refresh_queue(&mut self, app: &PathId) {
        let at = self.now.mono + REFRESH;
        let Some(data) = self.apps.get_mut(app) else { return };
        if data.refresh.is_none() && data.waiting_since.is_some() {
            data.refresh = Some(at);
            self.timers.set(at, Timer::Queue(app.clone()));
        }
    }

    /// Shows the entry as it is now.
    pub(super) fn show_queue(&mut self, app: &PathId) {
        let Some(data) = self.apps.get_mut(app) else { return };
        data.refresh = None;
        let next = data.index.next_waiting();
        let Some(next) = next.and_then(|id| self.view.instance(id)).cloned() else { return };
        let count = data.index.total(&[Class::Waiting]);
        let until = data.backoffs.until(&next.spec, self.now.mono);
        let until = until.filter(|until| *until > self.now.mono);
        let backoff_until = until.map(|until| {
            let left = until.saturating_sub(self.now.mono);
            Timestamp::from_wall(self.now.wall + left)
        });
        let since = data.waiting_since.unwrap_or_default();
        let offers = Arc::new(data.refusals.clone());
        let reasons = self.reasons(app, &next.spec, backoff_until);
        let first = !self.view.queued.contains(app);
        if first {
            self.view.queued.insert(app.clone());
        }
        let item = QueueItem {
            app: next.spec.clone(),
            count,
            since,
            role: next.spec.role.clone(),
            backoff_until,
            offers,
            reasons: reasons.clone(),
        };
        let state = super::instances::entry(&mut self.view.apps, app);
        Arc::make_mut(state).queue = Some(Arc::new(item));
        if !first {
            self.tell_pending(app, &next.spec, count, reasons);
        }
    }

    fn tell_pending(&mut self, app: &PathId, spec: &App, instances: u32, reasons: Vec<String>) {
        let Some(data) = self.apps.get_mut(app).filter(|data| data.told != reasons) else { return };
        data.told = reasons.clone();
        let (app, version) = (app.clone(), spec.version);
        self.event(EventKind::InstancePending { app, version, instances, reasons });
    }

    /// Why instances of an app wait, in words.
    fn reasons(&self, app: &PathId, spec: &App, backoff_until: Option<Timestamp>) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(until) = backoff_until {
            let last = self.view.apps.get(app).and_then(|state| state.failure_of(spec));
            let last = last.map(|message| format!(": {message}")).unwrap_or_default();
            reasons.push(format!("back-off until {until}{last}"));
        }
        if self.view.master.is_none() {
            reasons.push("not connected to a Mesos master".to_owned());
        }
        if let Some(why) = self.roles.refusal(&spec.role) {
            reasons.push(format!("the master refuses the role '{}': {why}", spec.role));
        }
        let refusals = self.apps.get(app).map(|data| data.refusals.top()).unwrap_or_default();
        for top in refusals.into_iter().take(MAX_REASONS) {
            let agents = if top.agents == 1 { "agent" } else { "agents" };
            reasons.push(format!("{} on {} {agents}: {}", top.reason, top.agents, top.text));
        }
        if reasons.is_empty() {
            reasons.push("no offers received".to_owned());
        }
        reasons
    }
}
