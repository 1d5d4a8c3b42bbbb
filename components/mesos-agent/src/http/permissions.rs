//! Which permission each endpoint and each call of the agent asks for.
//!
//! The resources are those that DC/OS Enterprise documents, where it has one. What it filters by
//! the role or the app of each task is asked for as a whole here.

use http::Method;
use http_kit::permissions::{
    Ask, Caller,
    Need::{Each, Login, Public},
    Row, Table,
};
use identity::Action::{Create, Delete, Read, Update};

const FRAMEWORKS: Ask = ("dcos:mesos:agent:framework:role", Read);
const TASKS: Ask = ("dcos:mesos:agent:task:app_id", Read);
const EXECUTORS: Ask = ("dcos:mesos:agent:executor:app_id", Read);
const EVERYTHING: &[Ask] = &[FRAMEWORKS, TASKS, EXECUTORS];
/// What `/state` leaves out for those who may not see it.
pub(super) const FLAGS: Ask = ("dcos:mesos:agent:flags", Read);
const METRICS: &[Ask] = &[("dcos:mesos:agent:endpoint:path:/metrics/snapshot", Read)];
const LOG: &[Ask] = &[("dcos:mesos:agent:log", Read)];
const SANDBOX: &[Ask] = &[("dcos:mesos:agent:sandbox:app_id", Read)];
const READ_LEVEL: &[Ask] = &[("dcos:mesos:agent:endpoint:path:/logging/toggle", Read)];
const SET_LEVEL: &[Ask] = &[("dcos:mesos:agent:endpoint:path:/logging/toggle", Update)];
const CONTAINER: &str = "dcos:mesos:agent:container:app_id";
const SEE_CONTAINERS: &[Ask] = &[(CONTAINER, Read)];
const ATTACH: &[Ask] = &[(CONTAINER, Update)];
const LAUNCH: &[Ask] = &[(CONTAINER, Create)];
const KILL: &[Ask] = &[(CONTAINER, Delete)];
const SESSION: &[Ask] = &[("dcos:mesos:agent:nested_container_session:app_id", Create)];
const PROVIDER: &str = "dcos:mesos:agent:resource_provider";
const PROVIDER_CONFIG: &str = "dcos:mesos:agent:resource_provider_config";

const HARMLESS: &str = "says nothing that a user of the cluster may not know";
const BY_PATH: &str = "what is attached at the path says who may see it: sandbox or log";

/// The operator API.
pub(super) const OPERATOR: &str = "/slave(1)/api/v1";
/// Reading and raising the verbosity; with a level it is the call `level`.
pub(super) const TOGGLE: &str = "/logging/toggle";
/// Any libprocess message.
pub(super) const MESSAGES: &str = "/{id}/mesos.internal.*";
/// The rows that say who may see files; those of the others are the same.
const FILES: &str = "/files/read";

