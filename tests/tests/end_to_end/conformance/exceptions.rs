//! What may differ from the recordings, each with its reason.

use super::Exceptions;
use crate::support::shape::Allowed;

const OWN_FLAGS: &str = "the flags are our own";
const NO_GIT: &str = "a release is not built from a repository";
const NO_LOG_FILES: &str = "logs go to standard error, not to files that can be read over HTTP";
const CGROUPS: &str = "the recorded agent ran without cgroups";
const FORCED_END: &str = "in the recording the framework's end overtook the task's";
const NAMED: &str = "our cluster has a name";

/// For exchanges whose name contains the word, a path of JSON that may differ.
const PATHS: &[(&str, &str, &str)] = &[
    ("flags", ".flags", OWN_FLAGS),
    ("FLAGS", ".get_flags.flags", OWN_FLAGS),
    ("state", ".flags", OWN_FLAGS),
    ("state", ".git_sha", NO_GIT),
    ("state", ".git_branch", NO_GIT),
    ("version", ".git_sha", NO_GIT),
    ("version", ".git_branch", NO_GIT),
    ("VERSION", ".get_version.version_info.git_sha", NO_GIT),
    ("VERSION", ".get_version.version_info.git_branch", NO_GIT),
    ("err_op_no_accept", ".get_version.version_info", NO_GIT),
    ("err_op_unknown_field", ".get_version.version_info", NO_GIT),
    ("state", ".log_dir", NO_LOG_FILES),
    ("state", ".cluster", NAMED),
    ("state_basic", ".slaves", "this master has no agent"),
    ("files_debug", "", "names of fields that are paths"),
    ("containers", "[].statistics", CGROUPS),
    ("statistics", "[].statistics", CGROUPS),
    ("CONTAINERS", ".get_containers.containers[].resource_statistics", CGROUPS),
    ("agent_v1_GET_STATE", ".get_state.get_tasks.terminated_tasks", FORCED_END),
    ("agent_v1_GET_TASKS", ".get_tasks.terminated_tasks", FORCED_END),
    ("GET_STATE", ".get_state.get_tasks.completed_tasks[].statuses[].reason", FORCED_END),
    ("bad_enum", ".get_state.get_tasks.completed_tasks[].statuses[].reason", FORCED_END),
    ("GET_TASKS", ".get_tasks.completed_tasks[].statuses[].reason", FORCED_END),
];

/// Whole exchanges that are not compared.
const SKIPPED: &[(&str, &str)] = &[
    ("__processes__", "the actors of libprocess; we have none"),
    ("_profiler_start", "the profiler of the original's allocator"),
    ("_GET_help", "the text of the original's help"),
    ("registrar(1)", "the registry's form is our own"),
    ("q_path-_master_log", NO_LOG_FILES),
    ("q_path-_slave_log", NO_LOG_FILES),
    ("master_v1_LIST_FILES", NO_LOG_FILES),
    ("master_v1_READ_FILE", NO_LOG_FILES),
];

/// Exchanges whose text cannot be the same.
const TEXTS: &[(&str, &str)] = &[("jsonp", "it holds the state, which is compared as JSON")];

pub(super) fn allowed(name: &str) -> Exceptions {
    let of_name = PATHS.iter().filter(|(word, ..)| name.contains(word));
    of_name.map(|(_, path, why)| Allowed { path, why }).collect()
}

pub(super) fn skipped(name: &str) -> bool {
    SKIPPED.iter().any(|(word, _)| name.contains(word))
}

pub(super) fn any_text(name: &str) -> bool {
    TEXTS.iter().any(|(word, _)| name.contains(word))
}
