//! What is too large to be stored is refused before anything is changed.

use crate::{
    ModelError, PathId, Violation,
    change::{Applied, Changed, GroupChanged},
};
use serde::Serialize;
use std::io;

/// The most bytes of an app's JSON: a value of the cluster's state may have a million, and there
/// is room for what a later version adds by itself.
pub const MAX_APP_BYTES: usize = 990_000;
/// The most bytes of an id. With what ids of tasks have besides they still fit into the 255 bytes
/// that Mesos and file systems allow.
pub const MAX_ID_BYTES: usize = 190;

/// Refuses a change whose results could not be written.
pub(crate) fn check(applied: &Applied) -> Result<(), ModelError> {
    let mut violations = Vec::new();
    for (id, Changed { after, .. }) in &applied.changed {
        if let Some(app) = after {
            judge(&mut violations, id, &**app);
        }
    }
    for (id, GroupChanged { after, .. }) in &applied.groups_changed {
        if let Some(group) = after {
            judge(&mut violations, id, &group.dependencies);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
}

fn judge(violations: &mut Vec<Violation>, id: &PathId, value: &impl Serialize) {
    let length = id.as_str().len();
    if length > MAX_ID_BYTES {
        let error = format!("must not have more than {MAX_ID_BYTES} characters; it has {length}");
        violations.push(Violation::new("/id", error));
    }
    let size = size(value);
    if size > MAX_APP_BYTES {
        let error = format!("'{id}' has {size} bytes; the limit is {MAX_APP_BYTES} bytes");
        violations.push(Violation::new("/", error));
    }
}

/// How many bytes a value has as JSON.
fn size(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppUpdate, Change, Root, Settings, Timestamp};
    use serde_json::json;

    fn create(id: &str, label: usize) -> Result<Applied, ModelError> {
        let body = json!({"id": id, "cmd": "sleep 1", "labels": {"x": "y".repeat(label)}});
        let change = Change::CreateApp(AppUpdate::parse(&body)?);
        Root::default().apply(&change, false, Timestamp(1), &Settings::default())
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        assert!(create("/a", 980_000).is_ok());
        let error = create("/a", 990_000).unwrap_err();
        assert_eq!(error.status(), 422);
        let text = error.body().to_string();
        assert!(text.contains("bytes; the limit is 990000 bytes"), "{text}");
        let long = format!("/{}", "a/".repeat(100));
        assert!(create(&long, 1).unwrap_err().body().to_string().contains("190"));
    }
}
