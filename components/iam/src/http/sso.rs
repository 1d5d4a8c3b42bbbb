//! Logins at OpenID Connect providers, and the providers' configuration.

use std::sync::Arc;

use http::header::{COOKIE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use http_kit::{Response, respond};
use serde_json::Value;

use super::call::Call;
use super::login::{denied, granted, no_store, token_for, turn};
use super::{Answer, render};
use crate::ApiError;
use crate::audit::Event;
use crate::model::User;
use crate::oidc::{self, Finished, Login, Sso, SsoError, Target};
use crate::providers::ProvidersError;
use crate::service::{Caller, Iam, event};
use crate::throttle::Attempt;

const LOGIN: &str = "login-oidc";
/// `GET /auth/login`: sends a browser to a provider.
pub(super) async fn start(iam: &Iam, call: &Call) -> Answer {
    let requested = call.params.get("oidc-provider").or_else(|| call.params.get("saml-provider"));
    let Some(id) = requested else {
        let text = "Expected query parameter `oidc-provider` or `saml-provider`.";
        return Err(ApiError::missing_query(text));
    };
    if iam.keys.sso.providers.find(id).is_none() && call.is_browser() {
        return Ok(excuse(&format!("The login provider with ID '{id}' is not known")));
    }
    let program = for_program(call);
    let target = program.as_deref().or(call.params.get("target"));
    match iam.keys.sso.start(id, target).await {
        Ok(start) => {
            let mut response = to(StatusCode::FOUND, &start.location);
            append(response.headers_mut(), SET_COOKIE, &start.cookie);
            Ok(response)
        }
        Err(error) => failed(iam, call, error).await,
    }
}

/// The target that a command line asks for in the original's words. What it says wrongly is a
/// page with a token to copy.
fn for_program(call: &Call) -> Option<String> {
    let flow = call.params.get("dcos_cli_flow").filter(|flow| *flow == "v1");
    let redirect = flow.and(call.params.get("redirect_uri"))?;
    oidc::program(redirect, call.params.get("dcos_cli_csrf_token")?)
}

/// `GET /auth/oidc/callback`: a browser returns from a provider.
pub(super) async fn callback(iam: &Iam, call: &Call) -> Answer {
    let cookie = flow_cookie(&call.headers);
    let finished = match iam.keys.sso.returned(&call.params, cookie.as_deref()) {
        Ok(returned) => {
            let finish = iam.keys.sso.finish(returned, &call.params);
            match counted(iam, call, finish).await {
                Ok(Ok(finished)) => logged_in(iam, call, finished).await,
                Ok(Err(error)) => Err(error),
                Err(refusal) if call.is_browser() => Ok(Ok(excuse(&refusal.description))),
                Err(refusal) => Ok(Err(refusal)),
            }
        }
        Err(error) => Err(error),
    };
    let mut response = match finished {
        Ok(answer) => answer.unwrap_or_else(|refusal| render::error(&refusal)),
        Err(error) => {
            let refused = failed(iam, call, error).await;
            refused.unwrap_or_else(|refusal| render::error(&refusal))
        }
    };
    append(response.headers_mut(), SET_COOKIE, &Sso::clear_cookie(call.tls));
    Ok(response)
}

/// `POST /auth/login` with an ID token alone.
pub(super) async fn id_token(iam: &Iam, call: &Call, token: &str) -> Answer {
    let sso = &iam.keys.sso;
    let login = match sso.id_token_provider(token) {
        Ok(provider) => counted(iam, call, sso.id_token(&provider, token)).await?,
        Err(error) => Err(error),
    };
    let login = match login {
        Ok(login) => login,
        Err(error) => return Err(refusal(iam, call, &error).await?),
    };
    match user(iam, call, &login).await? {
        Ok(user) => granted(iam, call, LOGIN, &user, None).await,
        Err(error) => Err(refusal(iam, call, &error).await?),
    }
}

/// A login that a provider is asked about, unless there were too many from there that failed: they
/// cost us and the provider, who may take them for ours.
async fn counted<T>(
    iam: &Iam,
    call: &Call,
    login: impl Future<Output = Result<T, SsoError>>,
) -> Result<Result<T, SsoError>, ApiError> {
    let mut attempt = Attempt::of_provider(call.client);
    turn(iam, call, LOGIN, "", &mut attempt).await?;
    let login = login.await;
    match &login {
        Ok(_) => iam.throttle().succeeded(&attempt, iam.now()),
        Err(error) if error.is_unjudged() => iam.throttle().undone(&attempt, iam.now()),
        Err(_) => {}
    }
    Ok(login)
}

/// `/auth/oidc/providers/{id}`
pub(super) async fn provider(
    iam: &Iam,
    call: &Call,
    caller: &Caller,
    id: &str,
    body: Option<Value>,
) -> Answer {
    let providers = &iam.keys.sso.providers;
    let body = || body.ok_or_else(|| ApiError::malformed("A JSON body is needed."));
    let with_base = |mut body: Value| {
        if let (Value::Object(fields), Some(url)) = (&mut body, &iam.config.public_url) {
            fields.entry("base_url").or_insert_with(|| url.as_str().into());
        }
        body
    };
    let begin = |name| {
        let object = format!("provider {}", id.chars().take(96).collect::<String>());
        iam.begin(Event { object, ..event(call, name, &caller.uid) })
    };
    let (begun, changed) = match call.method {
        Method::PUT => {
            let config = with_base(body()?);
            (begin("provider-create").await?, providers.create(id, config).await)
        }
        Method::PATCH => {
            let config = body()?;
            (begin("provider-update").await?, providers.patch(id, config).await)
        }
        Method::DELETE => (begin("provider-delete").await?, providers.delete(id).await),
        _ => return Ok(render::ok(&providers.show(id)?)),
    };
    match changed {
        Ok(()) => {
            begun.done().await;
            let created = call.method == Method::PUT;
            Ok(if created { render::created() } else { render::no_content() })
        }
        Err(ProvidersError::Refused(refusal)) => {
            // Its words may repeat what was sent.
            begun.refused(refusal.code.unwrap_or("refused")).await;
            Err(refusal)
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a provider was not changed");
            begun.unknown().await;
            Err(ApiError::internal())
        }
    }
}

/// The session, and on to where the user was going; or the token, for a program.
async fn logged_in(iam: &Iam, call: &Call, finished: Finished) -> Result<Answer, SsoError> {
    let Finished { login, target } = finished;
    let user = match user(iam, call, &login).await {
        Ok(user) => user?,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match target {
        Target::Path(path) => granted(iam, call, LOGIN, &user, None).await.map(|session| {
            let mut response = to(StatusCode::SEE_OTHER, &path);
            for cookie in session.headers().get_all(SET_COOKIE) {
                response.headers_mut().append(SET_COOKIE, cookie.clone());
            }
            response
        }),
        // The login was for a program: the browser gets no session by it.
        Target::Token => {
            token_for(iam, call, LOGIN, &user, None).await.map(|token| token_page(&token, None))
        }
        Target::Program { port, number } => {
            let token = token_for(iam, call, LOGIN, &user, None).await;
            token.map(|token| token_page(&token, Some((port, &number))))
        }
    })
}

/// The user whom a provider vouches for, made if need be and if its configuration says so.
async fn user(
    iam: &Iam,
    call: &Call,
    login: &Login,
) -> Result<Result<Arc<User>, SsoError>, ApiError> {
    let known = match Sso::known_user(&iam.store, login) {
        Ok(known) => known,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(user) = known {
        return Ok(Ok(user));
    }
    let object = format!("user {} of provider {}", login.uid, login.provider_id());
    let begun = iam.begin(Event { object, ..event(call, "user-create", &login.uid) }).await?;
    let made = Sso::make_user(&iam.store, login).await;
    match &made {
        Ok((_, true)) => begun.done().await,
        Ok((_, false)) => begun.refused("another login made it").await,
        Err(error) if error.is_refusal() => begun.refused(&error.to_string()).await,
        Err(_) => begun.unknown().await,
    }
    Ok(made.map(|(user, _)| user))
}

/// What a browser sees of a login that failed, or a program.
async fn failed(iam: &Iam, call: &Call, error: SsoError) -> Answer {
    let refusal = refusal(iam, call, &error).await?;
    if call.is_browser() { Ok(excuse(&refusal.description)) } else { Err(refusal) }
}

/// What is answered to a failed login, which is in the audit log by then.
async fn refusal(iam: &Iam, call: &Call, error: &SsoError) -> Result<ApiError, ApiError> {
    let text = error.to_string();
    if !error.is_refusal() {
        tracing::warn!(error = error as &dyn std::error::Error, "a login at a provider failed");
    } else if let SsoError::Token(reason) = error {
        denied(iam, call, LOGIN, "", &format!("{text}: {reason}")).await?;
    } else {
        denied(iam, call, LOGIN, "", &text).await?;
    }
    Ok(match error {
        SsoError::Refused(refusal) => refusal.clone(),
        SsoError::Target => ApiError::bad("ERR_INVALID_TARGET", text),
        SsoError::Busy | SsoError::Remote(_) => ApiError::unavailable(text),
        SsoError::Internal | SsoError::Store(_) => ApiError::internal(),
        _ => ApiError::unauthorized(text),
    })
}

/// The front page with a message, as the original does it.
fn excuse(message: &str) -> Response {
    to(StatusCode::SEE_OTHER, &format!("/?iam-error={}", http_kit::query::encode(message)))
}

fn to(status: StatusCode, location: &str) -> Response {
    let mut response = respond::status(status);
    append(response.headers_mut(), LOCATION, location);
    no_store(&mut response);
    response
}

/// The token to copy, and where a program on the user's machine waits for it, a button that sends
/// it there. Neither a token nor the number has anything in it that HTML would read otherwise.
fn token_page(token: &str, program: Option<(u16, &str)>) -> Response {
    let (form, submit) = program.map_or_else(nothing_sent, hand_over);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Authentication token</title></head><body>{form}\
         <p>Copy this token into the program that asked for it, and show it to nobody else.</p>\
         <textarea rows=\"12\" cols=\"80\" name=\"token\" form=\"program\" readonly autofocus>\
         {token}</textarea></body></html>\n"
    );
    let mut response = render::text("text/html; charset=utf-8", page);
    no_store(&mut response);
    let headers = response.headers_mut();
    // Nothing runs on the page, nothing is loaded, and nobody frames it.
    let policy = format!(
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action {submit}"
    );
    append(headers, HeaderName::from_static("content-security-policy"), &policy);
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn nothing_sent() -> (String, String) {
    (String::new(), "'none'; sandbox".to_owned())
}

/// The form for a program, and where and how forms may be sent. By number: a browser that was
/// told to use TLS with the name of this machine would not get through.
fn hand_over((port, number): (u16, &str)) -> (String, String) {
    let place = format!("http://127.0.0.1:{port}");
    let form = format!(
        "<form id=\"program\" method=\"post\" action=\"{place}/\">\
         <p>A program on your machine waits for you to log in. If you started it just now:</p>\
         <input type=\"hidden\" name=\"csrf\" value=\"{number}\">\
         <button>Log in to the program</button></form>"
    );
    (form, format!("{place}; sandbox allow-forms"))
}

/// The cookie of the login under way. One name twice is nobody's login.
fn flow_cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(name, _)| name.trim() == oidc::COOKIE);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.trim().to_owned())
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Addresses and cookies are printable ASCII; anything else would say nothing.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_sent_only_to_the_program_that_asked() {
        let page = async |program| {
            let response = token_page("a.b.c", program);
            let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
            let body = response.into_body().collect_all().await.unwrap();
            (policy, String::from_utf8(body.to_vec()).unwrap())
        };
        let (policy, text) = page(None).await;
        assert!(policy.ends_with("form-action 'none'; sandbox"), "{policy}");
        assert!(text.contains(">a.b.c</textarea>") && !text.contains("<form"), "{text}");
        let (policy, text) = page(Some((4567, "number"))).await;
        let expected = "form-action http://127.0.0.1:4567; sandbox allow-forms";
        assert!(policy.ends_with(expected), "{policy}");
        assert!(text.contains("action=\"http://127.0.0.1:4567/\""), "{text}");
        assert!(text.contains("name=\"csrf\" value=\"number\""), "{text}");
    }

    #[test]
    fn the_cookie_of_a_login_is_found_and_only_one() {
        let find = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            flow_cookie(&headers)
        };
        assert_eq!(find(&["a=b; dcos-oidc-flow=x; c=d"]), Some("x".to_owned()));
        assert_eq!(find(&["a=b", "dcos-oidc-flow=x=y"]), Some("x=y".to_owned()));
        for none in [&["a=b"][..], &["xdcos-oidc-flow=x"], &["dcos-oidc-flow=x; dcos-oidc-flow=y"]]
        {
            assert_eq!(find(none), None, "{none:?}");
        }
    }
}
