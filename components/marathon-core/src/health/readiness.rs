//! The readiness of one launch of an instance, asked for during deployments only.

use super::{Probe, ProbeKey, ProbeKind, Target};
use crate::{ProbeOutcome, ReadinessResponse, ReadinessResult};
use marathon_model::{
    TaskId,
    app::{App, ReadinessCheck},
};
use mesos_messages::time::Now;
use std::{sync::Arc, time::Duration};

/// Polls until the first answer that means ready.
#[derive(Clone, Debug)]
pub struct Readiness {
    app: Arc<App>,
    task: TaskId,
    target: Target,
    round: u64,
    phase: Phase,
    result: Option<ReadinessResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Duration),
    /// The probe is given up at this time.
    Probing(Duration),
    Ready,
}

/// A body longer than this is cut: it is kept for people.
const MAX_BODY: usize = 16 * 1024;
const SLACK: Duration = Duration::from_secs(10);

// === impl Readiness ===

impl Readiness {
    /// `None` for an app without a readiness check. The first probe is due at once.
    pub fn new(app: &Arc<App>, task: &TaskId, target: Target, now: Duration) -> Option<Self> {
        app.readiness_checks.first()?;
        let phase = Phase::Waiting(now);
        Some(Self { app: app.clone(), task: task.clone(), target, round: 0, phase, result: None })
    }

    /// The addresses became known, or changed.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// When [`Readiness::tick`] has something to do; never again once it is ready.
    pub fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting(until) | Phase::Probing(until) => Some(until),
            Phase::Ready => None,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The last result, before the first one nothing.
    pub fn result(&self) -> Option<&ReadinessResult> {
        self.result.as_ref()
    }

    /// Starts the probe if it is due.
    pub fn tick(&mut self, now: Now, probes: &mut Vec<Probe>) {
        if self.due().is_none_or(|due| due > now.mono) {
            return;
        }
        let Some(check) = self.app.readiness_checks.first().cloned() else { return };
        if matches!(self.phase, Phase::Probing(_)) {
            return self.failed(now, &check, "no answer");
        }
        self.round += 1;
        match self.target.readiness(&self.app, &check) {
            Ok(target) => {
                let patience = Duration::from_secs(check.timeout_seconds).saturating_add(SLACK);
                self.phase = Phase::Probing(now.mono.saturating_add(patience));
                let key = ProbeKey { kind: ProbeKind::Readiness, round: self.round };
                let timeout = Duration::from_secs(check.timeout_seconds.max(1));
                let body_limit = if check.preserve_last_response { MAX_BODY } else { 0 };
                probes.push(Probe { key, target, timeout, body_limit });
            }
            Err(cause) => self.failed(now, &check, &cause),
        }
    }

    /// Takes the outcome of a probe; returns whether there is a new result.
    pub fn finish(&mut self, now: Now, key: ProbeKey, outcome: &ProbeOutcome) -> bool {
        let expected = key.kind == ProbeKind::Readiness
            && key.round == self.round
            && matches!(self.phase, Phase::Probing(_));
        let Some(check) = self.app.readiness_checks.first().filter(|_| expected).cloned() else {
            return false;
        };
        match outcome {
            ProbeOutcome::Response { status, content_type, body } => {
                let ready = check.http_status_codes_for_ready.contains(status);
                let media = content_type.split(';').next().unwrap_or_default().trim();
                let response = ReadinessResponse {
                    status: *status,
                    content_type: media.to_owned(),
                    body: cut(body).to_owned(),
                };
                self.note(now, &check, ready, response);
            }
            ProbeOutcome::Connected => self.failed(now, &check, "not an HTTP answer"),
            ProbeOutcome::Failed(cause) => self.failed(now, &check, cause),
            ProbeOutcome::TimedOut => {
                let cause = format!("no answer within {} s", check.timeout_seconds);
                self.failed(now, &check, &cause);
            }
            ProbeOutcome::NotMade => {
                self.phase = Phase::Waiting(now.mono.saturating_add(pause(&check)));
                return false;
            }
        }
        true
    }

    /// What could not be asked counts as an answer with status 504.
    fn failed(&mut self, now: Now, check: &ReadinessCheck, cause: &str) {
        let url = self.target.readiness(&self.app, check);
        let url = url.as_ref().map(super::url).unwrap_or_default();
        let response = ReadinessResponse {
            status: 504,
            content_type: "text/plain".to_owned(),
            body: format!("Marathon could not query {url}: {cause}"),
        };
        self.note(now, check, false, response);
    }

    fn note(&mut self, now: Now, check: &ReadinessCheck, ready: bool, response: ReadinessResponse) {
        let next = now.mono.saturating_add(pause(check));
        self.phase = if ready { Phase::Ready } else { Phase::Waiting(next) };
        self.result = Some(ReadinessResult {
            name: check.name.clone(),
            task: self.task.clone(),
            ready,
            last_response: check.preserve_last_response.then_some(response),
        });
    }
}

fn pause(check: &ReadinessCheck) -> Duration {
    Duration::from_secs(check.interval_seconds.max(1))
}

fn cut(body: &str) -> &str {
    let mut end = body.len().min(MAX_BODY);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    body.get(..end).unwrap_or_default()
}
