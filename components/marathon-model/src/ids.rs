//! Ids of instances and tasks, as they are written on the wire.

use crate::PathId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// `<path with "_">.instance-<time-based uuid>`; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

/// `<instance>._app.<incarnation>`: one launch of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Whose launch.
    pub instance: InstanceId,
    /// Begins at 1 and rises with each launch of the same instance.
    pub incarnation: u64,
}

// === impl InstanceId ===

impl InstanceId {
    /// The id of a new instance of `app`.
    pub fn new(app: &PathId, uuid: Uuid) -> Self {
        Self(format!("{}.instance-{uuid}", app.flat()).into())
    }

    /// Reads an id; also the older form `<path>.marathon-<uuid>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, rest) = text.rsplit_once('.')?;
        let uuid = rest.strip_prefix("instance-").or_else(|| rest.strip_prefix("marathon-"))?;
        Uuid::try_parse(uuid).ok().filter(|_| !path.is_empty())?;
        Some(Self(text.into()))
    }

    /// The app it belongs to. Segments of apps have no `_`, so nothing is lost on the way.
    pub fn app(&self) -> PathId {
        let path = self.0.rsplit_once('.').map_or("", |(path, _)| path);
        PathId::unflatten(path)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        InstanceId::parse(&text).ok_or_else(|| de::Error::custom("not the id of an instance"))
    }
}

// === impl TaskId ===

impl TaskId {
    /// Reads the id of an app's task. Without an incarnation it is 0, as the oldest ones were.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((instance, incarnation)) = text.rsplit_once("._app.") {
            let incarnation = incarnation.parse().ok()?;
            return Some(Self { instance: InstanceId::parse(instance)?, incarnation });
        }
        let instance = text.strip_suffix("._app").unwrap_or(text);
        Some(Self { instance: InstanceId::parse(instance)?, incarnation: 0 })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            0 => write!(out, "{}", self.instance),
            incarnation => write!(out, "{}._app.{incarnation}", self.instance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_app() {
        let app = PathId::parse("/prod/web.api").unwrap();
        let id = InstanceId::new(&app, Uuid::from_u128(7));
        assert_eq!(id.as_str(), "prod_web.api.instance-00000000-0000-0000-0000-000000000007");
        assert_eq!((id.app(), InstanceId::parse(id.as_str())), (app, Some(id.clone())));
        let task = TaskId { instance: id, incarnation: 3 };
        assert!(task.to_string().ends_with("7._app.3"));
        assert_eq!(TaskId::parse(&task.to_string()), Some(task));
        assert_eq!(TaskId::parse("sleep.7"), None);
    }
}
