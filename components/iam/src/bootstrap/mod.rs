//! What has to be there before anybody can log in: the first administrator, the group of
//! superusers, the accounts of the components.
//!
//! Each step is one transaction with a mark that says it was done: a start that was cut off goes
//! on where it was, several instances do it once, and what an operator removed later does not
//! come back. Files are written before what depends on them is stored (the password), or can be
//! written again from what is stored (the accounts).

mod accounts;
mod password;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cluster_state::{ClusterState, Op, StateError, When};
use identity::{Action, KeyError, PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::accounts::{ACCOUNTS, Account, Grant};
use crate::ApiError;
use crate::audit::{Audit, AuditError, BEGUN, Event, since_epoch};
use crate::model::{
    Command, Credential, NewUser, PasswordHash, ProviderType, SUPERUSER_RID, SUPERUSERS, State,
    Subject, Write,
};
use crate::password::{PasswordError, Passwords};
use crate::sealing::{NodeKey, SealError};
use crate::secrets::{self, SecretFileError};
use crate::store::{Store, StoreError};

pub(crate) const ADMIN: &str = "admin";
const ADMIN_MARK: &str = "/iam/bootstrap/admin";
const SUPERUSER_MARKS: &str = "/iam/bootstrap/superusers/";
const ACCOUNT_MARKS: &str = "/iam/service-accounts/";

/// Why the first accounts could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("a key of a service account is not usable")]
    Key(#[from] KeyError),
    #[error("the account {uid} in the cluster's state is not readable: {reason}")]
    Stored { uid: String, reason: String },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) admin_password_file: PathBuf,
    pub(crate) service_accounts: PathBuf,
}

/// What it takes.
pub(crate) struct Bootstrap<'a> {
    pub(crate) store: &'a Store,
    pub(crate) audit: &'a Audit,
    pub(crate) cluster: &'a Arc<dyn ClusterState>,
    pub(crate) node_key: &'a NodeKey,
    pub(crate) passwords: &'a Passwords,
    pub(crate) data_dir: &'a Path,
    /// Where components reach this service.
    pub(crate) address: SocketAddr,
    /// A superuser with a key that the installation brings: uid and public key.
    pub(crate) superuser_account: Option<&'a (String, String)>,
}

/// What is sealed of an account.
#[derive(Serialize, Deserialize)]
struct AccountRecord {
    /// PEM.
    private_key: String,
    /// What was granted by a start: `rid action`.
    granted: BTreeSet<String>,
}

impl Places {
    pub(crate) fn below(data_dir: &Path) -> Places {
        Places {
            admin_password_file: data_dir.join("admin-password"),
            service_accounts: data_dir.join("service-accounts"),
        }
    }
}

// === impl Bootstrap ===

