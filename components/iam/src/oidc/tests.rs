//! Logins at a provider that checks everything a provider has to, and at ones that lie.

mod provider;

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::provider::{Behaviour, Idp};
use super::*;
use crate::feed::Feed;

const NOW: i64 = 1_700_000_000;
const BASE: &str = "https://cluster.example.com";

struct World {
    idp: Idp,
    sso: Sso,
    store: Arc<Store>,
    now: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        World::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut serde_json::Value)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        let state = state as Arc<dyn ClusterState>;
        let feed = Feed::new(CancellationToken::new());
        let (store, _) = Store::open(Arc::clone(&state), feed).await.unwrap();
        let now = Arc::new(AtomicI64::new(NOW));
        let node_key = Arc::new(NodeKey::from_bytes(&[1; 32]).unwrap());
        let sso = Sso::open(state, node_key, Clock::of(Arc::clone(&now))).await.unwrap();
        let idp = Idp::start(format!("{BASE}/acs/api/v1/auth/oidc/callback"), NOW).await;
        let mut config = json!({
            "issuer": idp.issuer(),
            "base_url": BASE,
            "client_id": provider::CLIENT,
            "client_secret": provider::SECRET,
            "auto_create_users": true,
        });
        change(&mut config);
        sso.providers.create("ours", config).await.unwrap();
        World { idp, sso, store, now, _folder: folder }
    }

    /// A whole login, as a browser does it.
    async fn log_in(&self, target: Option<&str>) -> Result<Finished, SsoError> {
        let start = self.sso.start("ours", target).await?;
        let returned = self.idp.browse(&start.location).await;
        self.finish(&Params::parse(&returned), Some(&cookie(&start))).await
    }

    async fn finish(&self, query: &Params, cookie: Option<&str>) -> Result<Finished, SsoError> {
        let returned = self.sso.returned(query, cookie)?;
        self.sso.finish(returned, query).await
    }

    async fn id_token(&self, token: &str) -> Result<Login, SsoError> {
        let provider = self.sso.id_token_provider(token)?;
        self.sso.id_token(&provider, token).await
    }

    /// The user of a login, and whether it was made just now.
    async fn user(&self, login: &Login) -> Result<(Arc<User>, bool), SsoError> {
        match Sso::known_user(&self.store, login)? {
            Some(user) => Ok((user, false)),
            None => Sso::make_user(&self.store, login).await,
        }
    }

    async fn refused(&self, behaviour: Behaviour) -> SsoError {
        self.idp.behave(behaviour);
        let error = self.log_in(None).await.unwrap_err();
        self.idp.behave(Behaviour::Good);
        error
    }
}

fn cookie(start: &Start) -> String {
    let pair = start.cookie.split(';').next().unwrap();
    pair.strip_prefix(&format!("{COOKIE}=")).unwrap().to_owned()
}

#[tokio::test]
async fn a_login_makes_a_user_who_may_do_nothing() {
    let world = World::new().await;
    let finished = world.log_in(Some("/service/x/")).await.unwrap();
    assert_eq!(finished.target, Target::Path("/service/x/".to_owned()));
    assert_eq!(finished.login.uid, "ann@example.com");
    let (user, made) = world.user(&finished.login).await.unwrap();
    assert!(made);
    assert_eq!((user.provider_type, user.provider_id.as_str()), (ProviderType::Oidc, "ours"));
    assert!(user.is_remote() && user.password.is_none());
    assert_eq!(world.store.state().acls().count(), 0);
    assert_eq!(world.store.state().groups_of("ann@example.com").count(), 0);
    let again = world.log_in(None).await.unwrap();
    assert_eq!(world.user(&again.login).await.unwrap(), (user, false));
}

#[tokio::test]
async fn the_cookie_is_for_this_login_alone() {
    let world = World::new().await;
    let start = world.sso.start("ours", None).await.unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/acs/api/v1/auth/oidc;"] {
        assert!(start.cookie.contains(attribute), "{attribute}");
    }
    let returned = world.idp.browse(&start.location).await;
    let other = world.sso.start("ours", None).await.unwrap();
    let params = Params::parse(&returned);
    let finish = async |cookie: Option<&str>| world.finish(&params, cookie).await.map(|_| ());
    assert!(matches!(finish(None).await, Err(SsoError::Flow)), "another browser");
    assert!(matches!(finish(Some("")).await, Err(SsoError::Flow)));
    assert!(matches!(finish(Some(&cookie(&other))).await, Err(SsoError::Flow)), "another login");
    finish(Some(&cookie(&start))).await.unwrap();
    let twice = finish(Some(&cookie(&start))).await;
    assert!(matches!(twice, Err(SsoError::Remote(_))), "a code counts once: {twice:?}");
}

