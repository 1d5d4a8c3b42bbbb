//! What may differ from the recordings, each with its reason.

use super::Exceptions;
use crate::support::shape::Allowed;

/// For exchanges whose name contains the word, a path of JSON that may differ.
const PATHS: &[(&str, &str, &str)] = &[
    ("flags", ".flags", "the flags are our own"),
    ("FLAGS", ".get_flags.flags", "the flags are our own"),
    ("state", ".flags", "the flags are our own"),
    ("system_stats", ".mem_free_bytes", "a figure of the machine"),
];

/// Whole exchanges that are not compared.
const SKIPPED: &[(&str, &str)] = &[
    ("__processes__", "the actors of libprocess; we have none"),
    ("_profiler_start", "the profiler of the original's allocator"),
    ("_GET_help", "the text of the original's help"),
    ("registrar(1)", "the registry's form is our own"),
];

/// Exchanges whose text says the same in other words.
const TEXTS: &[(&str, &str)] = &[];

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
