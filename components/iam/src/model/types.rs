//! What is kept of users, groups and permissions, in the form it is stored in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use identity::Actions;

/// Who vouches for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// This service.
    #[default]
    Internal,
    Ldap,
    Oidc,
    Saml,
}

/// The hash of a password, which no log and no debug output shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

/// A user: a person or a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub provider_type: ProviderType,
    /// Which provider of its type; empty for users of this service.
    #[serde(default)]
    pub provider_id: String,
    /// Of people of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// Of service accounts, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Tokens of other generations are void. It is the revision of the change that began it,
    /// so that no generation ever comes again, not even of a user deleted and made anew.
    pub generation: u64,
    /// Who is not active can neither log in nor do anything.
    #[serde(default = "active")]
    pub active: bool,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub gid: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub provider_type: ProviderType,
    #[serde(default)]
    pub members: BTreeSet<String>,
}

/// Who may do what with a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    pub rid: String,
    #[serde(default)]
    pub description: String,
    /// By uid; none of the sets is empty.
    #[serde(default)]
    pub users: BTreeMap<String, Actions>,
    /// By gid; none of the sets is empty.
    #[serde(default)]
    pub groups: BTreeMap<String, Actions>,
}

fn active() -> bool {
    true
}

// === impl ProviderType ===

impl ProviderType {
    pub fn name(self) -> &'static str {
        match self {
            ProviderType::Internal => "internal",
            ProviderType::Ldap => "ldap",
            ProviderType::Oidc => "oidc",
            ProviderType::Saml => "saml",
        }
    }

    pub fn parse(name: &str) -> Option<ProviderType> {
        let all =
            [ProviderType::Internal, ProviderType::Ldap, ProviderType::Oidc, ProviderType::Saml];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether there can be several of the type, so that an id has to say which.
    pub fn has_ids(self) -> bool {
        matches!(self, ProviderType::Oidc | ProviderType::Saml)
    }
}

// === impl PasswordHash ===

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

// === impl User ===

impl User {
    /// Whether somebody else vouches for this user.
    pub fn is_remote(&self) -> bool {
        self.provider_type != ProviderType::Internal
    }

    pub fn is_service(&self) -> bool {
        self.public_key.is_some()
    }
}
