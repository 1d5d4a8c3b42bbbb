//! Why a token, a key, a resource id or a change of the policy is refused. No message carries
//! what was refused: it may be a secret.

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url, or not the JSON objects that they should be.
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// A header parameter that would have to be understood, and is not.
    #[error("the token's header asks for something that is not supported")]
    Header,
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or of the wrong type.
    #[error("the token's claim \"{0}\" is missing or malformed")]
    Claim(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token would live too long")]
    TooLongLived,
    #[error("the token's user does not exist")]
    UnknownUser,
    #[error("the token has been revoked")]
    Revoked,
}

/// Why a key is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key is not PEM of a kind that is accepted")]
    Pem,
    #[error("the key's encoding is malformed")]
    Malformed,
    #[error("the key is of a kind that is not supported: RSA and EC P-256 are")]
    Unsupported,
    #[error("an RSA key needs a modulus of 2048 to 8192 bits and an odd exponent above 1")]
    Weak,
    #[error("two keys have the same id")]
    Duplicate,
    #[error("there are too many keys")]
    TooMany,
    #[error("no RSA key could be made")]
    Generate,
    #[error("signing failed")]
    Signing,
}

/// Why a text is not a resource id, or not a user or group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RidError {
    #[error("it is empty")]
    Empty,
    #[error("it is too long")]
    TooLong,
    #[error("it has a character that is not allowed")]
    Character,
    #[error("it has an empty part")]
    EmptyPart,
}

/// Why a line of the policy stream does not apply.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("version {found} does not follow version {have}")]
    Gap { have: u64, found: u64 },
    #[error("changes came before a snapshot")]
    NoSnapshot,
    #[error("pieces of lines do not fit together")]
    Pieces,
    #[error("a key is unusable")]
    Key(#[from] KeyError),
    #[error("a line is malformed")]
    Malformed(#[source] serde_json::Error),
}
