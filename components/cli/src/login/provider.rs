//! The ways to log in, as a cluster lists them.

use super::Challenge;
use crate::json::text;
use crate::server::Server;
use anyhow::bail;
use http::Method;
use serde_json::Value;

const PROVIDERS: &str = "/acs/api/v1/auth/providers";
/// The provider whose page hands the token to a program on this machine.
const AUTH0: &str = "dcos-oidc-auth0";

/// The login page that ends with a token to copy.
const COPY: &str = "/login?redirect_uri=urn:ietf:wg:oauth:2.0:oob";

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Password,
    ServiceKey,
    /// A page shows a token of the cluster.
    BrowserToken,
    /// A page shows a token of the provider, which the cluster takes for one of its own.
    BrowserIdToken,
}

/// One way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) id: String,
    kind: String,
    method: String,
    description: String,
    pub(super) start_flow_url: String,
    /// The cluster's own word that the page knows how to hand the token over.
    flow: String,
}

// === impl Provider ===

impl Provider {
    fn read(id: &str, value: &Value) -> Provider {
        let field = |pointer| text(value, pointer).to_owned();
        Provider {
            id: id.to_owned(),
            kind: field("/authentication-type"),
            method: field("/client-method"),
            description: field("/description"),
            start_flow_url: field("/config/start_flow_url"),
            flow: field("/config/cli_flow"),
        }
    }

    /// The login page of the cluster itself, which shows a token at the end.
    pub(super) fn own_page() -> Provider {
        Provider {
            method: "browser-prompt-authtoken".to_owned(),
            start_flow_url: COPY.to_owned(),
            ..Provider::default()
        }
    }

    pub(super) fn how(&self) -> Option<How> {
        Some(match self.method.as_str() {
            "dcos-credential-post-receive-authtoken"
            | "dcos-usercredential-post-receive-authtoken" => How::Password,
            "dcos-servicecredential-post-receive-authtoken" => How::ServiceKey,
            "browser-prompt-authtoken" => How::BrowserToken,
            "browser-prompt-oidcidtoken-get-authtoken" => How::BrowserIdToken,
            _ => return None,
        })
    }

    pub(super) fn is_password(&self) -> bool {
        self.kind == "dcos-uid-password"
    }

    pub(super) fn hands_over(&self) -> bool {
        self.id == AUTH0 || self.flow == "v1"
    }

    /// What it is, in a sentence.
    pub(crate) fn description(&self) -> String {
        let plain = |text: &str| text.to_owned();
        match self.kind.as_str() {
            "dcos-uid-password" => {
                plain("Log in using a standard user account (username and password)")
            }
            "dcos-uid-servicekey" => {
                plain("Log in using a service user account (username and private key)")
            }
            "dcos-uid-password-ldap" => {
                plain("Log in using an LDAP user account (username and password)")
            }
            "saml-sp-initiated" => format!("Log in using SAML 2.0 ({})", self.description),
            "oidc-authorization-code-flow" | "oidc-implicit-flow" => {
                format!("Log in using OpenID Connect ({})", self.description)
            }
            _ => self.description.clone(),
        }
    }
}

/// What the cluster lists, as it does; nothing where it has no list.
pub(crate) async fn listed(server: &Server) -> anyhow::Result<Option<Value>> {
    let answer = server.anonymous().ask(Method::GET, PROVIDERS, None).await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let value = serde_json::from_slice::<Value>(answer.body()).unwrap_or_default();
    Ok(Some(value).filter(Value::is_object))
}

/// The ways to log in, by id.
pub(crate) async fn providers(
    server: &Server,
    challenge: &Challenge,
) -> anyhow::Result<Vec<Provider>> {
    let asked = match challenge {
        Challenge::Asks(asked) => asked.as_str(),
        Challenge::None | Challenge::Unclear => "",
    };
    let mut found = match listed(server).await? {
        Some(Value::Object(list)) => {
            list.iter().map(|(id, value)| Provider::read(id, value)).collect()
        }
        // Older clusters say it in one word.
        _ if asked == "acsjwt" => vec![by_password()],
        _ if asked == "oauthjwt" => Vec::new(),
        _ => bail!("the cluster at {} lists no way to log in", server.base()),
    };
    if asked == "oauthjwt" && !found.iter().any(|provider| provider.id == AUTH0) {
        found.push(by_auth0());
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn by_password() -> Provider {
    Provider {
        id: "dcos-users".to_owned(),
        kind: "dcos-uid-password".to_owned(),
        method: "dcos-usercredential-post-receive-authtoken".to_owned(),
        description: "Default login provider".to_owned(),
        ..Provider::default()
    }
}

fn by_auth0() -> Provider {
    Provider {
        id: AUTH0.to_owned(),
        kind: "oidc-implicit-flow".to_owned(),
        method: "browser-prompt-oidcidtoken-get-authtoken".to_owned(),
        description: "Google, GitHub, or Microsoft".to_owned(),
        start_flow_url: COPY.to_owned(),
        ..Provider::default()
    }
}