/// The permissions of the agent.
pub static TABLE: Table = Table {
    component: "mesos-agent",
    rows: &[
        // --- open ---
        Row::new("*", "/slave(1)/health", Public("health checks have no login")),
        Row::new("*", "/version/", Public("names nothing but the build, as in the original")),
        Row::new(
            "*",
            "/slave(1)/api/v1/executor",
            Public("executors have no login: a call counts for the ids of a container that runs"),
        ),
        Row::new(
            "POST",
            MESSAGES,
            Public("the master and v0 executors speak libprocess, which has no logins"),
        ),
        // --- reads ---
        Row::new("*", "/slave(1)/state", Each(EVERYTHING)),
        Row::new("*", "/slave(1)/flags", Each(&[FLAGS])),
        Row::new("*", "/slave(1)/containers", Each(SEE_CONTAINERS)),
        Row::new("*", "/slave(1)/monitor/statistics", Each(SEE_CONTAINERS)),
        Row::new(
            "*",
            "/slave(1)/containerizer/debug",
            Each(&[("dcos:mesos:agent:endpoint:path:/containerizer/debug", Read)]),
        ),
        Row::new("*", "/metrics/", Each(METRICS)),
        Row::new("*", "/metrics/snapshot", Each(METRICS)),
        Row::new("*", "/files/browse", Login(BY_PATH)),
        Row { methods: "*", ..Row::call("/files/browse", "sandbox", Each(SANDBOX)) },
        Row { methods: "*", ..Row::call("/files/browse", "log", Each(LOG)) },
        Row::new("*", "/files/read", Login(BY_PATH)),
        Row { methods: "*", ..Row::call("/files/read", "sandbox", Each(SANDBOX)) },
        Row { methods: "*", ..Row::call("/files/read", "log", Each(LOG)) },
        Row::new("*", "/files/download", Login(BY_PATH)),
        Row { methods: "*", ..Row::call("/files/download", "sandbox", Each(SANDBOX)) },
        Row { methods: "*", ..Row::call("/files/download", "log", Each(LOG)) },
        Row::new(
            "*",
            "/files/debug",
            Each(&[("dcos:mesos:agent:endpoint:path:/files/debug", Read)]),
        ),
        Row::new(
            "*",
            "/system/stats.json",
            Each(&[("dcos:mesos:agent:endpoint:path:/system/stats.json", Read)]),
        ),
        Row::new(
            "*",
            "/__processes__/",
            Each(&[("dcos:mesos:agent:endpoint:path:/__processes__", Read)]),
        ),
        Row::new("*", "/help/", Login(HARMLESS)),
        Row::new("*", TOGGLE, Each(READ_LEVEL)),
        Row { methods: "*", ..Row::call(TOGGLE, "level", Each(SET_LEVEL)) },
        Row::new("*", "/slave(1)/api/v1/resource_provider", Each(&[(PROVIDER, Create)])),
        // --- the operator API, by call ---
        Row::call(OPERATOR, "UNKNOWN", Login("there is no such call")),
        Row::call(OPERATOR, "GET_HEALTH", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_VERSION", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_AGENT", Login(HARMLESS)),
        Row::call(OPERATOR, "GET_FLAGS", Each(&[FLAGS])),
        Row::call(OPERATOR, "GET_METRICS", Each(METRICS)),
        Row::call(OPERATOR, "GET_LOGGING_LEVEL", Each(READ_LEVEL)),
        Row::call(OPERATOR, "SET_LOGGING_LEVEL", Each(SET_LEVEL)),
        Row::call(OPERATOR, "LIST_FILES", Login(BY_PATH)),
        Row::call(OPERATOR, "READ_FILE", Login(BY_PATH)),
        Row::call(OPERATOR, "GET_STATE", Each(EVERYTHING)),
        Row::call(OPERATOR, "GET_CONTAINERS", Each(SEE_CONTAINERS)),
        Row::call(OPERATOR, "GET_FRAMEWORKS", Each(&[FRAMEWORKS])),
        Row::call(OPERATOR, "GET_EXECUTORS", Each(&[FRAMEWORKS, EXECUTORS])),
        Row::call(OPERATOR, "GET_OPERATIONS", Each(&[FRAMEWORKS])),
        Row::call(OPERATOR, "GET_TASKS", Each(&[FRAMEWORKS, TASKS])),
        Row::call(OPERATOR, "GET_RESOURCE_PROVIDERS", Each(&[(PROVIDER, Read)])),
        Row::call(OPERATOR, "LAUNCH_NESTED_CONTAINER", Each(LAUNCH)),
        Row::call(OPERATOR, "WAIT_NESTED_CONTAINER", Each(SEE_CONTAINERS)),
        Row::call(OPERATOR, "KILL_NESTED_CONTAINER", Each(KILL)),
        Row::call(OPERATOR, "REMOVE_NESTED_CONTAINER", Each(KILL)),
        Row::call(OPERATOR, "LAUNCH_NESTED_CONTAINER_SESSION", Each(SESSION)),
        Row::call(OPERATOR, "ATTACH_CONTAINER_INPUT", Each(ATTACH)),
        Row::call(OPERATOR, "ATTACH_CONTAINER_OUTPUT", Each(ATTACH)),
        Row::call(OPERATOR, "LAUNCH_CONTAINER", Each(LAUNCH)),
        Row::call(OPERATOR, "WAIT_CONTAINER", Each(SEE_CONTAINERS)),
        Row::call(OPERATOR, "KILL_CONTAINER", Each(KILL)),
        Row::call(OPERATOR, "REMOVE_CONTAINER", Each(KILL)),
        Row::call(OPERATOR, "ADD_RESOURCE_PROVIDER_CONFIG", Each(&[(PROVIDER_CONFIG, Create)])),
        Row::call(OPERATOR, "UPDATE_RESOURCE_PROVIDER_CONFIG", Each(&[(PROVIDER_CONFIG, Update)])),
        Row::call(OPERATOR, "REMOVE_RESOURCE_PROVIDER_CONFIG", Each(&[(PROVIDER_CONFIG, Delete)])),
        Row::call(OPERATOR, "MARK_RESOURCE_PROVIDER_GONE", Each(&[(PROVIDER, Delete)])),
        Row::call(OPERATOR, "PRUNE_IMAGES", Each(&[("dcos:mesos:agent:image", Delete)])),
    ],
};

/// What a virtual path shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Sandbox,
    Log,
}

/// Who may see files of a kind.
pub(crate) fn files(shown: Shown) -> http_kit::files::Guard {
    let call = match shown {
        Shown::Sandbox => "sandbox",
        Shown::Log => "log",
    };
    std::sync::Arc::new(move |caller: &Caller| {
        TABLE.judge_call(&Method::GET, FILES, call, caller, "").is_ok()
    })
}
