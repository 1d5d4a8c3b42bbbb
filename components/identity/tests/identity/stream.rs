//! The policy stream: changes lead where a fresh snapshot would.

use crate::support::*;
use identity::pieces::Pieces;
use identity::wire::{Change, Everything, Line, Permission, UserEntry};
use identity::{Action, Actions, Claims, KeySet, Snapshot, SnapshotError, TokenError, User};
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
fn long_lines_come_in_pieces() {
    let mut all = everything();
    for n in 0..200 {
        all.users.insert(format!("u{n}"), UserEntry::default());
        let users = [(format!("u{n}"), [Action::Read].into_iter().collect())].into();
        all.permissions.push(Permission { rid: format!("r{n}"), users, ..Permission::default() });
    }
    let whole = Line::snapshot(7, all.clone());
    let removals = (0..200).map(|n| Change::UserRemoved { uid: format!("u{n}") });
    let changes = Line::changes(8, removals.collect());
    for line in [whole.clone(), changes, Line::heartbeat(7), Line::snapshot(1, everything())] {
        let cut = line.clone().cut(500);
        assert!(cut.iter().all(|piece| piece.to_bytes().len() < 3000), "the keys are 1,500");
        let (last, before) = cut.split_last().unwrap();
        assert!(!last.more && before.iter().all(|piece| piece.more));
        let mut pieces = Pieces::default();
        for piece in before {
            assert!(matches!(Snapshot::from_line(piece.clone()), Err(SnapshotError::Pieces)));
            let read = serde_json::from_slice(&piece.to_bytes()).unwrap();
            assert!(pieces.take(read).unwrap().is_none());
        }
        assert_eq!(pieces.take(last.clone()).unwrap(), Some(line));
    }
    assert_eq!(whole.encoded(), [whole.to_bytes()], "what is short enough is one line");
    // What does not belong together.
    let cut = whole.cut(500);
    for other in [Line::heartbeat(7), Line::snapshot(8, everything()), Line::changes(7, vec![])] {
        let mut pieces = Pieces::default();
        assert!(pieces.take(cut[0].clone()).unwrap().is_none());
        assert!(matches!(pieces.take(other), Err(SnapshotError::Pieces)));
    }
    let endless = Line { more: true, ..Line::changes(7, vec![]) };
    let mut pieces = Pieces::default();
    assert!((0..10_000).any(|_| pieces.take(endless.clone()).is_err()));
    assert!(Pieces::default().take(Line { more: true, ..Line::heartbeat(1) }).is_err());
}

#[test]
fn a_line_of_very_many_users_is_cut_by_itself() {
    let user = |n: usize| (format!("{n:0>90}"), UserEntry::default());
    let all = Everything { users: (0..60_000).map(user).collect(), ..everything() };
    let line = Line::snapshot(1, all);
    let lines = line.encoded();
    assert!(lines.len() > 2);
    let mut pieces = Pieces::default();
    let mut whole = None;
    for bytes in lines {
        assert!(bytes.len() < 2 * identity::pieces::PIECE);
        whole = pieces.take(serde_json::from_slice(&bytes).unwrap()).unwrap();
    }
    assert_eq!(whole, Some(line));
}

#[test]
fn somebody_stands_as_long_as_their_token_counts() {
    let mut snapshot = Snapshot::from_everything(1, everything()).unwrap();
    snapshot.policy.set_user("a", User { generation: 3, ..User::default() });
    let token = ec().sign(&Claims::new("a", Some(NOW + 9), 3)).unwrap();
    let standing = snapshot.standing(&token, NOW).unwrap();
    assert_eq!(standing.uid(), "a");
    assert_eq!(snapshot.stands(&standing, NOW), Ok(()));
    assert_eq!(snapshot.stands(&standing, NOW + 100), Err(TokenError::Expired));
    let mut other = snapshot.clone();
    other.policy.set_user("a", User { generation: 4, ..User::default() });
    assert_eq!(other.stands(&standing, NOW), Err(TokenError::Revoked));
    other.policy.remove_user("a");
    assert_eq!(other.stands(&standing, NOW), Err(TokenError::UnknownUser));
    let mut other = snapshot.clone();
    other.keys = KeySet::new([rsa().public().clone()]).unwrap();
    assert_eq!(other.stands(&standing, NOW), Err(TokenError::UnknownKey));
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
