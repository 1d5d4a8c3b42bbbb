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
}