#[tokio::test]
async fn a_login_that_took_too_long_is_over() {
    let world = World::new().await;
    let start = world.sso.start("ours", None).await.unwrap();
    let returned = world.idp.browse(&start.location).await;
    world.now.fetch_add(flow::LIFETIME, Ordering::SeqCst);
    let late = world.finish(&Params::parse(&returned), Some(&cookie(&start))).await;
    assert!(matches!(late, Err(SsoError::Flow)));
}

#[tokio::test]
async fn tokens_of_a_provider_that_lies_do_not_count() {
    let world = World::new().await;
    use IdTokenError as E;
    let claims = [
        (Behaviour::Claim("aud", json!("other-client")), E::Audience),
        (Behaviour::Claim("aud", json!([provider::CLIENT, "other"])), E::Audience),
        (Behaviour::Claim("azp", json!("other-client")), E::Audience),
        (Behaviour::Claim("nonce", json!("another")), E::Nonce),
        (Behaviour::Claim("nonce", json!(null)), E::Nonce),
        (Behaviour::Claim("exp", json!(NOW - 3600)), E::Expired),
        (Behaviour::Claim("iat", json!(NOW + 3600)), E::NotYetValid),
        (Behaviour::Claim("iss", json!("https://evil.example")), E::Issuer),
        (Behaviour::Claim("email_verified", json!(false)), E::UnverifiedEmail),
    ];
    for (behaviour, expected) in claims {
        let error = world.refused(behaviour.clone()).await;
        assert!(
            matches!(&error, SsoError::IdToken(e) if *e == expected),
            "{behaviour:?}: {error:?}"
        );
    }
    let signatures = [
        (Behaviour::AlgNone(""), TokenError::Malformed),
        (Behaviour::AlgNone("AAAA"), TokenError::Algorithm),
        (Behaviour::Hs256, TokenError::Algorithm),
        (Behaviour::OtherKey, TokenError::Signature),
    ];
    for (behaviour, expected) in signatures {
        let error = world.refused(behaviour.clone()).await;
        assert!(matches!(&error, SsoError::Token(e) if *e == expected), "{behaviour:?}: {error:?}");
    }
    for behaviour in [Behaviour::NoToken, Behaviour::Redirect, Behaviour::Endless] {
        let error = world.refused(behaviour.clone()).await;
        assert!(matches!(error, SsoError::Remote(_)), "{behaviour:?}: {error:?}");
        assert!(!error.is_refusal());
    }
    assert!(world.store.state().users().next().is_none());
    world.log_in(None).await.unwrap();
}

#[tokio::test]
async fn an_answer_of_another_provider_is_not_taken() {
    let world = World::new().await;
    let start = world.sso.start("ours", None).await.unwrap();
    let returned = world.idp.browse(&start.location).await;
    let mixed = format!("{returned}&iss=https%3A%2F%2Fevil.example");
    let finished = world.finish(&Params::parse(&mixed), Some(&cookie(&start))).await;
    assert!(matches!(finished, Err(SsoError::Flow)));
    assert_eq!(world.idp.exchanges(), 0, "the code went nowhere");
    let named = format!("{returned}&iss={}", http_kit::query::encode(&world.idp.issuer()));
    world.finish(&Params::parse(&named), Some(&cookie(&start))).await.unwrap();
}

#[tokio::test]
async fn a_provider_changed_meanwhile_does_not_get_the_code() {
    let world = World::new().await;
    let start = world.sso.start("ours", None).await.unwrap();
    let returned = world.idp.browse(&start.location).await;
    let other = json!({"issuer": "https://other.example"});
    world.sso.providers.patch("ours", other).await.unwrap();
    let finished = world.finish(&Params::parse(&returned), Some(&cookie(&start))).await;
    assert!(matches!(finished, Err(SsoError::Flow)));
    assert_eq!(world.idp.exchanges(), 0);
}

