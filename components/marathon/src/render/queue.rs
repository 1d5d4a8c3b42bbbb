//! The launch queue: what waits, and why.

use std::sync::Arc;

use http_kit::json::{self, Object};
use marathon_core::{
    QueueItem, View,
    launch::{FunnelStep, LastRefusal, Offer, Refusals},
};
use marathon_model::Timestamp;
use mesos_messages::v1;

use crate::http::permissions::Visible;

use super::{app, moment, optional_moment, pieces::Source};

/// The queue, an item at a time.
pub(crate) struct Queue {
    view: Arc<View>,
    last_unused_offers: bool,
    now: Timestamp,
    begun: bool,
    /// Items still to be written, the last one first.
    left: Vec<Arc<QueueItem>>,
}

impl Queue {
    pub(crate) fn new(
        view: Arc<View>,
        last_unused_offers: bool,
        now: Timestamp,
        visible: &Visible,
    ) -> Self {
        let shown = view.queued.iter().filter(|id| visible.shows(id));
        let items = shown.filter_map(|id| view.apps.get(id)?.queue.clone());
        let mut left: Vec<_> = items.collect();
        left.reverse();
        Self { view, last_unused_offers, now, begun: false, left }
    }
}

impl Source for Queue {
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        if !self.begun {
            out.extend_from_slice(b"{\"queue\":[");
        }
        while let Some(item) = self.left.pop() {
            if std::mem::replace(&mut self.begun, true) {
                out.push(b',');
            }
            self.item(out, &item);
            if out.len() >= limit && !self.left.is_empty() {
                return false;
            }
        }
        self.begun = true;
        out.extend_from_slice(b"]}");
        true
    }
}

impl Queue {
    fn item(&self, out: &mut Vec<u8>, item: &QueueItem) {
        let mut object = Object::new(out);
        object.integer("count", i64::from(item.count));
        object.string("role", &item.role);
        let left = item.time_left(self.now);
        let mut delay = Object::new(object.key("delay"));
        delay.integer("timeLeftSeconds", i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
        delay.boolean("overdue", left.is_zero());
        delay.end();
        moment(object.key("since"), item.since);
        summary(object.key("processedOffersSummary"), &item.offers);
        if self.last_unused_offers {
            let refusals = item.offers.last_refusals();
            json::list(object.key("lastUnusedOffers"), refusals, unused_offer);
        }
        app::spec(object.key("app"), &item.app);
        pending(object.key("pendingReasons"), item, &self.view, self.now);
        object.end();
    }
}

fn summary(out: &mut Vec<u8>, offers: &Refusals) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut summary = Object::new(out);
    summary.integer("processedOffersCount", count(offers.processed()));
    summary.integer("unusedOffersCount", count(offers.unused()));
    optional_moment(&mut summary, "lastUnusedOfferAt", offers.last_unused_at());
    optional_moment(&mut summary, "lastUsedOfferAt", offers.last_used_at());
    json::list(summary.key("rejectSummaryLastOffers"), offers.last_offers(), step);
    json::list(summary.key("rejectSummaryLaunchAttempt"), offers.launch_attempt(), step);
    summary.end();
}

fn step(out: &mut Vec<u8>, step: FunnelStep) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut object = Object::new(out);
    object.string("reason", step.reason.as_str());
    object.integer("declined", count(step.declined));
    object.integer("processed", count(step.processed));
    object.end();
}

/// Ours: why instances wait, in words and numbers, what stops the most agents first.
fn pending(out: &mut Vec<u8>, item: &QueueItem, view: &View, now: Timestamp) {
    let backoff = item.backoff_until.filter(|until| *until > now);
    let top = item.offers.top();
    let told = !top.is_empty() || backoff.is_some();
    out.push(b'[');
    let mut first = true;
    let mut reason = |name: &str, message: &str, agents: Option<u32>, until: Option<Timestamp>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        let mut object = Object::new(out);
        object.string("reason", name);
        object.string("message", message);
        if let Some(agents) = agents {
            object.integer("agents", i64::from(agents));
        }
        optional_moment(&mut object, "until", until);
        object.end();
    };
    if let Some(until) = backoff {
        let last = view.apps.get(&item.app.id).and_then(|state| state.failure_of(&item.app));
        let last = last.map(|message| format!(", the last: {message}")).unwrap_or_default();
        let message = format!("waits until {until} after failures{last}");
        reason("BackOff", &message, None, Some(until));
    }
    if view.master.is_none() {
        reason("NotConnected", "there is no connection to a Mesos master", None, None);
    }
    for top in &top {
        reason(top.reason.as_str(), &top.text, Some(top.agents), None);
    }
    if !told {
        item.reasons.iter().for_each(|text| reason("Waiting", text, None, None));
    }
    out.push(b']');
}

fn unused_offer(out: &mut Vec<u8>, last: &LastRefusal) {
    let mut object = Object::new(out);
    offer(object.key("offer"), &last.offer);
    json::list(object.key("reason"), last.refusal.reasons.iter(), |out, reason| {
        json::string(out, reason.as_str());
    });
    moment(object.key("timestamp"), last.at);
    object.end();
}

fn offer(out: &mut Vec<u8>, offer: &Offer) {
    let mut object = Object::new(out);
    object.string("id", &offer.id.value);
    object.string("hostname", &offer.placement.host);
    object.string("agentId", &offer.placement.agent_id);
    json::list(object.key("resources"), offer.resources.to_proto(), |out, resource| {
        write_resource(out, &resource);
    });
    json::list(object.key("attributes"), &offer.placement.attributes, |out, attribute| {
        let mut object = Object::new(out);
        object.string("name", &attribute.name);
        object.string("text", &attribute.text);
        object.end();
    });
    object.end();
}

fn write_resource(out: &mut Vec<u8>, resource: &v1::Resource) {
    let mut object = Object::new(out);
    object.string("name", &resource.name);
    let reserved = resource.reservations.last().and_then(|reservation| reservation.role.as_deref());
    object.string("role", reserved.unwrap_or("*"));
    if let Some(scalar) = &resource.scalar {
        object.double("scalar", scalar.value);
    }
    if let Some(ranges) = &resource.ranges {
        json::list(object.key("ranges"), &ranges.range, |out, range| {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let mut object = Object::new(out);
            object.integer("begin", number(range.begin));
            object.integer("end", number(range.end));
            object.end();
        });
    }
    if let Some(set) = &resource.set {
        json::list(object.key("set"), &set.item, |out, item| json::string(out, item));
    }
    object.end();
}
