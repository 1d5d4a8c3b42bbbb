//! Logging in: which ways there are, and going one of them.

mod browser;
mod flags;
mod loopback;
mod provider;

pub(crate) use flags::{Flags, Secret, read_secret_file};
pub(crate) use provider::{Provider, providers};

use crate::failure::Refused;
use crate::json::some_text;
use crate::server::{Server, is_below};
use crate::terminal::Io;
use anyhow::{Context as _, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flags::Given;
use http::{Method, StatusCode};
use provider::How;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const LOGIN: &str = "/acs/api/v1/auth/login";
/// Something that every cluster has, and gives to nobody without a token.
const GUARDED: &str = "/pkgpanda/active.buildinfo.full.json";
/// How often a person may mistype.
const ATTEMPTS: usize = 3;

/// How a login ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Outcome {
    Token(String),
    /// The cluster asks nobody who they are.
    NotNeeded,
}

/// What a cluster says to somebody without a token.
pub(crate) enum Challenge {
    /// Nothing: it lets everybody in.
    None,
    /// The word in `WWW-Authenticate`.
    Asks(String),
    /// Neither; an upstream is away.
    Unclear,
}

/// Logs in at the gateway `server`.
pub(crate) async fn log_in(io: &mut Io, server: &Server, flags: &Flags) -> anyhow::Result<Outcome> {
    let given = flags.resolve(io.environment())?;
    let challenge = challenge(server).await?;
    if matches!(challenge, Challenge::None) {
        return Ok(Outcome::NotNeeded);
    }
    let page = Provider::own_page();
    let providers = providers(server, &challenge).await?;
    let provider = if flags.browser { &page } else { choose(io, &providers, &given)? };
    let mut flow = Flow { io, server: server.quiet(), given, prompted: false };
    flow.run(provider).await.map(Outcome::Token)
}

/// Whether a server is one that people log in to.
pub(crate) async fn is_offered(server: &Server) -> anyhow::Result<bool> {
    if provider::listed(server).await?.is_some() {
        return Ok(true);
    }
    let asks = challenge(server).await?;
    Ok(matches!(asks, Challenge::Asks(word) if matches!(word.as_str(), "acsjwt" | "oauthjwt")))
}

pub(crate) async fn challenge(server: &Server) -> anyhow::Result<Challenge> {
    let answer = server.anonymous().ask(Method::HEAD, GUARDED, None).await?;
    Ok(match answer.status() {
        StatusCode::OK => Challenge::None,
        StatusCode::UNAUTHORIZED => {
            let asked = answer.headers().get(http::header::WWW_AUTHENTICATE);
            let asked = asked.and_then(|value| value.to_str().ok()).unwrap_or_default();
            Challenge::Asks(asked.to_owned())
        }
        _ => Challenge::Unclear,
    })
}

/// The provider that is named, the only one that fits what was given, or the one chosen.
fn choose<'p>(
    io: &mut Io,
    providers: &'p [Provider],
    given: &Given,
) -> anyhow::Result<&'p Provider> {
    if let Some(id) = &given.provider {
        let found = providers.iter().find(|provider| provider.id == *id);
        return found.with_context(|| format!("unknown login provider ID {id:?}"));
    }
    // A directory behind it may be the one to check the password: that makes no difference here.
    let password = given.username.is_some() && given.password.is_some();
    let plain = |provider: &&Provider| password && provider.is_password();
    if let Some(provider) = providers.iter().find(plain) {
        return Ok(provider);
    }
    let fitting: Vec<&Provider> =
        providers.iter().filter(|provider| given.fits(provider)).collect();
    match fitting.as_slice() {
        [] => bail!("couldn't determine a login provider; `dais auth list-providers` shows all"),
        [one] => Ok(one),
        several => select(io, several),
    }
}

fn select<'p>(io: &mut Io, providers: &[&'p Provider]) -> anyhow::Result<&'p Provider> {
    io.note("Please select a login method:")?;
    for (number, provider) in (1..).zip(providers) {
        io.note(format!("  ({number}) {}", provider.description()))?;
    }
    for _ in 0..ATTEMPTS {
        let question = format!("(1-{}): ", providers.len());
        let Some(answer) = io.ask(&question)? else { break };
        let number = answer.trim().parse::<usize>().ok();
        let chosen = number.and_then(|number| providers.get(number.checked_sub(1)?));
        if let Some(provider) = chosen {
            return Ok(provider);
        }
    }
    bail!("no login method was selected; --provider names one")
}

/// One login, with what is asked on the way.
struct Flow<'a> {
    io: &'a mut Io,
    server: Server,
    given: Given,
    /// Whether a person typed something, who may have mistyped.
    prompted: bool,
}

