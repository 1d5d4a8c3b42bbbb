//! The health of one launch of an instance.

use super::{Probe, ProbeKey, ProbeKind, Target};
use crate::{HealthState, ProbeOutcome};
use marathon_model::{
    TaskId, Timestamp,
    app::{App, HealthCheck, HealthProbe},
};
use mesos_messages::time::Now;
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

/// No instance waits longer than this for its first probe.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// Over so long the first probes are spread of those that a new process takes over.
const SPREAD: Duration = Duration::from_secs(15);
/// An answer that is later than the probe's own timeout and this will not come at all.
const SLACK: Duration = Duration::from_secs(10);

/// Probes and judges one running instance; made when it starts to run.
#[derive(Clone, Debug)]
pub struct Monitor {
    app: Arc<App>,
    target: Target,
    /// When it began to run: the grace period counts from here.
    running_since: Duration,
    checks: Vec<Watched>,
    /// What is known, in the order of the app's checks.
    states: Vec<HealthState>,
}

/// The schedule of one check.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// `None`: the executor makes it.
    due: Option<Duration>,
    round: u64,
    in_flight: bool,
}

/// What a result means for the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A failure that counts: `failed_health_check_event`.
    Failed { check: usize },
    /// `health_status_changed_event`.
    Changed { check: usize, alive: bool },
    /// Too many failures in a row: the instance must go, and why.
    Kill { check: usize, reason: String },
}

// === impl Monitor ===

impl Monitor {
    /// `None` for an app without health checks. `known` are the results from before a restart of
    /// the orchestrator; without them the instance counts as never probed.
    pub fn new(
        app: &Arc<App>,
        task: &TaskId,
        target: Target,
        running_since: Duration,
        now: Duration,
        known: &[HealthState],
    ) -> Option<Self> {
        if app.health_checks.is_empty() {
            return None;
        }
        let due = |check: &HealthCheck| {
            let first = running_since.saturating_add(first(check, task));
            // Of those that have run for long, not all are asked at once.
            let spread = interval(check).min(SPREAD).mul_f64(fraction(task));
            first.max(now.saturating_add(spread))
        };
        let checks = app.health_checks.iter().map(|check| Watched {
            due: is_own(check).then(|| due(check)),
            round: 0,
            in_flight: false,
        });
        let checks = checks.collect();
        let mut states = known.to_vec();
        states.resize(app.health_checks.len(), HealthState::default());
        Some(Self { app: app.clone(), target, running_since, checks, states })
    }

    /// The addresses became known, or changed.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// When [`Monitor::tick`] has something to do, by the monotonic clock.
    pub fn due(&self) -> Option<Duration> {
        self.checks.iter().filter_map(|check| check.due).min()
    }

    /// Starts the probes that are due. One that could not even be started, because there is no
    /// address, has failed at once, if the instance is `running`; hence the verdicts.
    pub fn tick(
        &mut self,
        now: Now,
        running: bool,
        probes: &mut Vec<Probe>,
        verdicts: &mut Vec<Verdict>,
    ) {
        for at in 0..self.checks.len() {
            let due = self.checks.get(at).and_then(|check| check.due);
            if due.is_some_and(|due| due <= now.mono) {
                self.probe(at, now, running, probes, verdicts);
            }
        }
    }

    /// Takes the outcome of a probe. While the instance is not `running` (it is unreachable, or
    /// already asked to go) failures mean nothing.
    pub fn finish(
        &mut self,
        now: Now,
        key: ProbeKey,
        outcome: &ProbeOutcome,
        running: bool,
        verdicts: &mut Vec<Verdict>,
    ) {
        let ProbeKind::Health(at) = key.kind else { return };
        let at = usize::from(at);
        let (Some(watched), Some(check)) =
            (self.checks.get_mut(at), self.app.health_checks.get(at))
        else {
            return;
        };
        if key.round != watched.round || !watched.in_flight {
            return;
        }
        watched.in_flight = false;
        // The interval counts from start to start; a probe that took longer is followed at once.
        let started = watched.due.map(|due| due.saturating_sub(allowance(check)));
        let next = started.map(|started| started.saturating_add(interval(check)));
        watched.due = next.map(|next| next.max(now.mono));
        match judge(check, outcome) {
            Judgement::Good => self.good(at, now, verdicts),
            Judgement::Bad(cause) => self.bad(at, now, cause, running, verdicts),
            Judgement::Ignored => {}
        }
    }

    /// Takes what the executor found out, from a status of the task.
    pub fn reported(&mut self, now: Now, healthy: bool, verdicts: &mut Vec<Verdict>) {
        let own = |check: &Watched| check.due.is_none() && !check.in_flight;
        let Some(at) = self.checks.iter().position(own) else { return };
        if healthy {
            self.good(at, now, verdicts);
        } else {
            // The executor has its own count, and kills by itself.
            let before = self.is_alive(at);
            self.fail(at, now, String::new(), verdicts);
            self.changed(at, before, verdicts);
        }
    }

    /// What is known from each check, in the order of the app's checks.
    pub fn states(&self) -> &[HealthState] {
        &self.states
    }

    /// Healthy if every check says so, unhealthy if one says otherwise, else not known yet.
    pub fn healthy(&self) -> Option<bool> {
        let known = || self.states.iter().map(known);
        if known().any(|known| known == Some(false)) {
            return Some(false);
        }
        known().all(|known| known == Some(true)).then_some(true)
    }

