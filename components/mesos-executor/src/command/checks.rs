//! When checks run, and what their results mean for the task.

use mesos_messages::{
    time::from_seconds,
    v1::{
        CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, check_info, check_status_info,
        health_check, network_info::Protocol,
    },
};
use std::time::Duration;

/// Which of the two kinds a task may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Its result is passed on.
    Check,
    /// Its failures end the task.
    Health,
}

/// What to do to find out.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// Run a command; its status is the result.
    Command(CommandInfo),
    /// Fetch a URL; its status code is the result.
    Http(String),
    /// Connect; whether that worked is the result.
    Tcp {
        /// Whether to `::1` instead of `127.0.0.1`.
        ipv6: bool,
        /// Where.
        port: u16,
    },
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The command's exit status.
    ExitCode(i32),
    /// The status code of the HTTP answer.
    StatusCode(u32),
    /// Whether the connection was made.
    Connected(bool),
    /// Nothing: it could not be run, or took too long.
    Nothing,
}

/// What a check wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run it now.
    Run(Probe),
    /// End the run that takes too long.
    Abort,
    /// Tell the check's new result.
    Report(CheckStatusInfo),
    /// Tell a change of health.
    Health {
        /// The health now.
        healthy: bool,
        /// Too many failures in a row: the task must go.
        kill: bool,
    },
}

/// The schedule and the judgement of one check.
#[derive(Debug)]
pub struct Checker {
    probe: Probe,
    interval: Duration,
    timeout: Option<Duration>,
    phase: Phase,
    judge: Judge,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Duration },
    Running { until: Option<Duration> },
    Paused,
}

#[derive(Debug)]
enum Judge {
    Check { last: CheckStatusInfo },
    Health { never_healthy: bool, failures: u32, limit: u32, grace_until: Option<Duration> },
}

// === impl Checker ===

impl Checker {
    /// The check of a task started at `now`; `None` if it names nothing to do.
    pub fn check(info: &CheckInfo, now: Duration) -> Option<Self> {
        let probe = match info.r#type() {
            check_info::Type::Command => Probe::Command(info.command.as_ref()?.command.clone()),
            check_info::Type::Http => {
                let http = info.http.as_ref()?;
                let path = http.path.as_deref().unwrap_or_default();
                Probe::Http(url("http", false, http.port, path))
            }
            check_info::Type::Tcp => {
                Probe::Tcp { ipv6: false, port: port(info.tcp.as_ref()?.port) }
            }
            check_info::Type::Unknown => return None,
        };
        let judge = Judge::Check { last: empty_status(info) };
        let delay = seconds(info.delay_seconds());
        let (interval, timeout) =
            (seconds(info.interval_seconds()), seconds(info.timeout_seconds()));
        Some(Self::new(probe, now, delay, interval, timeout, judge))
    }

    /// The health check of a task started at `now`; `None` if it names nothing to do.
    pub fn health(info: &HealthCheck, now: Duration) -> Option<Self> {
        let probe = match health_type(info) {
            health_check::Type::Command => Probe::Command(info.command.clone()?),
            health_check::Type::Http => {
                let http = info.http.as_ref()?;
                let ipv6 = http.protocol() == Protocol::IPv6;
                let scheme = http.scheme.as_deref().unwrap_or("http");
                Probe::Http(url(scheme, ipv6, http.port, http.path.as_deref().unwrap_or_default()))
            }
            health_check::Type::Tcp => {
                let tcp = info.tcp.as_ref()?;
                Probe::Tcp { ipv6: tcp.protocol() == Protocol::IPv6, port: port(tcp.port) }
            }
            health_check::Type::Unknown => return None,
        };
        let grace = seconds(info.grace_period_seconds());
        let judge = Judge::Health {
            never_healthy: true,
            failures: 0,
            limit: info.consecutive_failures(),
            grace_until: (!grace.is_zero()).then(|| now.saturating_add(grace)),
        };
        let delay = seconds(info.delay_seconds());
        let (interval, timeout) =
            (seconds(info.interval_seconds()), seconds(info.timeout_seconds()));
        Some(Self::new(probe, now, delay, interval, timeout, judge))
    }

    fn new(
        probe: Probe,
        now: Duration,
        delay: Duration,
        interval: Duration,
        timeout: Duration,
        judge: Judge,
    ) -> Self {
        // Zero stands for no limit.
        let timeout = (!timeout.is_zero()).then_some(timeout);
        let phase = Phase::Waiting { until: now.saturating_add(delay) };
        Self { probe, interval, timeout, phase, judge }
    }

    /// When [`Checker::tick`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running { until } => until,
            Phase::Paused => None,
        }
    }

    /// Starts a run that is due, or gives one up that takes too long.
    pub fn tick(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Waiting { until } if until <= now => {
                let until = self.timeout.map(|timeout| now.saturating_add(timeout));
                self.phase = Phase::Running { until };
                actions.push(Action::Run(self.probe.clone()));
            }
            Phase::Running { until: Some(until) } if until <= now => {
                actions.push(Action::Abort);
                self.finish(now, Finding::Nothing, actions);
            }
            _ => {}
        }
    }

    /// Takes the result of a run. One that comes after it was given up counts for nothing.
    pub fn finish(&mut self, now: Duration, finding: Finding, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        self.phase = Phase::Waiting { until: now.saturating_add(self.interval) };
        self.judge.judge(now, finding, actions);
    }

    /// Runs no more. Whether a run is under way and must be ended.
    pub fn pause(&mut self) -> bool {
        let running = matches!(self.phase, Phase::Running { .. });
        self.phase = Phase::Paused;
        running
    }
}

