//! What is printed, member by member.

use std::sync::Arc;

use marathon_core::{
    Condition, CurrentStep, Event, EventKind, HealthState, Instance, IpAddress, launch::Placement,
};
use marathon_model::{
    App, AppUpdate, InstanceId, PathId, Plan, Settings, Timestamp, plan::ActionKind,
};
use mesos_messages::v1;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{event, stats, task};

fn app() -> Arc<App> {
    let body = json!({
        "id": "/a/web", "cmd": "sleep 100",
        "portDefinitions": [{"port": 10000}, {"port": 10001}],
        "healthChecks": [{"protocol": "HTTP", "path": "/h", "portIndex": 0}],
    });
    let mut app = AppUpdate::parse(&body).unwrap().create(None, &Settings::default()).unwrap();
    app.version = Timestamp(1000);
    app.version_info.last_scaling_at = Timestamp(1000);
    app.version_info.last_config_change_at = Timestamp(500);
    Arc::new(app)
}

fn instance(number: u128, condition: Condition) -> Instance {
    let app = app();
    let id = InstanceId::new(&app.id, Uuid::from_u128(number));
    let placement = Placement {
        agent_id: "S0".into(),
        host: "h".into(),
        region: Some("r".into()),
        zone: None,
        attributes: Vec::new(),
        role: "*".into(),
    };
    Instance {
        incarnation: 2,
        condition,
        placement: Some(placement.into()),
        host_ports: vec![31000, 31001],
        staged_at: Some(Timestamp(1500)),
        started_at: Some(Timestamp(2000)),
        ips: vec![
            IpAddress { address: "10.0.0.1".into(), v6: false },
            IpAddress { address: "::1".into(), v6: true },
        ],
        ..Instance::scheduled(id, app, Timestamp(1000))
    }
}

fn printed(instance: &Instance, service_ports: bool) -> Value {
    let mut out = Vec::new();
    task::write(&mut out, instance, service_ports);
    serde_json::from_slice(&out).unwrap()
}

const ID: &str = "a_web.instance-00000000-0000-0000-0000-000000000007";

#[test]
fn a_running_task() {
    let mut running = instance(7, Condition::Running);
    running.healthy = Some(true);
    running.health = vec![
        HealthState {
            alive: true,
            consecutive_failures: 0,
            first_success: Some(Timestamp(3000)),
            last_success: Some(Timestamp(4000)),
            last_failure: None,
            last_failure_cause: None,
        },
        // Says nothing yet.
        HealthState::default(),
    ];
    running.check = Some(Arc::new(v1::CheckStatusInfo {
        http: Some(v1::check_status_info::Http { status_code: Some(200) }),
        ..v1::CheckStatusInfo::default()
    }));
    assert_eq!(
        printed(&running, true),
        json!({
            "appId": "/a/web",
            "healthCheckResults": [{
                "alive": true, "consecutiveFailures": 0,
                "firstSuccess": "1970-01-01T00:00:03.000Z", "instanceId": ID,
                "lastSuccess": "1970-01-01T00:00:04.000Z",
            }],
            "checkResult": {"http": {"statusCode": 200}},
            "host": "h",
            "id": format!("{ID}._app.2"),
            "ipAddresses": [
                {"ipAddress": "10.0.0.1", "protocol": "IPv4"},
                {"ipAddress": "::1", "protocol": "IPv6"},
            ],
            "ports": [31000, 31001],
            "servicePorts": [10000, 10001],
            "slaveId": "S0",
            "state": "TASK_RUNNING",
            "stagedAt": "1970-01-01T00:00:01.500Z",
            "startedAt": "1970-01-01T00:00:02.000Z",
            "version": "1970-01-01T00:00:01.000Z",
            "localVolumes": [],
            "region": "r",
            "role": "*",
        })
    );
}

#[test]
fn a_task_that_is_over_has_no_times_and_ports() {
    let failed = printed(&instance(7, Condition::Failed), false);
    assert_eq!((&failed["state"], &failed["ports"]), (&json!("TASK_FAILED"), &json!([])));
    for member in ["stagedAt", "startedAt", "version", "checkResult"] {
        assert!(failed.get(member).is_none(), "{member}");
    }
    assert_eq!(failed["servicePorts"], json!([]));
}

#[test]
fn statistics_tell_versions_apart() {
    let mut healthy = instance(1, Condition::Running);
    healthy.healthy = Some(true);
    let mut old = instance(2, Condition::Staging);
    let mut spec = App::clone(&old.spec);
    spec.version = Timestamp(400);
    (old.spec, old.started_at) = (spec.into(), None);
    let mut out = Vec::new();
    stats::write(&mut out, &app(), [&healthy, &old].into_iter(), Timestamp(12_000));
    let stats: Value = serde_json::from_slice(&out).unwrap();
    let part = |staged: u32, running: u32, healthy: u32| json!({"staged": staged, "running": running, "healthy": healthy, "unhealthy": 0});
    let latest = json!({"stats": {
        "counts": part(0, 1, 1),
        "lifeTime": {"averageSeconds": 10.0, "medianSeconds": 10.0},
    }});
    assert_eq!(stats["startedAfterLastScaling"], latest);
    assert_eq!(stats["withLatestConfig"], latest);
    assert_eq!(stats["withOutdatedConfig"], json!({"stats": {"counts": part(1, 0, 0)}}));
    assert_eq!(stats["totalSummary"]["stats"]["counts"], part(1, 1, 1));
}

