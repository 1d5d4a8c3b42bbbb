//! Which permission each endpoint and each call of the master asks for.
//!
//! The resources are those that DC/OS Enterprise documents, where it has one. What it filters by
//! the role or the app of each task is asked for as a whole here: the large answers are made
//! once for all who read them.

use http_kit::permissions::{
    Ask,
    Need::{Each, Login, Public},
    Row, Table,
};
use identity::Action::{Create, Delete, Read, Update};

const FRAMEWORKS: Ask = ("dcos:mesos:master:framework:role", Read);
const TASKS: Ask = ("dcos:mesos:master:task:app_id", Read);
const EXECUTORS: Ask = ("dcos:mesos:master:executor:app_id", Read);
/// Everything that frameworks run.
const EVERYTHING: &[Ask] = &[FRAMEWORKS, TASKS, EXECUTORS];
const AGENTS: &[Ask] = &[("dcos:mesos:master:agent", Read)];
const CHANGE_AGENTS: &[Ask] = &[("dcos:mesos:master:agent", Update)];
/// What `/state` leaves out for those who may not see it.
pub(super) const FLAGS: Ask = ("dcos:mesos:master:flags", Read);
const METRICS: &[Ask] = &[("dcos:mesos:master:endpoint:path:/metrics/snapshot", Read)];
const LOG: &[Ask] = &[("dcos:mesos:master:log", Read)];
const READ_LEVEL: &[Ask] = &[("dcos:mesos:master:endpoint:path:/logging/toggle", Read)];
const SET_LEVEL: &[Ask] = &[("dcos:mesos:master:endpoint:path:/logging/toggle", Update)];
const READ_QUOTA: &[Ask] = &[("dcos:mesos:master:quota:role", Read)];
const SET_QUOTA: &[Ask] = &[("dcos:mesos:master:quota:role", Update)];
const READ_WEIGHTS: &[Ask] = &[("dcos:mesos:master:weight:role", Read)];
const SET_WEIGHTS: &[Ask] = &[("dcos:mesos:master:weight:role", Update)];
const READ_MAINTENANCE: &[Ask] = &[("dcos:mesos:master:maintenance", Read)];
const SET_MAINTENANCE: &[Ask] = &[("dcos:mesos:master:maintenance", Update)];
const RESERVE: &[Ask] = &[("dcos:mesos:master:reservation:role", Create)];
const UNRESERVE: &[Ask] = &[("dcos:mesos:master:reservation:principal", Delete)];
const CREATE_VOLUMES: &[Ask] = &[("dcos:mesos:master:volume:role", Create)];
const RESIZE_VOLUMES: &[Ask] = &[("dcos:mesos:master:volume:role", Update)];
const DESTROY_VOLUMES: &[Ask] = &[("dcos:mesos:master:volume:principal", Delete)];
const TEARDOWN: &[Ask] = &[("dcos:mesos:master:framework:principal:{principal}", Delete)];
/// Of each role that a framework subscribes with, and has subscribed with.
const SCHEDULE: &[Ask] = &[("dcos:mesos:master:framework:role:{role}", Create)];

const ALIVE: &str = "health checks have no login";
const VERSION: &str = "names nothing but the build, as in the original";
const HARMLESS: &str = "says nothing that a user of the cluster may not know";

/// The operator API.
pub(super) const OPERATOR: &str = "/master/api/v1";
/// The scheduler API.
pub(super) const SCHEDULER: &str = "/master/api/v1/scheduler";
/// Removing a framework.
pub(super) const CLASSIC_TEARDOWN: &str = "/master/teardown";
/// Reading and raising the verbosity; with a level it is the call `level`.
pub(super) const TOGGLE: &str = "/logging/toggle";
/// Any libprocess message.
pub(super) const MESSAGES: &str = "/{id}/mesos.internal.*";

