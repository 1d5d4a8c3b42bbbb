//! Schedules and judgements, with a clock of our own.

use super::*;
use crate::{
    HealthState, ProbeOutcome,
    launch::testing::{app, container, definition, instance, mapping, network},
};
use marathon_model::{
    App, TaskId,
    app::{ContainerKind, HealthCheck, HealthProbe, NetworkMode, PortRef, ReadinessCheck},
};
use mesos_messages::time::Now;
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};

const WALL: u64 = 1_600_000_000;

fn at(seconds: f64) -> Now {
    let mono = Duration::from_secs_f64(seconds);
    Now { mono, wall: Duration::from_secs(WALL) + mono }
}

fn task(app: &App, number: u128) -> TaskId {
    TaskId { instance: instance(app, number), incarnation: 1 }
}

fn target() -> Target {
    Target { host: "10.0.0.1".to_owned(), host_ports: vec![31_000], ips: Vec::new() }
}

fn http(path: Option<&str>) -> HealthCheck {
    HealthCheck {
        probe: HealthProbe::Http {
            https: false,
            path: path.map(str::to_owned),
            port: PortRef::Index(0),
        },
        grace_period_seconds: 20,
        interval_seconds: 10,
        timeout_seconds: 3,
        max_consecutive_failures: 2,
        delay_seconds: 15,
        ignore_http1xx: Some(false),
    }
}

fn checked(checks: Vec<HealthCheck>) -> Arc<App> {
    let mut app = app();
    app.port_definitions = vec![definition(10_000, Some("http-api"))];
    app.health_checks = checks;
    Arc::new(app)
}

fn monitor(app: &Arc<App>) -> Monitor {
    Monitor::new(app, &task(app, 1), target(), at(100.0).mono, at(100.0).mono, &[]).unwrap()
}

fn status(status: u16) -> ProbeOutcome {
    let (content_type, body) = ("text/plain; charset=utf-8".to_owned(), "hi".to_owned());
    ProbeOutcome::Response { status, content_type, body }
}

/// Runs to the next probe and answers it half a second later.
fn round(monitor: &mut Monitor, outcome: &ProbeOutcome) -> (f64, Vec<Verdict>) {
    let due = monitor.due().unwrap().as_secs_f64();
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    monitor.tick(at(due), true, &mut probes, &mut verdicts);
    assert_eq!(probes.len(), 1, "{verdicts:?}");
    monitor.finish(at(due + 0.5), probes[0].key, outcome, true, &mut verdicts);
    (due, verdicts)
}

#[test]
fn the_first_probe_comes_soon_and_the_others_at_the_interval() {
    let app = checked(vec![http(Some("health"))]);
    let mut monitor = monitor(&app);
    let first = monitor.due().unwrap().as_secs_f64();
    assert!((102.5..=105.0).contains(&first), "{first}");
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    monitor.tick(at(first - 0.1), true, &mut probes, &mut verdicts);
    assert!(probes.is_empty());
    monitor.tick(at(first), true, &mut probes, &mut verdicts);
    let probe = probes.pop().unwrap();
    let (host, path) = ("10.0.0.1".to_owned(), "/health".to_owned());
    assert_eq!(probe.target, ProbeTarget::Http { https: false, host, port: 31_000, path });
    assert_eq!(probe.timeout, Duration::from_secs(3));
    assert_eq!(monitor.healthy(), None);
    monitor.finish(at(first + 1.0), probe.key, &status(200), true, &mut verdicts);
    assert_eq!(verdicts, [Verdict::Changed { check: 0, alive: true }]);
    assert_eq!(monitor.healthy(), Some(true));
    let (second, verdicts) = round(&mut monitor, &status(399));
    assert!((second - first - 10.0).abs() < 0.001, "{first} {second}");
    assert_eq!(verdicts, []);
}

#[test]
fn instances_started_together_are_not_probed_together() {
    let app = checked(vec![http(None)]);
    let dues: BTreeSet<Duration> = (0..100)
        .map(|number| {
            Monitor::new(&app, &task(&app, number), target(), at(0.0).mono, at(0.0).mono, &[])
        })
        .map(|monitor| monitor.unwrap().due().unwrap())
        .collect();
    assert!(dues.len() > 90, "{}", dues.len());
    let spread = *dues.last().unwrap() - *dues.first().unwrap();
    assert!(spread > Duration::from_secs(2), "{spread:?}");
}

