//! Offers: who is launched on them, and what is given back.

use super::{
    Core,
    roles::{Role, Round},
};
use crate::{
    Call, Condition,
    launch::{self, LaunchRequest, Offer, RemainingOffer},
};
use marathon_model::{InstanceId, PathId, TaskId};
use mesos_messages::v1::{self, offer::operation};
use std::{ops::Bound, sync::Arc, time::Duration};

/// So many apps in a row may find an offer too small before the others are left for later ones.
const PATIENCE: usize = 512;
/// How long an offer stays away that not everybody looked at.
const SOON: Duration = Duration::from_secs(1);

/// What became of one offer.
struct Outcome {
    tasks: Vec<v1::TaskInfo>,
    /// Everybody who wants something looked at it.
    exhausted: bool,
}

// === impl Core ===

impl Core {
    pub(super) fn offers(&mut self, offers: Vec<v1::Offer>) {
        let mut declined = Vec::new();
        let mut soon = Vec::new();
        for offer in offers {
            self.view.metrics.offers_processed += 1;
            let id = offer.id.clone();
            let Ok(offer) = Offer::from_proto(&offer) else {
                declined.push(id);
                continue;
            };
            let outcome = self.match_offer(Arc::new(offer));
            if outcome.tasks.is_empty() {
                if outcome.exhausted { &mut declined } else { &mut soon }.push(id);
                continue;
            }
            self.view.metrics.offers_used += 1;
            let launch = operation::Launch { task_infos: outcome.tasks };
            let mut operation = v1::offer::Operation::default();
            operation.set_type(operation::Type::Launch);
            operation.launch = Some(launch);
            self.out.calls.push(Call::Accept {
                offers: vec![id],
                operations: vec![operation],
                refuse: Duration::ZERO,
            });
        }
        for (offers, refuse) in [(declined, self.config.decline_offer_duration), (soon, SOON)] {
            if !offers.is_empty() {
                self.view.metrics.offers_declined += offers.len() as u64;
                self.out.calls.push(Call::Decline { offers, refuse });
            }
        }
    }

    /// Gives each app one instance in turn, until nobody fits any more.
    fn match_offer(&mut self, offer: Arc<Offer>) -> Outcome {
        let mut outcome = Outcome { tasks: Vec::new(), exhausted: true };
        let role = offer.placement.role.clone();
        let Some(role_state) = self.roles.get_mut(&role) else { return outcome };
        let agent = offer.placement.agent_id.clone();
        let size = ["cpus", "mem", "disk"].map(|name| offer.resources.scalar(name));
        let Role { wanting, cursor, rounds, wishes, .. } = role_state;
        let (wanting, wishes) = (std::mem::take(wanting), *wishes);
        let smaller = |round: &Round| size.iter().zip(&round.size).all(|(now, then)| now <= then);
        let round = rounds.remove(&agent).filter(|one| one.wishes == wishes && smaller(one));
        let (cursor, tried) = match round {
            Some(round) => (round.last, round.tried),
            None => (cursor.clone(), 0),
        };
        let all = (Bound::<&PathId>::Unbounded, Bound::Unbounded);
        let (first, rest) = match &cursor {
            Some(cursor) => {
                ((Bound::Excluded(cursor), Bound::Unbounded), (all.0, Bound::Included(cursor)))
            }
            // Nothing is before the first one.
            None => (all, all),
        };
        let rest = wanting.range::<PathId, _>(rest).filter(|_| cursor.is_some());
        let first = wanting.range::<PathId, _>(first);
        let mut remaining = RemainingOffer::new(offer);
        let limit = self.config.max_instances_per_offer.max(1);
        let (mut again, mut misses, mut last) = (Vec::new(), 0, None);
        // Those that an offer like this was too small for are not asked again.
        for app in first.chain(rest).take(wanting.len().saturating_sub(tried)) {
            if outcome.tasks.len() >= limit || misses >= PATIENCE {
                outcome.exhausted = false;
                break;
            }
            last = Some(app);
            if self.launch_one(app, &mut remaining, &mut outcome.tasks) {
                misses = 0;
                again.push(app);
            } else {
                misses += 1;
            }
        }
        while !again.is_empty() && outcome.tasks.len() < limit {
            again.retain(|app| {
                outcome.tasks.len() < limit
                    && self.launch_one(app, &mut remaining, &mut outcome.tasks)
            });
        }
        let last = last.cloned();
        if let Some(role) = self.roles.get_mut(&role) {
            role.wanting = wanting;
            if !outcome.exhausted && outcome.tasks.is_empty() {
                let (last, tried) = (last.clone(), tried + misses);
                role.rounds.insert(agent, Round { wishes, size, last, tried });
            }
            if last.is_some() {
                role.cursor = last;
            }
        }
        self.seen.note(remaining);
        outcome
    }

    /// Puts the next waiting instance of an app on the offer, if there is one and it fits.
    fn launch_one(
        &mut self,
        app: &PathId,
        remaining: &mut RemainingOffer,
        tasks: &mut Vec<v1::TaskInfo>,
    ) -> bool {
        let Some(data) = self.apps.get(app).filter(|data| !data.index.is_empty()) else {
            return false;
        };
        let next = data.index.next_waiting().cloned();
        let Some(instance) = next.and_then(|id| self.instance(&id)) else { return false };
        let spec = instance.spec.clone();
        self.index_places(&spec);
        let enforce_role = app.top_level().and_then(|top| self.view.root.group(&top)?.enforce_role);
        let request = LaunchRequest {
            app: &spec,
            instance: &instance.id,
            incarnation: instance.incarnation + 1,
            settings: &self.config.launch,
            local_region: self.link.region.as_deref(),
            enforce_role: enforce_role.unwrap_or_default(),
            seed: self.ids.number(),
            wall: self.now.wall,
        };
        let at = self.at();
        let Some(data) = self.apps.get_mut(app) else { return false };
        match launch::fit(&request, remaining, &data.placed) {
            Ok(launch) => {
                data.refusals.used(at);
                tasks.push(launch.task);
                self.launched(&instance.id, launch.host_ports, launch.placement);
                true
            }
            Err(refusal) => {
                let offer = remaining.offer().clone();
                data.refusals.refused(at, &offer, refusal);
                self.refresh_queue(app);
                false
            }
        }
    }

    fn launched(
        &mut self,
        id: &InstanceId,
        host_ports: Vec<u16>,
        placement: Arc<launch::Placement>,
    ) {
        let at = self.at();
        let changed = self.modify(id, |one| {
            one.incarnation += 1;
            one.condition = Condition::Provisioned;
            one.host_ports = host_ports;
            one.placement = Some(placement);
            one.staged_at = Some(at);
            one.killing = false;
        });
        self.view.metrics.instances_launched += 1;
        if let Some(instance) = changed {
            let TaskId { incarnation, .. } = instance.task_id();
            self.expect_launch(id, incarnation, self.now.mono);
            self.advance_backoff(&instance.spec);
        }
    }
}