    fn probe(
        &mut self,
        at: usize,
        now: Now,
        running: bool,
        probes: &mut Vec<Probe>,
        verdicts: &mut Vec<Verdict>,
    ) {
        let (Some(watched), Some(check)) =
            (self.checks.get_mut(at), self.app.health_checks.get(at))
        else {
            return;
        };
        if watched.in_flight {
            watched.in_flight = false;
            watched.due = Some(now.mono.saturating_add(interval(check)));
            // Whoever makes the probes tells of each how it ended. Nothing was told.
            return;
        }
        watched.round += 1;
        match self.target.health(&self.app, &check.probe) {
            Ok(target) => {
                watched.in_flight = true;
                watched.due = Some(now.mono.saturating_add(allowance(check)));
                let index = u16::try_from(at).unwrap_or(u16::MAX);
                let key = ProbeKey { kind: ProbeKind::Health(index), round: watched.round };
                let timeout = Duration::from_secs(check.timeout_seconds.max(1));
                probes.push(Probe { key, target, timeout, body_limit: 0 });
            }
            Err(cause) => {
                watched.due = Some(now.mono.saturating_add(interval(check)));
                self.bad(at, now, cause, running, verdicts);
            }
        }
    }

    fn good(&mut self, at: usize, now: Now, verdicts: &mut Vec<Verdict>) {
        let before = self.is_alive(at);
        if let Some(state) = self.states.get_mut(at) {
            let at = Timestamp::from_wall(now.wall);
            state.first_success.get_or_insert(at);
            state.last_success = Some(at);
            state.consecutive_failures = 0;
            state.alive = true;
        }
        self.changed(at, before, verdicts);
    }

    fn bad(
        &mut self,
        at: usize,
        now: Now,
        cause: String,
        running: bool,
        verdicts: &mut Vec<Verdict>,
    ) {
        let (Some(check), Some(state)) = (self.app.health_checks.get(at), self.states.get(at))
        else {
            return;
        };
        let grace = Duration::from_secs(check.grace_period_seconds);
        let in_grace = self.running_since.saturating_add(grace) > now.mono;
        if !running || (state.first_success.is_none() && in_grace) {
            return;
        }
        let before = state.alive;
        // The count from before this failure decides, so that one more than said is suffered.
        let limit = check.max_consecutive_failures;
        let kill = limit > 0 && state.consecutive_failures >= limit;
        let last = state.last_failure_cause.clone();
        self.fail(at, now, cause, verdicts);
        if kill {
            let reason = last.unwrap_or_else(|| "unknown".to_owned());
            verdicts.push(Verdict::Kill { check: at, reason });
        }
        self.changed(at, before, verdicts);
    }

    fn fail(&mut self, at: usize, now: Now, cause: String, verdicts: &mut Vec<Verdict>) {
        if let Some(state) = self.states.get_mut(at) {
            state.last_failure = Some(Timestamp::from_wall(now.wall));
            state.last_failure_cause = Some(cause);
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            state.alive = false;
            verdicts.push(Verdict::Failed { check: at });
        }
    }

    fn is_alive(&self, at: usize) -> bool {
        self.states.get(at).is_some_and(|state| state.alive)
    }

    fn changed(&self, at: usize, before: bool, verdicts: &mut Vec<Verdict>) {
        let alive = self.is_alive(at);
        if alive != before {
            verdicts.push(Verdict::Changed { check: at, alive });
        }
    }
}

enum Judgement {
    Good,
    Bad(String),
    Ignored,
}

fn judge(check: &HealthCheck, outcome: &ProbeOutcome) -> Judgement {
    match outcome {
        ProbeOutcome::Connected => Judgement::Good,
        ProbeOutcome::Response { status: 200..400, .. } => Judgement::Good,
        ProbeOutcome::Response { status: 100..200, .. } if check.ignore_http1xx == Some(true) => {
            Judgement::Ignored
        }
        ProbeOutcome::Response { status, .. } => {
            Judgement::Bad(format!("{status} {}", phrase(*status)).trim_end().to_owned())
        }
        ProbeOutcome::Failed(cause) => Judgement::Bad(cause.clone()),
        ProbeOutcome::TimedOut => {
            Judgement::Bad(format!("no answer within {} s", check.timeout_seconds))
        }
        ProbeOutcome::NotMade => Judgement::Ignored,
    }
}

/// `None` before the first result that counts.
fn known(state: &HealthState) -> Option<bool> {
    let any = state.last_success.is_some() || state.last_failure.is_some();
    any.then_some(state.alive)
}

/// The words that go with a status.
fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

/// Whether the orchestrator makes the check itself.
fn is_own(check: &HealthCheck) -> bool {
    matches!(check.probe, HealthProbe::Http { .. } | HealthProbe::Tcp { .. })
}

fn interval(check: &HealthCheck) -> Duration {
    Duration::from_secs(check.interval_seconds.max(1))
}

fn allowance(check: &HealthCheck) -> Duration {
    Duration::from_secs(check.timeout_seconds).saturating_add(SLACK)
}

/// From the start of the instance to its first probe: at most the interval or five seconds.
/// Instances started together are spread over the second half of that, and stay so.
fn first(check: &HealthCheck, task: &TaskId) -> Duration {
    let half = interval(check).min(FIRST_PROBE) / 2;
    half.saturating_add(half.mul_f64(fraction(task)))
}

/// At least 0 and less than 1, always the same for a task.
fn fraction(task: &TaskId) -> f64 {
    let mut hasher = rustc_hash::FxHasher::default();
    task.hash(&mut hasher);
    (hasher.finish() >> 40) as f64 / f64::from(1u32 << 24)
}
