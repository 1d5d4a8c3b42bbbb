//! What may name a task, an executor, an agent, a framework, a container or a role.
pub use crate::resources::roles::{ancestors, is_in_subtree, is_strict_subrole_of};
use crate::v1;

/// Ids become names of directories: so much a file name can hold.
const MAX_ID: usize = 255;
/// The directory of a container adds to its id.
const MAX_CONTAINER_ID: usize = 242;

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum IdError {
    #[error("ID must not be empty")]
    Empty,
    #[error("ID must not be greater than {MAX_ID} characters")]
    TooLong,
    #[error("'{0}' is disallowed")]
    Disallowed(String),
    #[error("'{0}' contains invalid characters")]
    Characters(String),
    #[error("'ContainerID.value' '{0}' exceeds the maximum length ({MAX_CONTAINER_ID})")]
    ContainerTooLong(String),
    #[error("'ContainerID.value' '{0}' contains invalid characters")]
    ContainerCharacters(String),
    #[error("'ContainerID.parent' is invalid: {0}")]
    Parent(Box<IdError>),
}

/// The rules of every id.
pub fn validate_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > MAX_ID {
        return Err(IdError::TooLong);
    }
    if matches!(id, "." | "..") {
        return Err(IdError::Disallowed(id.to_owned()));
    }
    if id.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\')) {
        return Err(IdError::Characters(id.to_owned()));
    }
    Ok(())
}

/// The rules of container ids, for the container and each of its parents.
pub fn validate_container_id(id: &v1::ContainerId) -> Result<(), IdError> {
    let levels = std::iter::successors(Some(id), |id| id.parent.as_deref());
    for (level, id) in levels.enumerate() {
        if let Err(error) = validate_container_level(&id.value) {
            return Err((0..level).fold(error, |error, _| IdError::Parent(Box::new(error))));
        }
    }
    Ok(())
}

fn validate_container_level(id: &str) -> Result<(), IdError> {
    validate_id(id)?;
    if id.len() > MAX_CONTAINER_ID {
        return Err(IdError::ContainerTooLong(id.to_owned()));
    }
    // Periods join the levels of an id in text; spaces spoil logs and paths.
    if id.contains(['.', ' ']) {
        return Err(IdError::ContainerCharacters(id.to_owned()));
    }
    Ok(())
}

/// Why a role is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RoleError {
    #[error("Role '{0}' cannot start with a slash")]
    LeadingSlash(String),
    #[error("Role '{0}' cannot end with a slash")]
    TrailingSlash(String),
    #[error("Role '{0}' cannot contain two adjacent slashes")]
    AdjacentSlashes(String),
    #[error("Role names cannot be the empty string")]
    Empty,
    #[error("Role '{role}' cannot include '{component}' as a component")]
    Component { role: String, component: &'static str },
    #[error("Role component '{0}' is invalid because it starts with a dash")]
    Dash(String),
    #[error("Role component '{0}' is invalid because it contains backspace or whitespace")]
    Characters(String),
}

/// The rules of role names.
pub fn validate_role(role: &str) -> Result<(), RoleError> {
    if role == "*" {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(RoleError::LeadingSlash(role.to_owned()));
    }
    if role.ends_with('/') {
        return Err(RoleError::TrailingSlash(role.to_owned()));
    }
    if role.contains("//") {
        return Err(RoleError::AdjacentSlashes(role.to_owned()));
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    role.split('/').try_for_each(|component| validate_role_component(role, component))
}

fn validate_role_component(role: &str, component: &str) -> Result<(), RoleError> {
    if let Some(component) = [".", "..", "*"].into_iter().find(|special| *special == component) {
        return Err(RoleError::Component { role: role.to_owned(), component });
    }
    if component.starts_with('-') {
        return Err(RoleError::Dash(component.to_owned()));
    }
    if component.bytes().any(|byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0x7f)) {
        return Err(RoleError::Characters(component.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<String> {
        validate_id(text).err().map(|error| error.to_string())
    }

    #[test]
    fn ids() {
        for good in ["a", "...", "task 1", "ünï", "-", &"x".repeat(255)] {
            assert_eq!(id(good), None);
        }
        assert_eq!(id("").as_deref(), Some("ID must not be empty"));
        assert_eq!(
            id(&"x".repeat(256)).as_deref(),
            Some("ID must not be greater than 255 characters")
        );
        assert_eq!(id(".").as_deref(), Some("'.' is disallowed"));
        assert_eq!(id("..").as_deref(), Some("'..' is disallowed"));
        for bad in ["a/b", "a\\b", "a\nb", "\u{7f}"] {
            assert_eq!(id(bad), Some(format!("'{bad}' contains invalid characters")));
        }
    }

    fn container(levels: &[&str]) -> Option<String> {
        let mut id: Option<v1::ContainerId> = None;
        for level in levels {
            id = Some(v1::ContainerId { value: (*level).to_owned(), parent: id.map(Box::new) });
        }
        validate_container_id(&id.unwrap_or_default()).err().map(|error| error.to_string())
    }

    #[test]
    fn container_ids() {
        assert_eq!(container(&["a", "b", "c"]), None);
        assert_eq!(
            container(&["a.b"]).as_deref(),
            Some("'ContainerID.value' 'a.b' contains invalid characters")
        );
        assert_eq!(
            container(&["a b", "c", "d"]).as_deref(),
            Some(
                "'ContainerID.parent' is invalid: 'ContainerID.parent' is invalid: \
                 'ContainerID.value' 'a b' contains invalid characters"
            )
        );
        let long = "x".repeat(243);
        assert_eq!(
            container(&[&long]),
            Some(format!("'ContainerID.value' '{long}' exceeds the maximum length (242)"))
        );
    }

    #[test]
    fn roles() {
        let check = |role: &str| validate_role(role).err().map(|error| error.to_string());
        for good in ["*", "a", "a/b/c", "...", "a-", "a*"] {
            assert_eq!(check(good), None, "{good}");
        }
        for (role, text) in [
            ("", "Role names cannot be the empty string"),
            ("/", "Role '/' cannot start with a slash"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            ("a/.", "Role 'a/.' cannot include '.' as a component"),
            ("../a", "Role '../a' cannot include '..' as a component"),
            ("a/*", "Role 'a/*' cannot include '*' as a component"),
            ("a/-b", "Role component '-b' is invalid because it starts with a dash"),
            (
                "a/b c",
                "Role component 'b c' is invalid because it contains backspace or whitespace",
            ),
            (
                "a\u{b}",
                "Role component 'a\u{b}' is invalid because it contains backspace or whitespace",
            ),
        ] {
            assert_eq!(check(role).as_deref(), Some(text));
        }
    }
}