/// The permissions of the master.
pub static TABLE: Table = Table {
    component: "mesos-master",
    rows: &[
        // --- open ---
        Row::new("*", "/master/health", Public(ALIVE)),
        Row::new("*", "/version/", Public(VERSION)),
        Row::new("*", "/master/redirect", Public("clients look for the leader before they log in")),
        Row::new(
            "POST",
            MESSAGES,
            Public(
                "agents speak libprocess, which has no logins; schedulers may not in strict mode",
            ),
        ),
        // --- reads ---
        Row::new("*", "/master/", Each(&[FRAMEWORKS])),
        Row::new("*", "/master/state", Each(EVERYTHING)),
        Row::new("*", "/master/state-summary", Each(EVERYTHING)),
        Row::new("*", "/master/frameworks", Each(EVERYTHING)),
        Row::new("*", "/master/tasks", Each(&[TASKS])),
        Row::new("*", "/master/slaves", Each(AGENTS)),
        Row::new("*", "/master/roles", Each(&[FRAMEWORKS])),
        Row::new("*", "/master/flags", Each(&[FLAGS])),
        Row::new("*", "/registrar(1)/registry", Each(AGENTS)),
        Row::new("*", "/allocator/offer_constraints_debug", Each(&[FRAMEWORKS])),
        Row::new("*", "/metrics/", Each(METRICS)),
        Row::new("*", "/metrics/snapshot", Each(METRICS)),
        Row::new("*", "/files/browse", Each(LOG)),
        Row::new("*", "/files/read", Each(LOG)),
        Row::new("*", "/files/download", Each(LOG)),
        Row::new(
            "*",
            "/files/debug",
            Each(&[("dcos:mesos:master:endpoint:path:/files/debug", Read)]),
        ),
        Row::new(
            "*",
            "/system/stats.json",
            Each(&[("dcos:mesos:master:endpoint:path:/system/stats.json", Read)]),
        ),
        Row::new(
            "*",
            "/__processes__/",
            Each(&[("dcos:mesos:master:endpoint:path:/__processes__", Read)]),
        ),
        Row::new("*", "/help/", Login(HARMLESS)),
        // --- reads and writes ---
        Row::new("GET", "/master/quota", Each(READ_QUOTA)),
        Row::new("*", "/master/quota", Each(SET_QUOTA)),
        Row::new("GET", "/master/weights", Each(READ_WEIGHTS)),
        Row::new("*", "/master/weights", Each(SET_WEIGHTS)),
        Row::new("GET", "/master/maintenance/schedule", Each(READ_MAINTENANCE)),
        Row::new("*", "/master/maintenance/schedule", Each(SET_MAINTENANCE)),
        Row::new("GET", "/master/maintenance/status", Each(READ_MAINTENANCE)),
        Row::new("*", "/master/maintenance/status", Each(SET_MAINTENANCE)),
        Row::new("*", "/master/machine/down", Each(SET_MAINTENANCE)),
        Row::new("*", "/master/machine/up", Each(SET_MAINTENANCE)),
        Row::new("*", "/master/reserve", Each(RESERVE)),
        Row::new("*", "/master/unreserve", Each(UNRESERVE)),
        Row::new("*", "/master/create-volumes", Each(CREATE_VOLUMES)),
        Row::new("*", "/master/destroy-volumes", Each(DESTROY_VOLUMES)),
        Row::new("*", TOGGLE, Each(READ_LEVEL)),
        Row { methods: "*", ..Row::call(TOGGLE, "level", Each(SET_LEVEL)) },
        Row::new(
            "*",
            "/profiler/start",
            Each(&[("dcos:mesos:master:endpoint:path:/profiler/start", Update)]),
        ),
        Row::new(
            "*",
            "/profiler/stop",
            Each(&[("dcos:mesos:master:endpoint:path:/profiler/stop", Update)]),
        ),
        Row::new("*", CLASSIC_TEARDOWN, Each(TEARDOWN)),
        // --- the operator API, by call ---
        Row::call(OPERATOR, "UNKNOWN", Login("there is no such call")),
        Row::call(OPERATOR, "GET_HEALTH", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_VERSION", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_MASTER", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_FLAGS", Each(&[FLAGS])),
        Row::call(OPERATOR, "GET_METRICS", Each(METRICS)),
        Row::call(OPERATOR, "GET_LOGGING_LEVEL", Each(READ_LEVEL)),
        Row::call(OPERATOR, "SET_LOGGING_LEVEL", Each(SET_LEVEL)),
        Row::call(OPERATOR, "LIST_FILES", Each(LOG)),
        Row::call(OPERATOR, "READ_FILE", Each(LOG)),
        Row::call(OPERATOR, "GET_STATE", Each(EVERYTHING)),
        Row::call(OPERATOR, "GET_AGENTS", Each(AGENTS)),
        Row::call(OPERATOR, "GET_FRAMEWORKS", Each(&[FRAMEWORKS])),
        Row::call(OPERATOR, "GET_EXECUTORS", Each(&[FRAMEWORKS, EXECUTORS])),
        Row::call(OPERATOR, "GET_OPERATIONS", Each(&[FRAMEWORKS])),
        Row::call(OPERATOR, "GET_TASKS", Each(&[FRAMEWORKS, TASKS])),
        Row::call(OPERATOR, "GET_ROLES", Each(&[FRAMEWORKS])),
        Row::call(OPERATOR, "SUBSCRIBE", Each(EVERYTHING)),
        Row::call(OPERATOR, "GET_WEIGHTS", Each(READ_WEIGHTS)),
        Row::call(OPERATOR, "UPDATE_WEIGHTS", Each(SET_WEIGHTS)),
        Row::call(OPERATOR, "GET_QUOTA", Each(READ_QUOTA)),
        Row::call(OPERATOR, "UPDATE_QUOTA", Each(SET_QUOTA)),
        Row::call(OPERATOR, "SET_QUOTA", Each(SET_QUOTA)),
        Row::call(OPERATOR, "REMOVE_QUOTA", Each(SET_QUOTA)),
        Row::call(OPERATOR, "RESERVE_RESOURCES", Each(RESERVE)),
        Row::call(OPERATOR, "UNRESERVE_RESOURCES", Each(UNRESERVE)),
        Row::call(OPERATOR, "CREATE_VOLUMES", Each(CREATE_VOLUMES)),
        Row::call(OPERATOR, "DESTROY_VOLUMES", Each(DESTROY_VOLUMES)),
        Row::call(OPERATOR, "GROW_VOLUME", Each(RESIZE_VOLUMES)),
        Row::call(OPERATOR, "SHRINK_VOLUME", Each(RESIZE_VOLUMES)),
        Row::call(OPERATOR, "GET_MAINTENANCE_STATUS", Each(READ_MAINTENANCE)),
        Row::call(OPERATOR, "GET_MAINTENANCE_SCHEDULE", Each(READ_MAINTENANCE)),
        Row::call(OPERATOR, "UPDATE_MAINTENANCE_SCHEDULE", Each(SET_MAINTENANCE)),
        Row::call(OPERATOR, "START_MAINTENANCE", Each(SET_MAINTENANCE)),
        Row::call(OPERATOR, "STOP_MAINTENANCE", Each(SET_MAINTENANCE)),
        Row::call(OPERATOR, "DRAIN_AGENT", Each(CHANGE_AGENTS)),
        Row::call(OPERATOR, "DEACTIVATE_AGENT", Each(CHANGE_AGENTS)),
        Row::call(OPERATOR, "REACTIVATE_AGENT", Each(CHANGE_AGENTS)),
        Row::call(OPERATOR, "MARK_AGENT_GONE", Each(&[("dcos:mesos:master:agent", Delete)])),
        Row::call(OPERATOR, "TEARDOWN", Each(TEARDOWN)),
        // --- the scheduler API, by call ---
        Row::call(SCHEDULER, "SUBSCRIBE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "UPDATE_FRAMEWORK", Each(SCHEDULE)),
        Row::call(SCHEDULER, "TEARDOWN", Each(SCHEDULE)),
        Row::call(SCHEDULER, "ACCEPT", Each(SCHEDULE)),
        Row::call(SCHEDULER, "DECLINE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "ACCEPT_INVERSE_OFFERS", Each(SCHEDULE)),
        Row::call(SCHEDULER, "DECLINE_INVERSE_OFFERS", Each(SCHEDULE)),
        Row::call(SCHEDULER, "REVIVE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "KILL", Each(SCHEDULE)),
        Row::call(SCHEDULER, "SHUTDOWN", Each(SCHEDULE)),
        Row::call(SCHEDULER, "ACKNOWLEDGE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "ACKNOWLEDGE_OPERATION_STATUS", Each(SCHEDULE)),
        Row::call(SCHEDULER, "RECONCILE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "RECONCILE_OPERATIONS", Each(SCHEDULE)),
        Row::call(SCHEDULER, "MESSAGE", Each(SCHEDULE)),
        Row::call(SCHEDULER, "REQUEST", Each(SCHEDULE)),
        Row::call(SCHEDULER, "SUPPRESS", Each(SCHEDULE)),
        Row::call(SCHEDULER, "UNKNOWN", Each(SCHEDULE)),
    ],
};