// === impl Judge ===

impl Judge {
    fn judge(&mut self, now: Duration, finding: Finding, actions: &mut Vec<Action>) {
        match self {
            Self::Check { last } => {
                let status = status(last.r#type(), finding);
                if status != *last {
                    *last = status;
                    actions.push(Action::Report(status));
                }
            }
            Self::Health { never_healthy, failures, limit, grace_until } => {
                if healthy(finding) {
                    if *never_healthy || *failures > 0 {
                        actions.push(Action::Health { healthy: true, kill: false });
                    }
                    (*never_healthy, *failures) = (false, 0);
                } else if !(*never_healthy && grace_until.is_some_and(|until| now <= until)) {
                    *failures = failures.saturating_add(1);
                    let kill = failures >= limit;
                    actions.push(Action::Health { healthy: false, kill });
                }
            }
        }
    }
}

/// The status every update of a checked task carries until there is a result.
pub fn empty_status(info: &CheckInfo) -> CheckStatusInfo {
    status(info.r#type(), Finding::Nothing)
}

fn status(kind: check_info::Type, finding: Finding) -> CheckStatusInfo {
    let mut status = CheckStatusInfo { r#type: Some(kind.into()), ..Default::default() };
    match kind {
        check_info::Type::Command => {
            let exit_code = match finding {
                Finding::ExitCode(code) => Some(code),
                _ => None,
            };
            status.command = Some(check_status_info::Command { exit_code });
        }
        check_info::Type::Http => {
            let status_code = match finding {
                Finding::StatusCode(code) => Some(code),
                _ => None,
            };
            status.http = Some(check_status_info::Http { status_code });
        }
        check_info::Type::Tcp => {
            let succeeded = match finding {
                Finding::Connected(made) => Some(made),
                _ => None,
            };
            status.tcp = Some(check_status_info::Tcp { succeeded });
        }
        check_info::Type::Unknown => {}
    }
    status
}

fn healthy(finding: Finding) -> bool {
    match finding {
        Finding::ExitCode(code) => code == 0,
        Finding::StatusCode(code) => (200..400).contains(&code),
        Finding::Connected(made) => made,
        Finding::Nothing => false,
    }
}

/// Health checks of old clients name no type; masters fill it in from what they do name.
fn health_type(info: &HealthCheck) -> health_check::Type {
    match (info.r#type, &info.command, &info.http) {
        (Some(_), ..) => info.r#type(),
        (None, Some(_), _) => health_check::Type::Command,
        (None, None, Some(_)) => health_check::Type::Http,
        (None, None, None) => health_check::Type::Unknown,
    }
}

fn url(scheme: &str, ipv6: bool, port: u32, path: &str) -> String {
    let host = if ipv6 { "[::1]" } else { "127.0.0.1" };
    format!("{scheme}://{host}:{port}{path}")
}

/// What is no port becomes one that nobody can listen on: the check fails, as it should.
fn port(port: u32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}

fn seconds(value: f64) -> Duration {
    from_seconds(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn command() -> CommandInfo {
        CommandInfo { value: Some("true".into()), ..Default::default() }
    }

    fn health_check() -> HealthCheck {
        HealthCheck {
            r#type: Some(health_check::Type::Command.into()),
            command: Some(command()),
            ..Default::default()
        }
    }

    /// Runs the check at its next deadline, which must be `when`, and gives it this result.
    fn round(checker: &mut Checker, when: u64, finding: Finding) -> Vec<Action> {
        assert_eq!(checker.deadline(), Some(at(when)));
        let mut actions = Vec::new();
        checker.tick(at(when), &mut actions);
        assert!(matches!(actions.as_slice(), [Action::Run(_)]), "{actions:?}");
        actions.clear();
        checker.finish(at(when), finding, &mut actions);
        actions
    }

    #[test]
    fn a_health_check_has_the_originals_defaults() {
        let mut checker = Checker::health(&health_check(), at(100)).unwrap();
        // Delay 15 s, interval 10 s; the grace of 10 s ends before the first run.
        let unhealthy = |kill| vec![Action::Health { healthy: false, kill }];
        assert_eq!(round(&mut checker, 115, Finding::ExitCode(1)), unhealthy(false));
        assert_eq!(round(&mut checker, 125, Finding::Nothing), unhealthy(false));
        assert_eq!(round(&mut checker, 135, Finding::ExitCode(1)), unhealthy(true));
    }

    #[test]
    fn a_success_ends_a_row_of_failures_and_is_told_once() {
        let mut info = health_check();
        (info.delay_seconds, info.grace_period_seconds) = (Some(0.0), Some(0.0));
        let mut checker = Checker::health(&info, at(0)).unwrap();
        let healthy = vec![Action::Health { healthy: true, kill: false }];
        let unhealthy = vec![Action::Health { healthy: false, kill: false }];
        assert_eq!(round(&mut checker, 0, Finding::ExitCode(0)), healthy);
        assert_eq!(round(&mut checker, 10, Finding::ExitCode(0)), []);
        assert_eq!(round(&mut checker, 20, Finding::ExitCode(2)), unhealthy);
        assert_eq!(round(&mut checker, 30, Finding::ExitCode(2)), unhealthy);
        assert_eq!(round(&mut checker, 40, Finding::ExitCode(0)), healthy);
        assert_eq!(round(&mut checker, 50, Finding::ExitCode(2)), unhealthy);
    }

    #[test]
    fn failures_within_the_grace_count_only_after_a_success() {
        let mut info = health_check();
        (info.delay_seconds, info.grace_period_seconds) = (Some(0.0), Some(60.0));
        let mut checker = Checker::health(&info, at(0)).unwrap();
        assert_eq!(round(&mut checker, 0, Finding::ExitCode(1)), []);
        assert_eq!(round(&mut checker, 10, Finding::ExitCode(0)).len(), 1);
        assert_eq!(
            round(&mut checker, 20, Finding::ExitCode(1)),
            [Action::Health { healthy: false, kill: false }]
        );
    }

    #[test]
    fn a_run_that_takes_too_long_is_ended_and_fails() {
        let mut info = health_check();
        (info.delay_seconds, info.consecutive_failures) = (Some(0.0), Some(1));
        info.grace_period_seconds = Some(0.0);
        let mut checker = Checker::health(&info, at(0)).unwrap();
        let mut actions = Vec::new();
        checker.tick(at(0), &mut actions);
        assert_eq!(checker.deadline(), Some(at(20)));
        checker.tick(at(20), &mut actions);
        assert_eq!(actions[1..], [Action::Abort, Action::Health { healthy: false, kill: true }]);
        actions.clear();
        checker.finish(at(21), Finding::ExitCode(0), &mut actions);
        assert_eq!(actions, [], "a late result counts for nothing");
    }

    #[test]
    fn http_health_is_a_status_from_200_to_399() {
        for (code, expected) in [(199, false), (200, true), (399, true), (400, false)] {
            assert_eq!(healthy(Finding::StatusCode(code)), expected, "{code}");
        }
    }

    #[test]
    fn urls_are_the_originals() {
        let http = health_check::HttpCheckInfo {
            port: 8080,
            path: Some("/health".into()),
            scheme: Some("https".into()),
            protocol: Some(Protocol::IPv6.into()),
            ..Default::default()
        };
        let info = HealthCheck { http: Some(http), ..Default::default() };
        let checker = Checker::health(&info, at(0)).unwrap();
        assert_eq!(checker.probe, Probe::Http("https://[::1]:8080/health".into()));
    }

    #[test]
    fn a_check_reports_changes_only() {
        let info = CheckInfo {
            r#type: Some(check_info::Type::Tcp.into()),
            tcp: Some(check_info::Tcp { port: 80 }),
            delay_seconds: Some(0.0),
            ..Default::default()
        };
        let mut checker = Checker::check(&info, at(0)).unwrap();
        let told =
            |made| vec![Action::Report(status(check_info::Type::Tcp, Finding::Connected(made)))];
        assert_eq!(round(&mut checker, 0, Finding::Connected(false)), told(false));
        assert_eq!(round(&mut checker, 10, Finding::Connected(false)), []);
        assert_eq!(round(&mut checker, 20, Finding::Connected(true)), told(true));
        let nothing = vec![Action::Report(empty_status(&info))];
        assert_eq!(round(&mut checker, 30, Finding::Nothing), nothing);
    }
}