#[test]
fn failures_before_the_first_success_are_ignored_during_the_grace_period() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    let (_, verdicts) = round(&mut monitor, &status(503));
    assert_eq!((verdicts.len(), monitor.healthy()), (0, None));
    // The third probe is after the 20 s.
    round(&mut monitor, &status(503));
    let (_, verdicts) = round(&mut monitor, &status(503));
    assert_eq!(verdicts, [Verdict::Failed { check: 0 }]);
    assert_eq!(monitor.healthy(), Some(false));
    let state = &monitor.states()[0];
    assert_eq!(state.last_failure_cause.as_deref(), Some("503 Service Unavailable"));
    assert!(state.last_failure.is_some() && state.first_success.is_none());
}

#[test]
fn a_probe_that_was_not_made_says_nothing() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    round(&mut monitor, &status(200));
    let known = monitor.states().to_vec();
    for _ in 0..5 {
        let (_, verdicts) = round(&mut monitor, &ProbeOutcome::NotMade);
        assert_eq!(verdicts, []);
    }
    assert_eq!(monitor.states(), known);
}

#[test]
fn a_success_ends_the_grace_period() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    round(&mut monitor, &status(200));
    let (_, verdicts) = round(&mut monitor, &ProbeOutcome::Failed("refused".to_owned()));
    let expected = [Verdict::Failed { check: 0 }, Verdict::Changed { check: 0, alive: false }];
    assert_eq!(verdicts, expected);
    let (_, verdicts) = round(&mut monitor, &status(204));
    assert_eq!(verdicts, [Verdict::Changed { check: 0, alive: true }]);
    assert_eq!(monitor.states()[0].consecutive_failures, 0);
}

#[test]
fn one_failure_more_than_said_kills() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    round(&mut monitor, &status(200));
    let kills =
        |verdicts: &[Verdict]| verdicts.iter().any(|one| matches!(one, Verdict::Kill { .. }));
    for failure in 1..=2 {
        let (_, verdicts) = round(&mut monitor, &ProbeOutcome::TimedOut);
        assert!(!kills(&verdicts), "failure {failure}");
    }
    let (_, verdicts) = round(&mut monitor, &status(500));
    let reason = "no answer within 3 s".to_owned();
    assert!(verdicts.contains(&Verdict::Kill { check: 0, reason }), "{verdicts:?}");
}

#[test]
fn zero_allowed_failures_never_kill() {
    let mut check = http(None);
    check.max_consecutive_failures = 0;
    let app = checked(vec![check]);
    let mut monitor = monitor(&app);
    for _ in 0..20 {
        let (_, verdicts) = round(&mut monitor, &status(500));
        assert!(verdicts.iter().all(|one| matches!(one, Verdict::Failed { .. })), "{verdicts:?}");
    }
    assert_eq!(monitor.states()[0].consecutive_failures, 18);
}

#[test]
fn informational_answers_may_be_ignored() {
    let mut check = http(None);
    check.ignore_http1xx = Some(true);
    let app = checked(vec![check]);
    let mut patient = monitor(&app);
    round(&mut patient, &status(200));
    assert_eq!(round(&mut patient, &status(100)).1, []);
    let app = checked(vec![http(None)]);
    let mut strict = monitor(&app);
    round(&mut strict, &status(200));
    assert_ne!(round(&mut strict, &status(100)).1, []);
}

#[test]
fn all_checks_must_be_good() {
    let tcp = HealthCheck { probe: HealthProbe::Tcp { port: PortRef::Number(99) }, ..http(None) };
    let app = checked(vec![http(None), tcp]);
    let mut monitor = monitor(&app);
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    monitor.tick(at(130.0), true, &mut probes, &mut verdicts);
    assert_eq!(probes[1].target, ProbeTarget::Tcp { host: "10.0.0.1".to_owned(), port: 99 });
    monitor.finish(at(130.0), probes[0].key, &status(200), true, &mut verdicts);
    assert_eq!(monitor.healthy(), None);
    monitor.finish(at(130.0), probes[1].key, &ProbeOutcome::Connected, true, &mut verdicts);
    assert_eq!(monitor.healthy(), Some(true));
    monitor.tick(at(140.0), true, &mut probes, &mut verdicts);
    monitor.finish(at(140.0), probes[3].key, &ProbeOutcome::TimedOut, true, &mut verdicts);
    assert_eq!(monitor.healthy(), Some(false));
}

