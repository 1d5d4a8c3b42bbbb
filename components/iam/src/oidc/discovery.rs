//! What a provider says of itself at `/.well-known/openid-configuration`.

use http::Uri;
use serde_json::Value;

use super::url::{self, Site};

/// Why a provider's own configuration is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error("the provider's configuration is not a JSON object")]
    Malformed,
    /// OpenID Connect Discovery demands it: else one provider could speak for another.
    #[error("the provider calls itself by another issuer than the configured one")]
    Issuer,
    #[error("the provider's {name}: {reason}")]
    Endpoint { name: &'static str, reason: &'static str },
    #[error("the provider does not do the authorization code flow")]
    Flow,
}

/// How the client shows at the token endpoint who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    Basic,
    Post,
    /// A public client.
    None,
}

/// What is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Uri,
    pub(super) token_endpoint: Uri,
    pub(super) jwks_uri: Uri,
    /// The answer to the browser names the issuer (RFC 9207).
    pub(super) names_issuer: bool,
    basic: bool,
    post: bool,
}

impl Metadata {
    pub(super) fn parse(text: &[u8], issuer: &str, site: Site) -> Result<Metadata, DiscoveryError> {
        let value: Value = serde_json::from_slice(text).map_err(|_| DiscoveryError::Malformed)?;
        if !value.is_object() {
            return Err(DiscoveryError::Malformed);
        }
        if value.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(DiscoveryError::Issuer);
        }
        let endpoint = |name: &'static str| {
            let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
            url::endpoint(text, site).map_err(|reason| DiscoveryError::Endpoint { name, reason })
        };
        let has = |name: &str, wanted: &str, default: bool| match value.get(name) {
            None | Some(Value::Null) => default,
            Some(list) => list.as_array().is_some_and(|list| list.iter().any(|v| v == wanted)),
        };
        if !has("response_types_supported", "code", true) {
            return Err(DiscoveryError::Flow);
        }
        let methods = "token_endpoint_auth_methods_supported";
        Ok(Metadata {
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            jwks_uri: endpoint("jwks_uri")?,
            names_issuer: value.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            basic: has(methods, "client_secret_basic", true),
            post: has(methods, "client_secret_post", false),
        })
    }

    pub(super) fn client_auth(&self, has_secret: bool) -> ClientAuth {
        match (has_secret, self.basic, self.post) {
            (false, ..) => ClientAuth::None,
            (true, false, true) => ClientAuth::Post,
            (true, ..) => ClientAuth::Basic,
        }
    }
}

/// Where the configuration of an issuer is.
pub(super) fn location(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://idp.example.com/realm";

    fn metadata() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example.com/auth?tenant=x",
            "token_endpoint": "https://idp.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks",
        })
    }

    fn parse(value: &Value) -> Result<Metadata, DiscoveryError> {
        Metadata::parse(value.to_string().as_bytes(), ISSUER, Site::Remote)
    }

    #[test]
    fn defaults_are_the_standards() {
        let parsed = parse(&metadata()).unwrap();
        assert_eq!(parsed.client_auth(true), ClientAuth::Basic);
        assert_eq!(parsed.client_auth(false), ClientAuth::None);
        assert!(!parsed.names_issuer);
        assert_eq!(location("https://a/b/"), "https://a/b/.well-known/openid-configuration");
    }

    #[test]
    fn what_a_provider_can_do_is_used() {
        let mut value = metadata();
        value["token_endpoint_auth_methods_supported"] = json!(["client_secret_post", "x"]);
        value["authorization_response_iss_parameter_supported"] = json!(true);
        let parsed = parse(&value).unwrap();
        assert_eq!(parsed.client_auth(true), ClientAuth::Post);
        assert!(parsed.names_issuer);
    }

    #[test]
    fn what_is_not_the_configured_provider_is_refused() {
        let change = |name: &str, to: Value| {
            let mut value = metadata();
            value[name] = to;
            parse(&value).unwrap_err()
        };
        for other in [json!("https://idp.example.com/realm/"), json!("https://evil"), json!(1)] {
            assert_eq!(change("issuer", other), DiscoveryError::Issuer);
        }
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for bad in [json!(null), json!("http://idp.example.com/x"), json!("https://127.0.0.1/")]
            {
                let error = change(name, bad);
                assert!(matches!(error, DiscoveryError::Endpoint { name: n, .. } if n == name));
            }
        }
        let implicit = change("response_types_supported", json!(["id_token"]));
        assert_eq!(implicit, DiscoveryError::Flow);
        for text in ["", "[]", "{", "null"] {
            let parsed = Metadata::parse(text.as_bytes(), ISSUER, Site::Remote);
            assert_eq!(parsed, Err(DiscoveryError::Malformed), "{text}");
        }
    }
}
