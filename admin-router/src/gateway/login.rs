//! `/login`: the form, and what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE, USER_AGENT,
};
use http::{Request, StatusCode};
use http_body_util::Full;
use http_kit::Params;
use proxy::{Decision, Later, Response, Scheme};
use serde_json::{Value, json};

use super::forward::GATEWAY;
use super::{Ask, Gateway, Inner, own, query, respond};
use crate::access::origin;
use crate::pages::{Form, login_page, set, target, token_page};

/// The largest form.
const LONGEST: usize = 16 * 1024;
/// How long the list of providers is taken as it is.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// How long a login may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the page waits for the list of providers.
const SHORT: Duration = Duration::from_secs(2);
/// As programs ask for a page with the token.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

const WRONG: &str = "User or password is wrong.";
const TOO_MANY: &str = "There were too many failed attempts. Try again later.";
const AWAY: &str = "Logins are not possible at the moment.";

/// The providers of logins elsewhere, as IAM listed them last.
#[derive(Default)]
pub(crate) struct Providers(ArcSwapOption<(Instant, Vec<(String, String)>)>);

// === impl Gateway ===

impl Gateway {
    /// `GET /login`
    pub(super) fn login_form(&self, ask: Ask) -> Decision {
        if self.0.redirector.is_some() {
            let this = self.clone();
            return Decision::Later(Box::pin(async move {
                let response = this.0.to_redirector(&ask).await;
                respond(response, ask.id)
            }));
        }
        let params = Params::parse(query(&ask.head).unwrap_or_default());
        let form = Form {
            target: params.get("redirect").or(params.get("target")).and_then(target::local),
            copy: params.get("redirect_uri") == Some(OUT_OF_BAND),
            ..Form::default()
        };
        self.show(ask, form, StatusCode::OK)
    }

    fn show(&self, ask: Ask, form: Form, status: StatusCode) -> Decision {
        let this = self.clone();
        Decision::Later(Box::pin(async move {
            let response = this.0.login_page(&ask, &form, status).await;
            respond(response, ask.id)
        }))
    }