#[test]
fn what_comes_late_or_twice_counts_for_nothing() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    monitor.tick(at(130.0), true, &mut probes, &mut verdicts);
    let first = probes.pop().unwrap().key;
    // No answer at all, not even that it took too long: that is nobody's fault.
    monitor.tick(at(143.0), true, &mut probes, &mut verdicts);
    assert_eq!((probes.len(), verdicts.len()), (0, 0));
    monitor.finish(at(144.0), first, &status(200), true, &mut verdicts);
    assert_eq!(monitor.healthy(), None);
    round(&mut monitor, &status(200));
    assert_eq!(monitor.healthy(), Some(true));
    monitor.finish(at(200.0), first, &status(500), true, &mut verdicts);
    assert_eq!(monitor.healthy(), Some(true));
}

#[test]
fn an_address_that_is_not_known_is_a_failure_of_running_instances_only() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    monitor.set_target(Target { host_ports: Vec::new(), ..target() });
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    for time in [130.0, 140.0, 150.0, 160.0] {
        monitor.tick(at(time), false, &mut probes, &mut verdicts);
    }
    assert_eq!((probes.len(), verdicts.len(), monitor.healthy()), (0, 0, None));
    monitor.tick(at(170.0), true, &mut probes, &mut verdicts);
    assert_eq!((probes.len(), verdicts.len(), monitor.healthy()), (0, 1, Some(false)));
}

#[test]
fn an_instance_that_does_not_run_is_not_blamed() {
    let app = checked(vec![http(None)]);
    let mut monitor = monitor(&app);
    round(&mut monitor, &status(200));
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        monitor.tick(
            Now { mono: monitor.due().unwrap(), ..at(0.0) },
            true,
            &mut probes,
            &mut verdicts,
        );
        let key = probes.pop().unwrap().key;
        monitor.finish(at(150.0), key, &ProbeOutcome::TimedOut, false, &mut verdicts);
    }
    assert_eq!((verdicts.len(), monitor.healthy()), (0, Some(true)));
}

#[test]
fn what_the_executor_says() {
    let probe = HealthProbe::Command("true".to_owned());
    let app = checked(vec![HealthCheck { probe, ..http(None) }]);
    let mut monitor = monitor(&app);
    assert_eq!((monitor.due(), monitor.healthy()), (None, None));
    let mut verdicts = Vec::new();
    monitor.reported(at(101.0), true, &mut verdicts);
    assert_eq!(verdicts, [Verdict::Changed { check: 0, alive: true }]);
    verdicts.clear();
    for _ in 0..9 {
        monitor.reported(at(102.0), false, &mut verdicts);
    }
    assert!(!verdicts.iter().any(|one| matches!(one, Verdict::Kill { .. })));
    assert_eq!(monitor.healthy(), Some(false));
}

#[test]
fn results_survive_a_restart_of_the_orchestrator() {
    let app = checked(vec![http(None)]);
    let mut first = monitor(&app);
    round(&mut first, &status(200));
    let known: Vec<HealthState> = first.states().to_vec();
    let again =
        Monitor::new(&app, &task(&app, 1), target(), at(100.0).mono, at(100.0).mono, &known)
            .unwrap();
    assert_eq!(again.healthy(), Some(true));
    assert!(
        Monitor::new(
            &Arc::new(crate::launch::testing::app()),
            &task(&app, 1),
            target(),
            Duration::ZERO,
            Duration::ZERO,
            &[]
        )
        .is_none()
    );
}

#[test]
fn where_checks_go() {
    let mut app = app();
    app.networks = vec![network(NetworkMode::Container, Some("dcos"))];
    let mappings = vec![mapping(80, None), mapping(81, Some(0)), mapping(0, Some(0))];
    app.container = Some(container(ContainerKind::Mesos, mappings));
    let mut target = target();
    target.host_ports = vec![31_000, 31_001];
    let find = |target: &Target, port| {
        target.health(&app, &HealthProbe::Tcp { port }).map(|found| url(&found))
    };
    let unknown = "Health check failed: unable to get the task's effective IP address";
    assert_eq!(find(&target, PortRef::Index(0)), Err(unknown.to_owned()));
    target.ips = vec!["fd01::2".to_owned()];
    assert_eq!(find(&target, PortRef::Index(0)), Ok("tcp://[fd01::2]:80".to_owned()));
    assert_eq!(find(&target, PortRef::Index(1)), Ok("tcp://10.0.0.1:31000".to_owned()));
    assert_eq!(find(&target, PortRef::Index(2)), Ok("tcp://10.0.0.1:31001".to_owned()));
    assert_eq!(find(&target, PortRef::Number(5)), Ok("tcp://[fd01::2]:5".to_owned()));
    assert!(find(&target, PortRef::Index(3)).is_err());
}