#[tokio::test]
async fn new_keys_are_looked_for_but_not_for_any_token() {
    let world = World::new().await;
    world.log_in(None).await.unwrap();
    assert_eq!(world.idp.key_requests(), 1);
    world.idp.rotate();
    let early = world.log_in(None).await;
    assert!(matches!(early, Err(SsoError::Token(TokenError::UnknownKey))), "{early:?}");
    assert_eq!(world.idp.key_requests(), 1, "just looked");
    world.now.fetch_add(10, Ordering::SeqCst);
    world.log_in(None).await.unwrap();
    assert_eq!(world.idp.key_requests(), 2);
    world.idp.behave(Behaviour::UnknownKid);
    for _ in 0..5 {
        world.log_in(None).await.unwrap_err();
    }
    assert_eq!(world.idp.key_requests(), 2, "many tokens, no look");
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_asked_for_every_login() {
    let world = World::new().await;
    world.idp.behave(Behaviour::Away);
    for _ in 0..5 {
        let error = world.sso.start("ours", None).await.unwrap_err();
        assert!(matches!(error, SsoError::Remote(_)));
    }
    assert_eq!(world.idp.discoveries(), 1);
    world.idp.behave(Behaviour::Good);
    world.now.fetch_add(10, Ordering::SeqCst);
    world.log_in(None).await.unwrap();
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_not_asked_for_with_every_token() {
    let world = World::with(|config| config["id_token_login"] = json!(true)).await;
    let token = world.idp.token(json!({}));
    world.idp.behave(Behaviour::NoKeys);
    for _ in 0..5 {
        let error = world.id_token(&token).await.unwrap_err();
        assert!(matches!(error, SsoError::Remote(_)), "{error:?}");
    }
    assert_eq!(world.idp.key_requests(), 1);
    world.idp.behave(Behaviour::Good);
    world.now.fetch_add(10, Ordering::SeqCst);
    world.id_token(&token).await.unwrap();
    // The same while older keys are known: they count on.
    world.idp.rotate();
    world.idp.behave(Behaviour::NoKeys);
    world.now.fetch_add(10, Ordering::SeqCst);
    let newer = world.idp.token(json!({}));
    for _ in 0..5 {
        world.id_token(&newer).await.unwrap_err();
        world.id_token(&token).await.unwrap();
    }
    assert_eq!(world.idp.key_requests(), 3);
}

#[tokio::test]
async fn refusals_of_the_provider_are_words() {
    let world = World::new().await;
    let start = world.sso.start("ours", None).await.unwrap();
    let returned = world.idp.browse(&start.location).await;
    let state = Params::parse(&returned).get("state").unwrap().to_owned();
    let refused = async |error: &str| {
        let query = format!("state={state}&error={error}");
        let finished = world.finish(&Params::parse(&query), Some(&cookie(&start))).await;
        finished.unwrap_err().to_string()
    };
    assert!(refused("access_denied").await.ends_with(": access_denied"));
    assert!(refused("%3Cscript%3Ealert(1)").await.ends_with(": error"));
}

#[tokio::test]
async fn targets_elsewhere_and_providers_unknown_are_refused_at_the_start() {
    let world = World::new().await;
    for target in ["//evil.example", "https://evil.example/", "/\\evil.example"] {
        let error = world.sso.start("ours", Some(target)).await.unwrap_err();
        assert!(matches!(error, SsoError::Target), "{target}");
    }
    let error = world.sso.start("theirs", None).await.unwrap_err();
    assert!(matches!(error, SsoError::Refused(e) if e.code == Some("ERR_UNKNOWN_PROVIDER_ID")));
}

#[tokio::test]
async fn users_belong_to_one_provider() {
    let world = World::with(|config| config["auto_create_users"] = json!(false)).await;
    let login = world.log_in(None).await.unwrap().login;
    let user = async || world.user(&login).await;
    assert!(matches!(user().await, Err(SsoError::UnknownUser)));
    let make = async |credential: Credential| {
        let uid = login.uid.clone();
        let new = NewUser { uid: uid.clone(), description: String::new(), credential };
        let _ = world.store.run(&Command::DeleteUser { uid }).await;
        world.store.run(&Command::CreateUser(new)).await.unwrap();
    };
    let hash = crate::password::hash("password").unwrap().as_str().to_owned();
    make(Credential::Password(crate::model::PasswordHash(hash))).await;
    assert!(matches!(user().await, Err(SsoError::OtherProvider)), "a local user");
    let remote = |id: &str| Credential::Remote {
        provider_type: ProviderType::Oidc,
        provider_id: id.to_owned(),
    };
    make(remote("theirs")).await;
    assert!(matches!(user().await, Err(SsoError::OtherProvider)));
    for own in ["ours".to_owned(), world.idp.issuer()] {
        make(remote(&own)).await;
        assert!(user().await.is_ok(), "{own}");
    }
    let patch = crate::model::UserPatch { active: Some(false), ..Default::default() };
    let disable = Command::UpdateUser { uid: login.uid.clone(), patch };
    world.store.run(&disable).await.unwrap();
    assert!(matches!(user().await, Err(SsoError::Disabled)));
}

#[tokio::test]
async fn id_tokens_alone_are_a_login_only_where_that_is_allowed() {
    let world = World::new().await;
    let token = world.idp.token(json!({"nonce": "whatever"}));
    assert!(world.id_token(&token).await.is_err());
    world.sso.providers.patch("ours", json!({"id_token_login": true})).await.unwrap();
    let login = world.id_token(&token).await.unwrap();
    assert_eq!(login.uid, "ann@example.com");
    for change in [
        json!({"aud": "other"}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": NOW - 3600}),
        json!({"email_verified": false}),
    ] {
        let token = world.idp.token(change.clone());
        assert!(world.id_token(&token).await.is_err(), "{change}");
    }
    for text in ["", "a.b.c", "a.b"] {
        assert!(world.id_token(text).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_public_client_has_no_secret_and_still_a_verifier() {
    let world = World::with(|config| config["client_secret"] = json!(null)).await;
    world.idp.behave(Behaviour::PublicClient);
    world.log_in(None).await.unwrap();
}