impl Bootstrap<'_> {
    /// Does what was not done yet.
    pub(crate) async fn run(&self) -> Result<Places, BootstrapError> {
        let places = Places::below(self.data_dir);
        self.administrator(&places.admin_password_file).await?;
        if let Some((uid, public_key)) = self.superuser_account {
            self.superuser_account(uid, public_key).await?;
        }
        secrets::create_folder(&places.service_accounts)?;
        for account in ACCOUNTS {
            self.account(account, &places.service_accounts).await?;
        }
        Ok(places)
    }

    async fn administrator(&self, file: &Path) -> Result<(), BootstrapError> {
        if self.cluster.get(ADMIN_MARK).await?.is_some() {
            return Ok(());
        }
        let left = secrets::read(file)?.and_then(|content| password::read(&content));
        let password = match left {
            // A start that was cut off between the file and the state.
            Some(password) => password,
            None => {
                let password = password::generate();
                secrets::replace(file, format!("{password}\n").as_bytes())?;
                password
            }
        };
        let hash = PasswordHash(self.passwords.hash(password).await?.as_str().to_owned());
        let credential = Credential::Password(hash);
        let mark = mark(ADMIN_MARK.to_owned(), Bytes::new());
        let decide = |state: &State| {
            batch(state, superuser(state, ADMIN, "The first administrator", credential.clone()))
        };
        let what = format!("the first administrator, {ADMIN}");
        if !self.step(what, &mark, decide).await? {
            // Another instance was first, with a password of its own.
            std::fs::remove_file(file)
                .map_err(|source| SecretFileError::Io { path: file.to_owned(), source })?;
        }
        Ok(())
    }

    async fn superuser_account(&self, uid: &str, key: &str) -> Result<(), BootstrapError> {
        let path = format!("{SUPERUSER_MARKS}{}", crate::model::key_part(uid));
        if self.cluster.get(&path).await?.is_some() {
            return Ok(());
        }
        let credential = Credential::PublicKey(PublicKey::from_pem(key)?.pem());
        let decide = |state: &State| {
            let description = "Superuser service account defined in the configuration";
            batch(state, superuser(state, uid, description, credential.clone()))
        };
        let what = format!("the superuser of the configuration, {uid}");
        self.step(what, &mark(path, Bytes::new()), decide).await?;
        Ok(())
    }

    /// Makes sure of an account, what it was granted, and its file.
    async fn account(&self, account: &Account, folder: &Path) -> Result<(), BootstrapError> {
        let path = format!("{ACCOUNT_MARKS}{}", account.uid);
        let record = match self.cluster.get(&path).await? {
            Some(entry) => self.grant_new(account, &path, &entry).await?,
            None => self.make(account, &path).await?,
        };
        let key = SigningKey::from_pem(&record.private_key)?;
        if self.store.state().user(account.uid).is_err() {
            // Another instance may just have made it.
            self.store.refresh().await?;
        }
        let state = self.store.state();
        let public_key = state.user(account.uid).ok().and_then(|user| user.public_key.clone());
        let ours = public_key.and_then(|pem| PublicKey::from_pem(&pem).ok());
        if ours.is_none_or(|ours| ours != *key.public()) {
            // Removed, or given another key by an operator: the file is theirs too.
            return Ok(());
        }
        let content = json!({
            "uid": account.uid,
            "private_key": record.private_key,
            "scheme": key.algorithm().name(),
            "login_endpoint": format!("http://{}/acs/api/v1/auth/login", self.reachable()),
        });
        let content = format!("{content:#}\n").into_bytes();
        let file = folder.join(format!("{}.json", account.uid));
        if secrets::read(&file)?.as_ref() != Some(&content) {
            secrets::replace(&file, &content)?;
        }
        Ok(())
    }

    async fn make(&self, account: &Account, path: &str) -> Result<AccountRecord, BootstrapError> {
        let pkcs8 = SigningKey::generate_es256()?;
        let public_key = SigningKey::es256(&pkcs8)?.public().pem();
        let granted = account.grants.iter().map(grant_name).collect();
        let record = AccountRecord { private_key: SigningKey::pkcs8_pem(&pkcs8), granted };
        let mark = mark(path.to_owned(), self.seal(path, account.uid, &record)?);
        let decide = |state: &State| {
            let mut commands = Vec::new();
            // One of that name that is there already is an operator's, with rights of its own.
            if state.user(account.uid).is_err() {
                let credential = Credential::PublicKey(public_key.clone());
                commands.push(create(account.uid, account.description, credential));
                commands.extend(grants(state, account.uid, account.grants));
            }
            batch(state, commands)
        };
        if self.step(format!("the account {}", account.uid), &mark, decide).await? {
            return Ok(record);
        }
        let entry = self.cluster.get(path).await?;
        let entry = entry.ok_or_else(|| stored(account.uid, "it is gone again"))?;
        self.open(path, account.uid, &entry.value)
    }

    /// Grants what this version needs and earlier ones did not.
    async fn grant_new(
        &self,
        account: &Account,
        path: &str,
        entry: &cluster_state::Entry,
    ) -> Result<AccountRecord, BootstrapError> {
        let mut record = self.open(path, account.uid, &entry.value)?;
        let new =
            account.grants.iter().filter(|grant| !record.granted.contains(&grant_name(grant)));
        let new: Vec<Grant> = new.copied().collect();
        if new.is_empty() {
            return Ok(record);
        }
        record.granted.extend(new.iter().map(grant_name));
        let mark = Op::Put {
            key: path.to_owned(),
            value: self.seal(path, account.uid, &record)?,
            when: When::Version(entry.version),
        };
        let decide = |state: &State| {
            let known = state.user(account.uid).is_ok();
            batch(state, if known { grants(state, account.uid, &new) } else { Vec::new() })
        };
        // Where another instance was faster it granted the same.
        let granted: Vec<String> = new.iter().map(grant_name).collect();
        let what = format!("new permissions of {}: {}", account.uid, granted.join(", "));
        self.step(what, &mark, decide).await?;
        Ok(record)
    }

    /// One step, which stands in the audit log before it is made, and how it ended. Says no when
    /// another instance made it.
    async fn step(
        &self,
        what: String,
        mark: &Op,
        decide: impl Fn(&State) -> Result<Vec<Write>, ApiError>,
    ) -> Result<bool, BootstrapError> {
        let event = Event { event: "bootstrap", object: what, ..Event::default() };
        let tell = |result, reason: &str| {
            let event = Event { result, reason: reason.to_owned(), ..event.clone() };
            self.audit.record(event, since_epoch())
        };
        tell(BEGUN, "").await?;
        let done = self.store.run_once(mark, decide).await;
        match &done {
            Ok(true) => tell("allow", "").await?,
            Ok(false) => tell("deny", "another instance was first").await?,
            Err(_) => tell("unknown", "the state could not be written").await?,
        }
        Ok(done?)
    }

    fn seal(&self, path: &str, uid: &str, record: &AccountRecord) -> Result<Bytes, BootstrapError> {
        let plain = serde_json::to_vec(record).map_err(|error| stored(uid, error))?;
        Ok(self.node_key.seal(path, &plain)?.into())
    }

    fn open(&self, path: &str, uid: &str, value: &[u8]) -> Result<AccountRecord, BootstrapError> {
        let plain = self.node_key.open(path, value)?;
        serde_json::from_slice(&plain).map_err(|error| stored(uid, error))
    }

    /// An address that components of this machine can connect to.
    fn reachable(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }
}

