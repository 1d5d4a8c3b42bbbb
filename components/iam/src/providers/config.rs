//! What an administrator says about an OpenID Connect provider.

use std::fmt;

use http_kit::client::Authorities;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::oidc::url::{Site, base_url, issuer};

const MAX_TEXT: usize = 4096;
const MAX_BUNDLE: usize = 256 * 1024;
const MAX_SCOPES: usize = 32;

/// A provider's configuration, in the original's fields and a few of our own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderConfig {
    #[serde(default)]
    pub(crate) description: String,
    /// As it stands in the provider's tokens, to the letter.
    pub(crate) issuer: String,
    /// The cluster, as browsers reach it: `https://host`.
    pub(crate) base_url: String,
    pub(crate) client_id: String,
    /// Without one the client is public, and PKCE alone protects the code.
    #[serde(default)]
    pub(crate) client_secret: Option<String>,
    /// PEM; trusted beside the public authorities.
    #[serde(default)]
    pub(crate) ca_certs: Option<String>,
    /// The original can be told not to look at certificates; here `true` is all there is.
    #[serde(default = "yes")]
    pub(crate) verify_server_certificate: bool,
    /// Asked for besides `openid`.
    #[serde(default = "scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim that becomes the uid; of `email`, only an address that was verified.
    #[serde(default = "email")]
    pub(crate) uid_claim: String,
    /// Whether who is unknown here becomes a user (who may do nothing yet) by logging in.
    #[serde(default)]
    pub(crate) auto_create_users: bool,
    /// Whether an ID token that a client brings is a login, as in open DC/OS: nothing ties such
    /// a token to a login at this cluster.
    #[serde(default)]
    pub(crate) id_token_login: bool,
}

fn yes() -> bool {
    true
}

fn scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn email() -> String {
    "email".to_owned()
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderConfig({})", self.issuer)
    }
}

// === impl ProviderConfig ===

impl ProviderConfig {
    /// From a request's body.
    pub(crate) fn from_json(body: Value) -> Result<ProviderConfig, ApiError> {
        let parsed: Result<ProviderConfig, _> = serde_json::from_value(body);
        // Errors of the reader name fields; those of secrets are texts like any other.
        let config = parsed.map_err(|error| ApiError::invalid_data(error.to_string()))?;
        config.check().map_err(ApiError::invalid_data)?;
        Ok(config)
    }

    /// With the fields of `patch` in place of its own; `null` takes an optional one away.
    pub(crate) fn patched(&self, patch: Value) -> Result<ProviderConfig, ApiError> {
        let Value::Object(patch) = patch else {
            return Err(ApiError::invalid_data("a JSON object is expected"));
        };
        let whole = serde_json::to_value(self);
        let Ok(Value::Object(mut whole)) = whole else {
            return Err(ApiError::invalid_data("the provider cannot be changed"));
        };
        whole.extend(patch);
        ProviderConfig::from_json(Value::Object(whole))
    }

