//! What a request to create a user may say.

use super::{ProviderType, check_uid};
use crate::ApiError;

/// The provider of users that the original's older clients create by their address alone.
const LEGACY_PROVIDER: &str = "https://dcos.auth0.com/";

/// The fields of a request to create a user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wish {
    pub password: Option<String>,
    pub public_key: Option<String>,
    pub description: Option<String>,
    pub provider_type: Option<String>,
    pub provider_id: Option<String>,
}

/// How the user is to show who they are; passwords and keys are not looked at yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Means {
    Password(String),
    PublicKey(String),
    Remote { provider_type: ProviderType, provider_id: String },
}

// === impl Wish ===

impl Wish {
    /// The means, by the rules of the original and in their order.
    pub fn means(self, uid: &str) -> Result<Means, ApiError> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let (password, public_key) = (given(&self.password), given(&self.public_key));
        let legacy = !given(&self.provider_id)
            && self.provider_type.is_none()
            && !password
            && !public_key
            && is_address(uid);
        if self.password.as_deref() == Some("") {
            return Err(ApiError::invalid_data("`password` must not be empty when provided"));
        }
        if self.public_key.as_deref() == Some("") {
            return Err(ApiError::invalid_data("`public_key` must not be empty when provided"));
        }
        let kind = match self.provider_type.as_deref() {
            None if legacy => ProviderType::Oidc,
            None => ProviderType::Internal,
            Some(name) => ProviderType::parse(name)
                .ok_or_else(|| ApiError::invalid_data(format!("Invalid provider_type: {name}")))?,
        };
        let provider_id =
            if legacy { LEGACY_PROVIDER.into() } else { self.provider_id.unwrap_or_default() };
        if kind != ProviderType::Internal && password {
            return Err(ApiError::invalid_data("external provider: `password` is unexpected"));
        }
        if kind != ProviderType::Internal && public_key {
            return Err(ApiError::invalid_data("external provider: `public_key` is unexpected"));
        }
        let means = match (kind, self.password, self.public_key) {
            (ProviderType::Internal, Some(password), None) => Means::Password(password),
            (ProviderType::Internal, None, Some(key)) => Means::PublicKey(key),
            (ProviderType::Internal, ..) => {
                let text = "One of `password` or `public_key` must be provided";
                return Err(ApiError::invalid_data(text));
            }
            _ => Means::Remote { provider_type: kind, provider_id: provider_id.clone() },
        };
        check_uid(uid)?;
        check_provider_id(kind, &provider_id)?;
        Ok(means)
    }
}

fn check_provider_id(kind: ProviderType, id: &str) -> Result<(), ApiError> {
    let text = match (kind.has_ids(), id.is_empty()) {
        (true, true) => "provider_id must be provided if provider_type is saml or oidc",
        (false, false) => "provider_id must not be provided unless provider_type is saml or oidc",
        _ => return Ok(()),
    };
    Err(ApiError::invalid_data(format!("Invalid provider_id: {text}")))
}

/// Something, an at, something with a dot in it: as liberal as the original.
fn is_address(uid: &str) -> bool {
    let Some((name, rest)) = uid.split_once('@') else { return false };
    let host = rest.split('@').next().unwrap_or_default();
    let dot = host.char_indices().skip(1).find(|(at, c)| *c == '.' && at + 1 < host.len());
    !name.is_empty() && dot.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(fields: [Option<&str>; 4]) -> Wish {
        let [password, public_key, provider_type, provider_id] =
            fields.map(|field| field.map(str::to_owned));
        Wish { password, public_key, provider_type, provider_id, description: None }
    }

    fn refusal(uid: &str, fields: [Option<&str>; 4]) -> (Option<&'static str>, String) {
        let Err(error) = wish(fields).means(uid) else { panic!("{uid} {fields:?} was taken") };
        (error.code, error.description)
    }

    /// Every combination, judged as the original's own tests judge them.
    #[test]
    fn fields_combine_as_in_the_original() {
        let texts = [None, Some(""), Some("given")];
        let kinds = [None, Some("internal"), Some("ldap"), Some("oidc"), Some("saml")];
        let ids = [None, Some(""), Some(" "), Some("some id")];
        for (password, key) in texts.iter().flat_map(|p| texts.iter().map(move |k| (*p, *k))) {
            for (kind, id) in kinds.iter().flat_map(|t| ids.iter().map(move |i| (*t, *i))) {
                let fields = [password, key, kind, id];
                let given =
                    [password, key].iter().filter(|f| f.is_some_and(|f| !f.is_empty())).count();
                let internal = matches!(kind, None | Some("internal"));
                let with_id = id.is_some_and(|id| !id.is_empty());
                let expected = if password == Some("") || key == Some("") {
                    "must not be empty when provided"
                } else if internal && given != 1 {
                    "One of `password` or `public_key` must be provided"
                } else if !internal && password.is_some() {
                    "external provider: `password` is unexpected"
                } else if !internal && key.is_some() {
                    "external provider: `public_key` is unexpected"
                } else if matches!(kind, Some("oidc" | "saml")) != with_id {
                    "Invalid provider_id: provider_id must"
                } else {
                    assert!(wish(fields).means("usera").is_ok(), "{fields:?}");
                    continue;
                };
                let (code, text) = refusal("usera", fields);
                assert_eq!(code, Some("ERR_INVALID_DATA"));
                assert!(text.contains(expected), "{fields:?}: {text}");
            }
        }
    }

    #[test]
    fn an_address_alone_is_a_user_of_the_legacy_provider() {
        for uid in ["a@b.c", "a.b@c.d.e"] {
            let Ok(Means::Remote { provider_type, provider_id }) = Wish::default().means(uid)
            else {
                panic!("{uid} is not remote")
            };
            assert_eq!((provider_type, &*provider_id), (ProviderType::Oidc, LEGACY_PROVIDER));
        }
        for uid in ["a", "a@b", "@b.c", "a@.c", "a@b."] {
            assert!(refusal(uid, [None; 4]).1.contains("One of"), "{uid}");
        }
    }

    #[test]
    fn names_of_types_and_users_are_checked() {
        assert_eq!(refusal("u", [None, None, Some("bad"), None]).1, "Invalid provider_type: bad");
        assert_eq!(refusal("u", [None, None, Some(""), None]).1, "Invalid provider_type: ");
        let (code, text) = refusal("a!", [Some("password"), None, None, None]);
        assert_eq!((code, &*text), (Some("ERR_INVALID_USER_ID"), "Invalid user ID: a!"));
    }
}
