//! Any sequence of commands: no name of nobody, what is stored is what is there, what followers
//! hear is what holds, and there is always a superuser.

use std::collections::BTreeMap;

use identity::Snapshot;
use identity::wire::Line;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Action, Command, Credential, NewUser, PasswordHash, ProviderType, SUPERUSER_RID, SUPERUSERS,
    State, Subject, UserPatch, Write, changes, everything,
};
use crate::store::records;

const UIDS: [&str; 4] = ["admin", "anna", "ben@x.org", ".."];
const GIDS: [&str; 3] = [SUPERUSERS, "dev", "ops"];
const RIDS: [&str; 4] = [SUPERUSER_RID, "dcos:a", "dcos:a:/b/c", "dcos:iam:users"];

fn uid() -> impl Strategy<Value = String> {
    prop::sample::select(&UIDS[..]).prop_map(str::to_owned)
}

fn gid() -> impl Strategy<Value = String> {
    prop::sample::select(&GIDS[..]).prop_map(str::to_owned)
}

fn rid() -> impl Strategy<Value = String> {
    prop::sample::select(&RIDS[..]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(&["", "one", "two"][..]).prop_map(str::to_owned)
}

fn hash() -> impl Strategy<Value = PasswordHash> {
    text().prop_map(PasswordHash)
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![uid().prop_map(Subject::User), gid().prop_map(Subject::Group)]
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(&Action::ALL[..])
}

fn credential() -> impl Strategy<Value = Credential> {
    prop_oneof![
        hash().prop_map(Credential::Password),
        text().prop_map(Credential::PublicKey),
        text().prop_map(|provider_id| Credential::Remote {
            provider_type: ProviderType::Oidc,
            provider_id,
        }),
    ]
}

fn patch() -> impl Strategy<Value = UserPatch> {
    let key = prop::option::weighted(0.1, text());
    (prop::option::of(text()), prop::option::of(hash()), key, prop::option::of(any::<bool>()))
        .prop_map(|(description, password, public_key, active)| UserPatch {
            description,
            password,
            public_key,
            active,
        })
}

fn command() -> impl Strategy<Value = Command> {
    let of_users = prop_oneof![
        (uid(), text(), credential()).prop_map(|(uid, description, credential)| {
            Command::CreateUser(NewUser { uid, description, credential })
        }),
        (uid(), patch()).prop_map(|(uid, patch)| Command::UpdateUser { uid, patch }),
        (uid(), hash(), hash()).prop_map(|(uid, from, to)| Command::Rehash { uid, from, to }),
        uid().prop_map(|uid| Command::RevokeTokens { uid }),
        uid().prop_map(|uid| Command::DeleteUser { uid }),
    ];
    let of_groups = prop_oneof![
        (gid(), text()).prop_map(|(gid, description)| Command::CreateGroup {
            gid,
            description,
            provider_type: ProviderType::Internal,
        }),
        (gid(), text()).prop_map(|(gid, description)| Command::UpdateGroup { gid, description }),
        gid().prop_map(|gid| Command::DeleteGroup { gid }),
        (gid(), uid()).prop_map(|(gid, uid)| Command::AddMember { gid, uid }),
        (gid(), uid()).prop_map(|(gid, uid)| Command::AddMember { gid, uid }),
        (gid(), uid()).prop_map(|(gid, uid)| Command::RemoveMember { gid, uid }),
    ];
    let of_acls = prop_oneof![
        (rid(), text()).prop_map(|(rid, description)| Command::CreateAcl { rid, description }),
        (rid(), text()).prop_map(|(rid, description)| Command::UpdateAcl { rid, description }),
        rid().prop_map(|rid| Command::DeleteAcl { rid }),
        (rid(), subject(), action()).prop_map(|(rid, subject, action)| Command::Allow {
            rid,
            subject,
            action
        }),
        (rid(), subject(), action()).prop_map(|(rid, subject, action)| Command::Allow {
            rid,
            subject,
            action
        }),
        (rid(), subject(), action()).prop_map(|(rid, subject, action)| Command::Forbid {
            rid,
            subject,
            action
        }),
        (rid(), subject()).prop_map(|(rid, subject)| Command::ForbidAll { rid, subject }),
    ];
    prop_oneof![of_users, of_groups, of_acls]
}

/// A cluster as it is after its first start, with somebody who may do something.
fn begun() -> State {
    let group = |gid: &str| Command::CreateGroup {
        gid: gid.to_owned(),
        description: String::new(),
        provider_type: ProviderType::Internal,
    };
    let admin = NewUser {
        uid: "admin".to_owned(),
        description: String::new(),
        credential: Credential::Password(PasswordHash("secret".to_owned())),
    };
    let anna = NewUser { uid: "anna".to_owned(), ..admin.clone() };
    let commands = [
        Command::CreateUser(admin),
        group(SUPERUSERS),
        Command::AddMember { gid: SUPERUSERS.to_owned(), uid: "admin".to_owned() },
        Command::CreateAcl { rid: SUPERUSER_RID.to_owned(), description: String::new() },
        Command::Allow {
            rid: SUPERUSER_RID.to_owned(),
            subject: Subject::Group(SUPERUSERS.to_owned()),
            action: Action::Full,
        },
        Command::CreateUser(anna),
        Command::CreateAcl { rid: "dcos:a".to_owned(), description: String::new() },
        Command::Allow {
            rid: "dcos:a".to_owned(),
            subject: Subject::User("anna".to_owned()),
            action: Action::Read,
        },
    ];
    let mut state = State::default();
    for command in commands {
        let writes = command.run(&state).unwrap();
        state.apply(&writes);
        state.revision += 1;
    }
    state
}

fn assert_sound(state: &State) {
    for group in state.groups() {
        assert!(group.members.iter().all(|uid| state.users.contains_key(uid)), "{group:?}");
    }
    for acl in state.acls() {
        assert!(acl.users.keys().all(|uid| state.users.contains_key(uid)), "{acl:?}");
        assert!(acl.groups.keys().all(|gid| state.groups.contains_key(gid)), "{acl:?}");
        assert!(acl.users.values().chain(acl.groups.values()).all(|actions| !actions.is_empty()));
    }
    let superusers = state.group(SUPERUSERS).unwrap();
    assert!(superusers.members.iter().any(|uid| state.user(uid).unwrap().active));
    let acl = state.acl(SUPERUSER_RID).unwrap();
    assert!(acl.groups.get(SUPERUSERS).unwrap().contains(Action::Full));
}

fn no_keys() -> serde_json::Value {
    json!({ "keys": [] })
}

proptest! {
    #[test]
    fn whatever_is_asked_for(commands in prop::collection::vec(command(), 1..80)) {
        let mut state = begun();
        let mut stored: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let all: Vec<Write> = state.users().cloned().map(Write::User)
            .chain(state.groups().cloned().map(Write::Group))
            .chain(state.acls().cloned().map(Write::Acl))
            .collect();
        keep(&mut stored, &all);
        let mut follower =
            Snapshot::from_everything(0, everything(&state, no_keys())).unwrap();
        let mut generations: BTreeMap<String, u64> = BTreeMap::new();
        for command in commands {
            let before = state.clone();
            let Ok(writes) = command.run(&state) else { continue };
            if writes.is_empty() {
                continue;
            }
            state.apply(&writes);
            state.revision += 1;
            assert_sound(&state);
            keep(&mut stored, &writes);
            let version = follower.version + 1;
            follower.apply_line(Line::changes(version, changes(&before, &state))).unwrap();
            let direct = Snapshot::from_everything(version, everything(&state, no_keys()));
            prop_assert_eq!(&follower, &direct.unwrap(), "followers were told something else");
            for user in state.users() {
                let seen = generations.entry(user.uid.clone()).or_default();
                prop_assert!(user.generation >= *seen, "a generation came again");
                let same = before.users.get(&user.uid).is_some_and(|b| b.password == user.password
                    && b.public_key == user.public_key && b.active == user.active);
                let rehash = matches!(command, Command::Rehash { .. });
                prop_assert!(same || rehash || user.generation > *seen, "old tokens live on");
                *seen = user.generation;
            }
        }
        let mut replayed = State { revision: state.revision, ..State::default() };
        for (key, value) in &stored {
            let write = records::read(key, Some(value)).unwrap().unwrap();
            replayed.apply(&[write]);
        }
        prop_assert_eq!(replayed, state);
    }
}

fn keep(stored: &mut BTreeMap<String, Vec<u8>>, writes: &[Write]) {
    for write in writes {
        let (key, value) = records::write(write).unwrap();
        match value {
            Some(value) => {
                stored.insert(key, value);
            }
            None => {
                stored.remove(&key);
            }
        }
    }
}
