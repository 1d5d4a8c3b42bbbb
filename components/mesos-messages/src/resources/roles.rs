//! Roles form a tree by their slashes; reservations and offers follow it.

/// Whether `role` lies below `ancestor`: `eng/prod` below `eng`.
pub fn is_strict_subrole_of(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether `role` is `ancestor` or lies below it.
pub fn is_in_subtree(role: &str, ancestor: &str) -> bool {
    role == ancestor || is_strict_subrole_of(role, ancestor)
}

/// The roles above, nearest first: `a/b/c` has `a/b` and `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').filter_map(|(at, _)| role.get(..at))
}

/// The original's rules for a role's name, with its words.
pub(super) fn check(role: &str) -> Result<(), String> {
    if role == "*" {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return Err(format!("Role '{role}' cannot end with a slash"));
    }
    if role.contains("//") {
        return Err(format!("Role '{role}' cannot contain two adjacent slashes"));
    }
    if role.is_empty() {
        return Err("Role names cannot be the empty string".to_owned());
    }
    role.split('/').try_for_each(|component| check_component(role, component))
}

fn check_component(role: &str, component: &str) -> Result<(), String> {
    if matches!(component, "." | ".." | "*") {
        return Err(format!("Role '{role}' cannot include '{component}' as a component"));
    }
    if component.starts_with('-') {
        return Err(format!(
            "Role component '{component}' is invalid because it starts with a dash"
        ));
    }
    if component.contains(['\t', '\n', '\x0b', '\x0c', '\r', ' ', '\x7f']) {
        return Err(format!(
            "Role component '{component}' is invalid because it contains backspace or whitespace"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree() {
        assert!(is_strict_subrole_of("eng/prod", "eng"));
        assert!(!is_strict_subrole_of("eng", "eng"));
        assert!(!is_strict_subrole_of("engine", "eng"));
        assert!(is_in_subtree("eng", "eng"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
    }

    #[test]
    fn names() {
        for good in ["*", "eng", "eng/prod", "a-b", "a.b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "a/..", "a/*", "-a", "a b", "a\tb"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
