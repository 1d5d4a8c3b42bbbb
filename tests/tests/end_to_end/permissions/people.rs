//! Those who ask, and their tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use identity::{Action, Claims, KeySet, Policy, SUPERUSER, SigningKey, Snapshot, User};
use serde_json::{Value, json};

/// One who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    /// Without a token.
    Nobody,
    /// With a token of the administrator that was good until a minute ago.
    Expired,
    /// With a token of the administrator that says it needs no signature.
    NoAlgorithm,
    /// With a token of the administrator that names the right key and is signed with another.
    WrongKey,
    /// A user without any permission.
    Other,
    /// A user who may read everything.
    Reader,
    /// A superuser.
    Admin,
}

/// The keys and users of a cluster.
pub(super) struct People {
    key: SigningKey,
    stranger: SigningKey,
}

const ADMIN: &str = "admin";
const OTHER: &str = "other";
const READER: &str = "reader";
/// The service accounts, with what they get.
const ACCOUNTS: [(&str, &[(&str, Action)]); 2] = [
    (
        "dcos_marathon",
        &[
            ("dcos:mesos:master:framework:role", Action::Create),
            ("dcos:mesos:master:framework:role", Action::Read),
        ],
    ),
    ("deployer", &[("dcos:service:marathon:marathon:services:/dev", Action::Full)]),
];

fn new_key() -> SigningKey {
    let pkcs8 = SigningKey::generate_es256().expect("a key");
    SigningKey::es256(&pkcs8).expect("the same key")
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("not so late")
}

// === impl People ===

impl People {
    pub(super) fn new() -> People {
        People { key: new_key(), stranger: new_key() }
    }

    /// What IAM would tell of them.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut policy = Policy::default();
        for uid in [ADMIN, OTHER, READER] {
            policy.set_user(uid, User::default());
        }
        policy.grant_user(ADMIN, SUPERUSER, Action::Full);
        for rid in ["dcos:mesos", "dcos:service", "dcos:adminrouter"] {
            policy.grant_user(READER, rid, Action::Read);
        }
        for (uid, grants) in ACCOUNTS {
            policy.set_user(uid, User { is_service: true, ..User::default() });
            for (rid, action) in grants {
                policy.grant_user(uid, rid, *action);
            }
        }
        let keys = KeySet::new([self.key.public().clone()]).expect("a set of keys");
        Snapshot { version: 1, keys, policy }
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&self, person: Person) -> Option<String> {
        let token = match person {
            Person::Nobody => return None,
            Person::Expired => self.signed(ADMIN, now() - 60),
            Person::NoAlgorithm => {
                let header = json!({"alg": "none", "typ": "JWT", "kid": self.key.kid()});
                format!("{}.{}.", encoded(&header), encoded(&claims(ADMIN)))
            }
            Person::WrongKey => {
                let claims = claims(ADMIN);
                let payload = claims.as_object().expect("an object");
                self.stranger.sign_payload(payload, Some(self.key.kid())).expect("a token")
            }
            Person::Other => self.signed(OTHER, now() + 600),
            Person::Reader => self.signed(READER, now() + 600),
            Person::Admin => self.signed(ADMIN, now() + 600),
        };
        Some(format!("token={token}"))
    }

    /// A good token of an account.
    pub(super) fn of_account(&self, uid: &str) -> String {
        format!("token={}", self.signed(uid, now() + 600))
    }

    fn signed(&self, uid: &str, until: i64) -> String {
        self.key.sign(&Claims::new(uid, Some(until), 0)).expect("a token")
    }
}

fn claims(uid: &str) -> Value {
    json!({"uid": uid, "exp": now() + 600})
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}