    /// What is shown: everything but the secret.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = match serde_json::to_value(self) {
            Ok(Value::Object(shown)) => shown,
            _ => Map::new(),
        };
        shown.remove("client_secret");
        if self.ca_certs.is_none() {
            shown.remove("ca_certs");
        }
        Value::Object(shown)
    }

    /// What everybody may see, in the map of all ways to log in.
    pub(crate) fn listed(&self, id: &str) -> Value {
        let flow = format!(
            "/acs/api/v1/auth/login?oidc-provider={id}&target=dcos:authenticationresponse:html"
        );
        json!({
            "authentication-type": "oidc-authorization-code-flow",
            "description": self.description,
            "client-method": "browser-prompt-authtoken",
            "config": { "start_flow_url": flow, "cli_flow": "v1" },
        })
    }

    pub(crate) fn site(&self) -> Result<Site, &'static str> {
        issuer(&self.issuer)
    }

    /// Where the provider sends browsers back to.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}/acs/api/v1/auth/oidc/callback", self.base_url.trim_end_matches('/'))
    }

    pub(crate) fn authorities(&self) -> Result<Authorities, String> {
        match &self.ca_certs {
            None => Ok(Authorities::default()),
            Some(bundle) => Authorities::from_pem(bundle.as_bytes()).map_err(|e| e.to_string()),
        }
    }

    fn check(&self) -> Result<(), String> {
        self.site().map_err(|reason| format!("issuer: {reason}"))?;
        base_url(&self.base_url).map_err(|reason| format!("base_url: {reason}"))?;
        if !self.verify_server_certificate {
            let text = "verify_server_certificate cannot be turned off; give ca_certs";
            return Err(text.to_owned());
        }
        if self.ca_certs.as_ref().is_some_and(|bundle| bundle.len() > MAX_BUNDLE) {
            return Err("ca_certs: it is too long".to_owned());
        }
        self.authorities().map_err(|reason| format!("ca_certs: {reason}"))?;
        let secret = self.client_secret.as_deref();
        let texts = [
            ("description", self.description.as_str(), true),
            ("client_id", &self.client_id, false),
            ("client_secret", secret.unwrap_or("-"), false),
        ];
        for (name, text, may_be_empty) in texts {
            if text.len() > MAX_TEXT || (text.is_empty() && !may_be_empty) {
                return Err(format!("{name}: it must have 1 to {MAX_TEXT} bytes"));
            }
        }
        if self.scopes.len() > MAX_SCOPES || !self.scopes.iter().all(|scope| is_token(scope)) {
            return Err("scopes: a list of words is expected".to_owned());
        }
        if !is_token(&self.uid_claim) {
            return Err("uid_claim: the name of a claim is expected".to_owned());
        }
        Ok(())
    }
}

/// RFC 6749's scope token, and short.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({
            "issuer": "https://idp.example.com/realm",
            "base_url": "https://cluster.example.com",
            "client_id": "dcos",
            "client_secret": "s3cret",
        })
    }

    #[test]
    fn the_originals_fields_are_enough_and_the_secret_is_never_shown() {
        let config = ProviderConfig::from_json(body()).unwrap();
        assert_eq!(config.scopes, ["email", "profile"]);
        assert!(!config.auto_create_users && !config.id_token_login);
        assert_eq!(
            config.redirect_uri(),
            "https://cluster.example.com/acs/api/v1/auth/oidc/callback"
        );
        for text in
            [format!("{config:?}"), config.shown().to_string(), config.listed("x").to_string()]
        {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = [
            ("issuer", json!("http://idp.example.com")),
            ("issuer", json!("https://user@idp.example.com")),
            ("issuer", json!("https://idp.example.com/?a=b")),
            ("issuer", json!("")),
            ("base_url", json!("http://cluster.example.com")),
            ("base_url", json!("https://cluster.example.com/path")),
            ("client_id", json!("")),
            ("client_secret", json!("")),
            ("ca_certs", json!("nonsense")),
            ("verify_server_certificate", json!(false)),
            ("scopes", json!(["a b"])),
            ("uid_claim", json!("")),
            ("auto_create_users", json!("yes")),
            ("unknown", json!(1)),
        ];
        for (name, value) in wrong {
            let mut body = body();
            body[name] = value.clone();
            let error = ProviderConfig::from_json(body).unwrap_err();
            assert_eq!(error.code, Some("ERR_INVALID_DATA"), "{name}: {value}");
            let named = error.description.contains(name) || value == json!("yes");
            assert!(named, "{name}: {}", error.description);
        }
        let mut local = body();
        local["issuer"] = json!("http://127.0.0.1:5556/dex");
        local["base_url"] = json!("http://localhost:8000");
        assert!(ProviderConfig::from_json(local).is_ok(), "a provider on this machine");
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let config = ProviderConfig::from_json(body()).unwrap();
        let patched =
            config.patched(json!({"description": "Ours", "client_secret": null})).unwrap();
        assert_eq!(patched.description, "Ours");
        assert_eq!(patched.client_secret, None);
        assert_eq!(patched.issuer, config.issuer);
        assert!(config.patched(json!({"issuer": null})).is_err());
        assert!(config.patched(json!([])).is_err());
    }
}