// === what is asked of the state ===

/// A member of the group that may do everything, with the group and its permission.
fn superuser(state: &State, uid: &str, description: &str, credential: Credential) -> Vec<Command> {
    let mut commands = Vec::new();
    if state.group(SUPERUSERS).is_err() {
        commands.push(Command::CreateGroup {
            gid: SUPERUSERS.to_owned(),
            description: "Users who may do everything".to_owned(),
            provider_type: ProviderType::Internal,
        });
    }
    let subject = Subject::Group(SUPERUSERS.to_owned());
    commands.extend(allow(state, SUPERUSER_RID, subject, Action::Full));
    // One of that name that is there already is an operator's.
    if state.user(uid).is_err() {
        commands.push(create(uid, description, credential));
        commands.push(Command::AddMember { gid: SUPERUSERS.to_owned(), uid: uid.to_owned() });
    }
    commands
}

fn create(uid: &str, description: &str, credential: Credential) -> Command {
    let (uid, description) = (uid.to_owned(), description.to_owned());
    Command::CreateUser(NewUser { uid, description, credential })
}

fn grants(state: &State, uid: &str, grants: &[Grant]) -> Vec<Command> {
    let subject = || Subject::User(uid.to_owned());
    let mut made = BTreeSet::new();
    let mut commands = Vec::new();
    for (rid, action) in grants {
        let mut wanted = allow(state, rid, subject(), *action);
        // Two grants on one resource make it once.
        if !made.insert(*rid) {
            wanted.retain(|command| !matches!(command, Command::CreateAcl { .. }));
        }
        commands.append(&mut wanted);
    }
    commands
}

fn allow(state: &State, rid: &str, subject: Subject, action: Action) -> Vec<Command> {
    let mut commands = Vec::new();
    let acl = state.acl(rid).ok();
    if acl.is_none() {
        commands.push(Command::CreateAcl { rid: rid.to_owned(), description: String::new() });
    }
    let allowed = acl.and_then(|acl| match &subject {
        Subject::User(uid) => acl.users.get(uid),
        Subject::Group(gid) => acl.groups.get(gid),
    });
    if !allowed.is_some_and(|actions| actions.contains(action)) {
        commands.push(Command::Allow { rid: rid.to_owned(), subject, action });
    }
    commands
}

/// Several commands as one change; of several writes to a record the last one counts.
fn batch(state: &State, commands: Vec<Command>) -> Result<Vec<Write>, ApiError> {
    let mut after = state.clone();
    let mut writes: Vec<Write> = Vec::new();
    for command in commands {
        let new = command.run(&after)?;
        after.apply(&new);
        writes.retain(|write| !new.iter().any(|other| same_record(write, other)));
        writes.extend(new);
    }
    Ok(writes)
}

fn same_record(one: &Write, other: &Write) -> bool {
    match (one, other) {
        (Write::User(one), Write::User(other)) => one.uid == other.uid,
        (Write::Group(one), Write::Group(other)) => one.gid == other.gid,
        (Write::Acl(one), Write::Acl(other)) => one.rid == other.rid,
        // Nothing is removed here.
        _ => false,
    }
}

fn mark(key: String, value: Bytes) -> Op {
    Op::Put { key, value, when: When::Absent }
}

fn grant_name((rid, action): &Grant) -> String {
    format!("{rid} {}", action.name())
}

fn stored(uid: &str, reason: impl std::fmt::Display) -> BootstrapError {
    BootstrapError::Stored { uid: uid.to_owned(), reason: reason.to_string() }
}