    /// `POST /login`. Only the page's own form counts: nobody is logged in, as whomever, by a
    /// page elsewhere.
    pub(super) fn log_in(&self, ask: Ask) -> Decision {
        if !origin::is_own(&ask.head, ask.peer.scheme) {
            return self.0.own(&ask, |inner, ask| {
                let text = own("the login form of this gateway is needed");
                inner.pages.error(Some(&ask.head), &ask.peer, StatusCode::FORBIDDEN, &text)
            });
        }
        let kind = ask.head.header("content-type").unwrap_or_default();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return self.0.own(&ask, |inner, ask| {
                let (status, text) =
                    (StatusCode::UNSUPPORTED_MEDIA_TYPE, own("a form is expected"));
                inner.pages.error(Some(&ask.head), &ask.peer, status, &text)
            });
        }
        let this = self.clone();
        Decision::Read {
            limit: LONGEST,
            then: Box::new(move |body| -> Later {
                Box::pin(async move { this.try_login(ask, &body).await })
            }),
        }
    }

    async fn try_login(&self, ask: Ask, body: &[u8]) -> Decision {
        let params = Params::parse(std::str::from_utf8(body).unwrap_or_default());
        let mut form = Form {
            target: params.get("redirect").and_then(target::local),
            copy: params.get("copy").is_some(),
            uid: params.get("uid").unwrap_or_default().trim().to_owned(),
            error: None,
        };
        let password = params.get("password").unwrap_or_default();
        let status = match self.0.ask_iam(&ask, &form.uid, password).await {
            Outcome::In { token, cookies } => {
                return respond(self.0.logged_in(&ask, &form, &token, cookies), ask.id);
            }
            Outcome::Refused => {
                form.error = Some(WRONG);
                StatusCode::UNAUTHORIZED
            }
            Outcome::TooMany => {
                form.error = Some(TOO_MANY);
                StatusCode::TOO_MANY_REQUESTS
            }
            Outcome::Away => {
                form.error = Some(AWAY);
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        self.show(ask, form, status)
    }
}

/// What IAM says to a login.
enum Outcome {
    In { token: String, cookies: Vec<HeaderValue> },
    Refused,
    TooMany,
    Away,
}

// === impl Inner ===

impl Inner {
    async fn login_page(&self, ask: &Ask, form: &Form, status: StatusCode) -> Response {
        if self.iam.is_none() {
            let text = own("there is no identity service to log in with");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.pages.error(Some(&ask.head), &ask.peer, status, &text);
        }
        let providers = self.known_providers().await;
        let page = login_page(form, &providers);
        self.pages.html(Some(&ask.head), &ask.peer, status, page)
    }

    /// Sends the login to IAM, as coming from the client.
    async fn ask_iam(&self, ask: &Ask, uid: &str, password: &str) -> Outcome {
        let Some(iam) = &self.iam else { return Outcome::Away };
        if uid.is_empty() || password.is_empty() {
            return Outcome::Refused;
        }
        let body = json!({"uid": uid, "password": password}).to_string();
        let scheme = if ask.peer.scheme == Scheme::Https { "https" } else { "http" };
        let mut request = Request::post(format!("{iam}/acs/api/v1/auth/login"))
            .header(CONTENT_TYPE, "application/json")
            .header("x-forwarded-for", self.forwarded_for(ask))
            .header("x-real-ip", ask.peer.address.ip().to_string())
            .header("x-forwarded-proto", scheme);
        if let Some(token) = self.tokens.authorization() {
            request = request.header(GATEWAY, token);
        }
        for name in [USER_AGENT, HOST] {
            if let Some(value) = ask.head.header(name.as_str()) {
                request = request.header(name, value);
            }
        }
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else { return Outcome::Away };
        let answer = tokio::time::timeout(PATIENCE, self.client.fetch(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "IAM cannot be asked");
                return Outcome::Away;
            }
            Err(_) => return Outcome::Away,
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Outcome::TooMany,
            // What cannot be a user's name or password is nobody's.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Outcome::Refused;
            }
            _ => return Outcome::Away,
        }
        let cookies = answer.headers().get_all(SET_COOKIE).iter().cloned().collect();
        let answer: Option<Value> = serde_json::from_slice(answer.body()).ok();
        match answer.as_ref().and_then(|answer| answer.get("token")?.as_str()) {
            Some(token) => Outcome::In { token: token.to_owned(), cookies },
            None => Outcome::Away,
        }
    }

    /// Back to where the user was going, with the cookies of IAM; or the token to be copied.
    fn logged_in(
        &self,
        ask: &Ask,
        form: &Form,
        token: &str,
        cookies: Vec<HeaderValue>,
    ) -> Response {
        if form.copy {
            // The login was for a program: the browser gets no session by it.
            return self.token_page(ask, token);
        }
        let location = form.target.as_deref().unwrap_or("/");
        let mut response =
            self.pages.redirect(&ask.head, &ask.peer, StatusCode::SEE_OTHER, location);
        let secret = HeaderValue::from_static("no-store");
        set(&mut response, http::header::CACHE_CONTROL, secret);
        response.headers.extend(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    pub(super) fn token_page(&self, ask: &Ask, token: &str) -> Response {
        let page = token_page(token);
        let mut response = self.pages.html(Some(&ask.head), &ask.peer, StatusCode::OK, page);
        // An origin of its own: no page of a service can look into this one.
        for (name, value) in &mut response.headers {
            if *name == CONTENT_SECURITY_POLICY
                && let Ok(text) = value.to_str()
                && let Ok(sealed) = HeaderValue::try_from(format!("{text}; sandbox"))
            {
                *value = sealed;
            }
        }
        response
    }

    /// The original's redirect to a login elsewhere.
    async fn to_redirector(&self, ask: &Ask) -> Response {
        let Some((redirector, client)) = &self.redirector else {
            return self.not_found(&ask.head, &ask.peer);
        };
        let id = match &self.site.cluster_id {
            Some(path) => tokio::fs::read_to_string(path).await.unwrap_or_default(),
            None => String::new(),
        };
        let id = target::value(id.lines().next().unwrap_or_default().trim());
        let client = target::value(client);
        let mut location = format!("{redirector}/login?client={client}&cluster_id={id}");
        if let Some(query) = query(&ask.head) {
            location.push('&');
            location.push_str(query);
        }
        self.pages.redirect(&ask.head, &ask.peer, StatusCode::FOUND, &location)
    }

    /// Where else users may log in: descriptions and addresses. None when IAM does not say.
    async fn known_providers(&self) -> Arc<Vec<(String, String)>> {
        if let Some(known) = &*self.providers.0.load()
            && known.0.elapsed() < KNOWN_FOR
        {
            return Arc::new(known.1.clone());
        }
        let listed = tokio::time::timeout(SHORT, self.list_providers()).await;
        let listed = listed.ok().flatten().unwrap_or_default();
        self.providers.0.store(Some(Arc::new((Instant::now(), listed.clone()))));
        Arc::new(listed)
    }

    async fn list_providers(&self) -> Option<Vec<(String, String)>> {
        let iam = self.iam.as_ref()?;
        let request = Request::get(format!("{iam}/acs/api/v1/auth/providers"))
            .header(ACCEPT, "application/json")
            .body(Full::default())
            .ok()?;
        let answer = self.client.fetch(request).await.ok()?;
        let all: Value = serde_json::from_slice(answer.body()).ok()?;
        let providers = all.as_object()?.iter().filter_map(|(id, provider)| {
            let url = provider.get("config")?.get("start_flow_url")?.as_str()?;
            let name = provider.get("description").and_then(Value::as_str).unwrap_or(id);
            is_flow(url).then(|| (name.to_owned(), url.to_owned()))
        });
        Some(providers.collect())
    }
}

/// Whether an address may stand on the page as a login elsewhere.
fn is_flow(url: &str) -> bool {
    let printable = url.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    let local = url.starts_with('/') && !url.starts_with("//");
    printable && (local || url.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_browsers_open_are_linked() {
        for url in ["/acs/api/v1/auth/login?oidc-provider=x", "https://id.example.com/start"] {
            assert!(is_flow(url), "{url}");
        }
        for url in
            ["javascript:alert(1)", "//evil", "http://x", "data:x", "", "/\\x", "https://a b"]
        {
            assert!(!is_flow(url), "{url}");
        }
    }
}
