//! Who may do what, against the rule written down plainly.

use identity::{Action, Claims, Policy, SUPERUSER, TokenError, User};
use proptest::prelude::*;

fn user(groups: &[&str]) -> User {
    User { groups: groups.iter().map(|gid| (*gid).into()).collect(), ..User::default() }
}

#[test]
fn nobody_may_anything_at_first() {
    let mut policy = Policy::default();
    assert!(!policy.allows("a", "dcos:x", Action::Read));
    policy.set_user("a", user(&["g"]));
    assert!(!policy.allows("a", "dcos:x", Action::Read));
}

#[test]
fn a_superuser_may_everything_and_only_full_makes_one() {
    let mut policy = Policy::default();
    policy.set_user("a", user(&["superusers"]));
    policy.set_user("b", user(&[]));
    policy.grant_group("superusers", SUPERUSER, Action::Full);
    policy.grant_user("b", SUPERUSER, Action::Read);
    assert!(policy.allows("a", "whatever:it:is", Action::Delete));
    assert!(policy.is_superuser("a"));
    assert!(!policy.allows("b", "whatever:it:is", Action::Read));
    assert!(policy.allows("b", SUPERUSER, Action::Read));
    assert!(!policy.is_superuser("b"));
}

#[test]
fn grants_of_one_who_is_gone_count_for_nobody() {
    let mut policy = Policy::default();
    policy.grant_user("a", "r", Action::Full);
    assert!(!policy.allows("a", "r", Action::Read), "the user is not active");
    policy.set_user("a", user(&[]));
    assert!(policy.allows("a", "r", Action::Read));
    policy.remove_user("a");
    assert!(!policy.allows("a", "r", Action::Read));
}

#[test]
fn paths_are_covered_at_slashes_only() {
    let mut policy = Policy::default();
    policy.set_user("a", user(&[]));
    policy.grant_user("a", "m:services:/dev", Action::Read);
    policy.grant_user("a", "g:service:dev", Action::Read);
    let allowed = |rid| policy.allows("a", rid, Action::Read);
    for rid in ["m:services:/dev", "m:services:/dev/", "m:services:/dev/db", "m:services:/dev:x"] {
        assert!(allowed(rid), "{rid}");
    }
    for rid in ["m:services:/", "m:services:/development", "m:services", "m:services:/de"] {
        assert!(!allowed(rid), "{rid}");
    }
    assert!(allowed("g:service:dev:x"));
    assert!(!allowed("g:service:dev/db"), "the part of the grant is no path");
}

#[test]
fn a_later_generation_revokes() {
    let mut policy = Policy::default();
    let claims = |generation| Claims::new("a", None, generation);
    assert_eq!(policy.check(&claims(0)).err(), Some(TokenError::UnknownUser));
    policy.set_user("a", User { generation: 2, ..User::default() });
    assert_eq!(policy.check(&claims(1)).err(), Some(TokenError::Revoked));
    assert_eq!(policy.check(&claims(3)).err(), Some(TokenError::Revoked));
    assert!(policy.check(&claims(2)).is_ok());
}

/// The rule, in its plainest form.
fn covers(grant: &str, rid: &str) -> bool {
    let below = |mark: &str| rid.starts_with(&format!("{grant}{mark}"));
    let path = grant.rsplit(':').next().is_some_and(|part| part.contains('/'));
    grant == rid
        || below(":")
        || (path && (below("/") || (grant.ends_with('/') && rid.starts_with(grant))))
}

fn rid() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]{1,2}|/|/a|/a/b|a/b|/a/", 1..4).prop_map(|parts| parts.join(":"))
}

fn action() -> impl Strategy<Value = Action> {
    proptest::sample::select(&Action::ALL[..])
}

proptest! {
    #[test]
    fn as_the_plain_rule_says(
        grants in proptest::collection::vec((rid(), action(), any::<bool>()), 0..6),
        asked in rid(),
        action in action(),
    ) {
        let mut policy = Policy::default();
        policy.set_user("a", user(&["g"]));
        policy.set_user("b", user(&["h"]));
        for (rid, action, to_group) in &grants {
            if *to_group {
                policy.grant_group("g", rid, *action);
            } else {
                policy.grant_user("a", rid, *action);
            }
        }
        let expected = grants.iter().any(|(rid, granted, _)| {
            covers(rid, &asked) && (*granted == action || *granted == Action::Full)
        });
        prop_assert_eq!(policy.allows("a", &asked, action), expected);
        prop_assert!(!policy.allows("b", &asked, action), "not granted to b");
    }
}