#[test]
fn events_have_the_originals_members() {
    let id = PathId::parse("/a/web").unwrap();
    let instance = InstanceId::new(&id, Uuid::from_u128(7));
    let at = Timestamp(0);
    let moment = "1970-01-01T00:00:00.000Z";
    let check = app().health_checks.first().unwrap().clone();
    let plan = Arc::new(Plan::restore("p".into(), at, Vec::new(), Default::default()));
    let light = json!({"id": "p", "steps": [], "version": moment});
    let step = CurrentStep { number: 1, actions: vec![(ActionKind::Scale, id.clone())] };
    let current = json!({"actions": [{"action": "ScaleApplication", "app": "/a/web"}]});
    let cases = [
        (
            EventKind::SchedulerRegistered { framework_id: "f".into(), master: "m".into() },
            json!({"frameworkId": "f", "master": "m"}),
        ),
        (EventKind::SchedulerReregistered { master: "m".into() }, json!({"master": "m"})),
        (EventKind::SchedulerDisconnected, json!({})),
        (EventKind::RemoveHealthCheck { app: id.clone() }, json!({"appId": "/a/web"})),
        (
            EventKind::HealthStatusChanged {
                app: id.clone(),
                instance: instance.clone(),
                version: at,
                alive: true,
            },
            json!({"appId": "/a/web", "instanceId": ID, "version": moment, "alive": true}),
        ),
        (
            EventKind::UnhealthyInstanceKill {
                app: id.clone(),
                task: format!("{ID}._app.1"),
                instance: instance.clone(),
                version: at,
                reason: "no".into(),
                host: "h".into(),
                agent: Some("S0".into()),
            },
            json!({"appId": "/a/web", "taskId": format!("{ID}._app.1"), "instanceId": ID,
                   "version": moment, "reason": "no", "host": "h", "slaveId": "S0"}),
        ),
        (
            EventKind::GroupChangeFailed { group: id.clone(), version: at, reason: "no".into() },
            json!({"groupId": "/a/web", "version": moment, "reason": "no"}),
        ),
        (
            EventKind::DeploymentFailed { plan: plan.clone(), reason: None },
            json!({"id": "p", "plan": light}),
        ),
        (
            EventKind::DeploymentInfo { plan: plan.clone(), step },
            json!({"plan": light, "currentStep": current}),
        ),
        (
            EventKind::StatusUpdate {
                agent: "S0".into(),
                task: format!("{ID}._app.1"),
                state: "TASK_RUNNING",
                message: "\n".into(),
                app: id.clone(),
                host: "h".into(),
                ips: vec![IpAddress { address: "10.0.0.1".into(), v6: false }],
                ports: vec![31000],
                version: at,
            },
            json!({"slaveId": "S0", "taskId": format!("{ID}._app.1"),
                   "taskStatus": "TASK_RUNNING", "message": "\n", "appId": "/a/web", "host": "h",
                   "ipAddresses": [{"ipAddress": "10.0.0.1", "protocol": "IPv4"}],
                   "ports": [31000], "version": moment}),
        ),
        (
            EventKind::InstanceChanged {
                instance: instance.clone(),
                condition: Condition::Scheduled,
                app: id.clone(),
                agent: None,
                host: None,
                version: at,
                goal: marathon_core::Goal::Running,
                killing: false,
            },
            json!({"instanceId": ID, "condition": "Scheduled", "runSpecId": "/a/web",
                   "agentId": null, "host": null, "runSpecVersion": moment,
                   "goal": "Running", "killing": false}),
        ),
        (
            EventKind::InstanceHealthChanged {
                instance: instance.clone(),
                app: id.clone(),
                version: at,
                healthy: None,
            },
            json!({"instanceId": ID, "runSpecId": "/a/web", "healthy": null,
                   "runSpecVersion": moment}),
        ),
        (
            EventKind::UnknownInstanceTerminated {
                instance: instance.clone(),
                app: id.clone(),
                condition: Condition::Killed,
            },
            json!({"instanceId": ID, "runSpecId": "/a/web", "condition": "Killed"}),
        ),
        (
            EventKind::DeploymentStalled { plan, reason: "no offers".into() },
            json!({"plan": light, "reason": "no offers"}),
        ),
    ];
    for (kind, mut expected) in cases {
        expected["eventType"] = json!(kind.name());
        expected["timestamp"] = json!(moment);
        let mut out = Vec::new();
        event::write(&mut out, &Event { at, kind });
        assert!(!out.contains(&b'\n'), "an event is one line");
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    }
    // The check as apps print it; the instance under the name of a task.
    let kind = EventKind::FailedHealthCheck { app: id, instance, check };
    let mut out = Vec::new();
    event::write(&mut out, &Event { at, kind });
    let failed: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&failed["taskId"], &failed["healthCheck"]["path"]), (&json!(ID), &json!("/h")));
    assert!(failed.get("instanceId").is_none());
}