impl Flow<'_> {
    async fn run(&mut self, provider: &Provider) -> anyhow::Result<String> {
        let mut opened = None;
        for attempt in 1.. {
            let outcome = match provider.how() {
                Some(How::Password) => self.password(provider).await,
                Some(How::ServiceKey) => self.service().await,
                Some(how @ (How::BrowserToken | How::BrowserIdToken)) => {
                    if opened.is_none() {
                        opened = Some(self.open(provider).await?);
                    }
                    let page = opened.as_mut().and_then(Option::take);
                    self.browser(how, page).await
                }
                None => bail!("the login provider {:?} has no way that is known here", provider.id),
            };
            match outcome {
                Err(error) if self.prompted && attempt < ATTEMPTS => {
                    self.io.note(format!("Error: {error:#}"))?;
                }
                other => return other,
            }
        }
        bail!("the login did not succeed")
    }

    fn uid(&mut self) -> anyhow::Result<String> {
        if let Some(uid) = &self.given.username {
            return Ok(uid.clone());
        }
        let answer = self.io.ask("Username: ")?;
        // Whose input has ended will not correct a mistake.
        self.prompted = answer.is_some();
        answer.filter(|uid| !uid.is_empty()).context("a username is needed; --username gives it")
    }

    async fn password(&mut self, provider: &Provider) -> anyhow::Result<String> {
        let uid = self.uid()?;
        let password = match &self.given.password {
            Some(password) => password.clone(),
            None => {
                let answer = self.io.secret("Password: ")?;
                self.prompted = answer.is_some();
                Secret::new(answer.context("a password is needed; --password-file gives it")?)
            }
        };
        let body = json!({"uid": uid, "password": password.expose()});
        let place = self.place(&provider.start_flow_url)?;
        self.post(&place, &body).await.with_context(|| format!("cannot log in as {uid}"))
    }

    async fn service(&mut self) -> anyhow::Result<String> {
        let key = self.given.key.clone();
        let key = key.context("a service account logs in with --private-key")?;
        let uid = self.uid()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = identity::service_login_token(&uid, key.expose(), i64::try_from(now)?)
            .context("the private key cannot be used")?;
        let body = json!({"uid": uid, "token": token});
        self.post(LOGIN, &body).await.with_context(|| format!("cannot log in as {uid}"))
    }

    /// Opens the provider's page; where it can hand the token over itself, waits for that.
    async fn open(&mut self, provider: &Provider) -> anyhow::Result<Option<loopback::Page>> {
        let mut url = match provider.start_flow_url.as_str() {
            path if path.starts_with('/') => format!("{}{path}", self.server.base()),
            url => url.to_owned(),
        };
        let page = if provider.hands_over() && browser::can_open(self.io.environment()) {
            let page = loopback::Page::start(&url, self.server.base()).await?;
            url = page.url().to_owned();
            Some(page)
        } else {
            None
        };
        let text = format!("If your browser didn't open, please follow this link:\n\n    {url}\n");
        self.io.note(text)?;
        // Where no browser opens, nobody would hand anything over.
        Ok(page.filter(|_| browser::open(self.io.environment(), &url)))
    }

    async fn browser(&mut self, how: How, page: Option<loopback::Page>) -> anyhow::Result<String> {
        let token = match page {
            Some(page) => page.token().await?,
            None => {
                let question = "Enter token from the browser (it will NOT be visible): ";
                let token = self.io.secret(question)?;
                self.prompted = token.is_some();
                token.context("a token is needed")?.trim().to_owned()
            }
        };
        if how == How::BrowserIdToken {
            return self.post(LOGIN, &json!({ "token": token })).await;
        }
        let with_token = self.server.with_token(token.clone());
        let answer = with_token.ask(Method::HEAD, GUARDED, None).await?;
        anyhow::ensure!(answer.status() != StatusCode::UNAUTHORIZED, "invalid auth token");
        Ok(token)
    }

    /// Where credentials go: to this cluster, whatever it says.
    fn place(&self, start: &str) -> anyhow::Result<String> {
        if start.is_empty() {
            return Ok(LOGIN.to_owned());
        }
        if start.starts_with('/') && !start.starts_with("//") {
            return Ok(start.to_owned());
        }
        let base = self.server.base();
        anyhow::ensure!(is_below(start, base), "the login of {base} is elsewhere: {start}");
        Ok(start.get(base.len()..).unwrap_or_default().to_owned())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let answer = self.server.anonymous().post(path, body).await.map_err(without_hint)?;
        let token = some_text(&answer, "/token");
        Ok(token.context("the cluster's answer has no token")?.to_owned())
    }
}

/// Who a token is of, for a person to read: nothing here vouches for it.
pub(crate) fn uid_of(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    some_text(&claims, "/uid").map(str::to_owned)
}

/// Who is just logging in need not be told to.
fn without_hint(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => anyhow::Error::new(Refused { hint: None, ..refused }),
        Err(error) => error,
    }
}