#[test]
fn no_address_is_a_failure_after_the_grace_period() {
    let probe = HealthProbe::Tcp { port: PortRef::Index(7) };
    let app = checked(vec![HealthCheck { probe, grace_period_seconds: 0, ..http(None) }]);
    let mut monitor = monitor(&app);
    let (mut probes, mut verdicts) = (Vec::new(), Vec::new());
    monitor.tick(at(106.0), true, &mut probes, &mut verdicts);
    assert_eq!((probes.len(), verdicts.as_slice()), (0, &[Verdict::Failed { check: 0 }][..]));
    assert_eq!(monitor.due(), Some(at(116.0).mono));
}

proptest! {
    #[test]
    fn the_count_of_failures_decides(
        outcomes in prop::collection::vec(prop::bool::weighted(0.4), 1..60),
        limit in 0u32..5,
        grace in 0u64..60,
    ) {
        let check = HealthCheck { max_consecutive_failures: limit, grace_period_seconds: grace, ..http(None) };
        let app = checked(vec![check]);
        let mut monitor = monitor(&app);
        let (mut failures, mut ever) = (0, false);
        for good in outcomes {
            let (due, verdicts) = round(&mut monitor, &status(if good { 200 } else { 500 }));
            let killed = verdicts.iter().any(|one| matches!(one, Verdict::Kill { .. }));
            if good {
                (failures, ever) = (0, true);
                prop_assert!(!killed);
            } else if ever || due + 0.5 >= 100.0 + grace as f64 {
                prop_assert_eq!(killed, limit > 0 && failures >= limit);
                failures += 1;
            } else {
                prop_assert!(verdicts.is_empty());
            }
            let state = &monitor.states()[0];
            prop_assert_eq!(state.consecutive_failures, failures);
            prop_assert_eq!(state.alive, ever && failures == 0);
        }
    }
}

// === readiness ===

fn ready_app(keep: bool) -> Arc<App> {
    let mut app = Arc::unwrap_or_clone(checked(Vec::new()));
    app.readiness_checks = vec![ReadinessCheck {
        name: "readinessCheck".to_owned(),
        https: false,
        path: "/ready".to_owned(),
        port_name: "http-api".to_owned(),
        interval_seconds: 30,
        timeout_seconds: 10,
        http_status_codes_for_ready: [200, 202].into(),
        preserve_last_response: keep,
    }];
    Arc::new(app)
}

#[test]
fn readiness_is_asked_until_the_first_good_answer() {
    let app = ready_app(true);
    let mut ready = Readiness::new(&app, &task(&app, 1), target(), at(5.0).mono).unwrap();
    let mut probes = Vec::new();
    ready.tick(at(5.0), &mut probes);
    let probe = probes.pop().unwrap();
    assert_eq!(url(&probe.target), "http://10.0.0.1:31000/ready");
    assert!(probe.body_limit > 0);
    assert!(ready.finish(at(6.0), probe.key, &status(503)));
    let result = ready.result().unwrap();
    let response = result.last_response.as_ref().unwrap();
    assert!(!result.ready && !ready.is_ready());
    assert_eq!((response.status, response.content_type.as_str()), (503, "text/plain"));
    assert_eq!(ready.due(), Some(at(36.0).mono));
    ready.tick(at(36.0), &mut probes);
    let failed = ProbeOutcome::Failed("refused".to_owned());
    assert!(ready.finish(at(37.0), probes.pop().unwrap().key, &failed));
    let response = ready.result().unwrap().last_response.clone().unwrap();
    assert_eq!(response.status, 504);
    assert_eq!(response.body, "Marathon could not query http://10.0.0.1:31000/ready: refused");
    ready.tick(at(80.0), &mut probes);
    let key = probes.pop().unwrap().key;
    assert!(ready.finish(at(80.0), key, &status(202)));
    assert!(!ready.finish(at(80.0), key, &status(500)));
    assert!(ready.is_ready() && ready.result().unwrap().ready && ready.due().is_none());
}

#[test]
fn the_last_response_is_kept_only_if_asked_for() {
    let app = ready_app(false);
    let mut ready = Readiness::new(&app, &task(&app, 1), target(), at(0.0).mono).unwrap();
    let mut probes = Vec::new();
    ready.tick(at(0.0), &mut probes);
    assert_eq!(probes[0].body_limit, 0);
    ready.finish(at(0.0), probes[0].key, &status(404));
    assert_eq!(ready.result().unwrap().last_response, None);
    assert!(
        Readiness::new(&checked(Vec::new()), &task(&app, 1), target(), Duration::ZERO).is_none()
    );
}
