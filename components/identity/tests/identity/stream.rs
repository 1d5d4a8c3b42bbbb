//! The policy stream: changes lead where a fresh snapshot would.

use crate::support::*;
use identity::wire::{Change, Everything, Line, Permission, UserEntry};
use identity::{Action, Actions, Claims, Snapshot, SnapshotError, TokenError};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn everything() -> Everything {
    Everything { keys: keys().to_json(), ..Everything::default() }
}

#[test]
fn lines_are_as_documented() {
    let text = r#"{"version":7,"snapshot":{"keys":{"keys":[]},"users":{"a":{"generation":2,"groups":["g"],"service":true}},"permissions":[{"rid":"r","users":{"a":["read"]},"groups":{"g":["create","full"]}}]}}"#;
    let line: Line = serde_json::from_str(text).unwrap();
    assert_eq!(line.to_bytes(), format!("{text}\n").as_bytes());
    let snapshot = Snapshot::from_line(line).unwrap();
    assert_eq!(snapshot.version, 7);
    assert!(snapshot.policy.allows("a", "r:x", Action::Update));
    let change = r#"{"version":8,"changes":[{"type":"user_set","uid":"a","generation":1,"groups":[],"service":false},{"type":"permission_set","rid":"r","users":{},"groups":{}},{"type":"group_removed","gid":"g"}]}"#;
    let line: Line = serde_json::from_str(change).unwrap();
    assert_eq!(line.to_bytes(), format!("{change}\n").as_bytes());
    assert_eq!(Line::heartbeat(3).to_bytes(), b"{\"version\":3}\n");
}

#[test]
fn a_gap_is_noticed_and_changes_nothing() {
    let mut snapshot = Snapshot::from_everything(5, everything()).unwrap();
    let before = snapshot.clone();
    for line in [
        Line::heartbeat(4),
        Line::heartbeat(6),
        Line::changes(5, vec![]),
        Line::changes(7, vec![Change::UserRemoved { uid: "a".to_owned() }]),
    ] {
        assert!(matches!(snapshot.apply_line(line), Err(SnapshotError::Gap { .. })));
        assert_eq!(snapshot, before);
    }
    assert!(snapshot.apply_line(Line::heartbeat(5)).is_ok());
    // A line counts as a whole: its second change is malformed.
    let half = vec![
        Change::UserSet { uid: "a".to_owned(), user: UserEntry::default() },
        Change::KeysSet { keys: serde_json::json!({"keys": 7}) },
    ];
    assert!(snapshot.apply_line(Line::changes(6, half)).is_err());
    assert_eq!(snapshot, before);
    assert!(matches!(Snapshot::from_line(Line::heartbeat(1)), Err(SnapshotError::NoSnapshot)));
}

#[test]
fn a_change_is_in_force_at_once() {
    let mut snapshot = Snapshot::from_everything(1, everything()).unwrap();
    let token = ec().sign(&Claims::new("a", Some(NOW + 9), 0)).unwrap();
    let mut cache = identity::TokenCache::new(4);
    let mut ask = |snapshot: &Snapshot| {
        let cached = snapshot.authenticate_cached(&mut cache, &token, NOW).map(|_| ());
        assert_eq!(cached, snapshot.authenticate(&token, NOW).map(|_| ()));
        cached
    };
    assert_eq!(ask(&snapshot), Err(TokenError::UnknownUser));
    let set = |generation| Change::UserSet {
        uid: "a".to_owned(),
        user: UserEntry { generation, ..UserEntry::default() },
    };
    snapshot.apply(set(0)).unwrap();
    assert_eq!(ask(&snapshot), Ok(()));
    snapshot.apply(set(1)).unwrap();
    assert_eq!(ask(&snapshot), Err(TokenError::Revoked));
    snapshot.apply(set(0)).unwrap();
    let only_rsa = serde_json::json!({"keys": [rsa().public_jwk()]});
    snapshot.apply(Change::KeysSet { keys: only_rsa }).unwrap();
    assert_eq!(ask(&snapshot), Err(TokenError::UnknownKey));
}

/// What the changes should lead to, kept plainly.
#[derive(Default)]
struct Model {
    users: BTreeMap<String, UserEntry>,
    permissions: BTreeMap<String, Permission>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::UserSet { uid, user } => {
                self.users.insert(uid, user);
            }
            Change::UserRemoved { uid } => {
                self.users.remove(&uid);
                self.permissions.values_mut().for_each(|p| {
                    p.users.remove(&uid);
                });
            }
            Change::MemberSet { gid, uid } => {
                if let Some(user) = self.users.get_mut(&uid) {
                    user.groups.retain(|g| *g != gid);
                    user.groups.push(gid);
                }
            }
            Change::MemberRemoved { gid, uid } => {
                if let Some(user) = self.users.get_mut(&uid) {
                    user.groups.retain(|g| *g != gid);
                }
            }
            Change::GroupRemoved { gid } => {
                self.users.values_mut().for_each(|u| u.groups.retain(|g| *g != gid));
                self.permissions.values_mut().for_each(|p| {
                    p.groups.remove(&gid);
                });
            }
            Change::PermissionSet { permission } => {
                self.permissions.insert(permission.rid.clone(), permission);
            }
            Change::PermissionRemoved { rid } => {
                self.permissions.remove(&rid);
            }
            Change::KeysSet { .. } => {}
        }
    }

    fn everything(&self) -> Everything {
        Everything {
            keys: keys().to_json(),
            users: self.users.clone(),
            permissions: self.permissions.values().cloned().collect(),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let id = || "[ab]";
    let actions = || {
        proptest::collection::vec(proptest::sample::select(&Action::ALL[..]), 1..3)
            .prop_map(|actions| actions.into_iter().collect::<Actions>())
    };
    let granted = || proptest::collection::btree_map(id(), actions(), 0..3);
    let groups = proptest::sample::subsequence(vec!["a".to_owned(), "b".to_owned()], 0..=2);
    prop_oneof![
        (id(), 0..3_u64, groups, any::<bool>()).prop_map(|(uid, generation, groups, service)| {
            Change::UserSet { uid, user: UserEntry { generation, groups, service } }
        }),
        id().prop_map(|uid| Change::UserRemoved { uid }),
        (id(), id()).prop_map(|(gid, uid)| Change::MemberSet { gid, uid }),
        (id(), id()).prop_map(|(gid, uid)| Change::MemberRemoved { gid, uid }),
        id().prop_map(|gid| Change::GroupRemoved { gid }),
        (id(), granted(), granted()).prop_map(|(rid, users, groups)| Change::PermissionSet {
            permission: Permission { rid, users, groups }
        }),
        id().prop_map(|rid| Change::PermissionRemoved { rid }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_lead_where_a_snapshot_would(changes in proptest::collection::vec(change(), 0..30)) {
        let mut model = Model::default();
        let mut snapshot = Snapshot::from_everything(0, everything()).unwrap();
        for (version, change) in (1..).zip(&changes) {
            model.apply(change);
            let line = Line::changes(version, vec![change.clone()]);
            let line: Line = serde_json::from_slice(&line.to_bytes()).unwrap();
            snapshot.apply_line(line).unwrap();
            let expected = Snapshot::from_everything(version, model.everything()).unwrap();
            prop_assert_eq!(&snapshot, &expected);
        }
    }
}
