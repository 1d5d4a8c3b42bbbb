//! The stream that judges follow.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use hyper_body::Lines;
use identity::wire::Line;
use identity::{Action, Snapshot};
use serde_json::json;

use crate::harness::{Iam, started, started_with, until};

mod hyper_body {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    /// The lines of an answer without end.
    pub(crate) struct Lines<B> {
        body: B,
        rest: Vec<u8>,
        ready: VecDeque<Vec<u8>>,
    }

    impl<B> Lines<B>
    where
        B: http_body_util::BodyExt<Data = bytes::Bytes> + Unpin,
    {
        pub(crate) fn new(body: B) -> Lines<B> {
            Lines { body, rest: Vec::new(), ready: VecDeque::new() }
        }

        /// The next line; `None` when the stream has ended.
        pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
            loop {
                if let Some(line) = self.ready.pop_front() {
                    return Some(line);
                }
                let frame = BodyExt::frame(&mut self.body).await?.ok()?;
                self.rest.extend_from_slice(&frame.into_data().ok()?);
                while let Some(at) = self.rest.iter().position(|b| *b == b'\n') {
                    let mut line: Vec<u8> = self.rest.drain(..=at).collect();
                    line.pop();
                    self.ready.push_back(line);
                }
            }
        }
    }
}

async fn follow(iam: &Iam) -> Lines<impl BodyExt<Data = bytes::Bytes> + Unpin + use<>> {
    let request = iam.ask(Method::GET, "/internal/policy").admin().request();
    let response = iam.client.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Lines::new(response.into_body())
}

async fn line(lines: &mut Lines<impl BodyExt<Data = bytes::Bytes> + Unpin>) -> Option<Line> {
    let next = tokio::time::timeout(Duration::from_secs(20), lines.next()).await.unwrap();
    next.map(|line| serde_json::from_slice(&line).unwrap())
}

#[tokio::test]
async fn first_everything_then_each_change_and_signs_of_life() {
    let iam = started_with(|config| config.heartbeat = Duration::from_millis(50)).await;
    let token = iam.user("anna").await;
    let mut lines = follow(&iam).await;
    let mut snapshot = Snapshot::from_line(line(&mut lines).await.unwrap()).unwrap();
    assert!(snapshot.policy.is_superuser("admin"));
    assert!(snapshot.authenticate(&token, 0).is_ok());
    iam.allow("anna", "dcos:a", "read").await;
    assert_eq!(iam.put("/groups/dev", json!({ "description": "" })).await.status, 201);
    let put = iam.ask(Method::PUT, "/groups/dev/users/anna").admin().send().await;
    assert_eq!(put.status, 204);
    assert_eq!(iam.ask(Method::DELETE, "/users/anna/tokens").admin().send().await.status, 204);
    let mut beats = 0;
    while snapshot.authenticate(&token, 0).is_ok() || beats == 0 {
        let line = line(&mut lines).await.unwrap();
        beats += usize::from(line.changes.is_none());
        snapshot.apply_line(line).unwrap();
    }
    assert!(snapshot.policy.allows("anna", "dcos:a:b", Action::Read));
    assert_eq!(&*snapshot.policy.user("anna").unwrap().groups[0], "dev");
    // Who begins now has the same.
    let mut fresh = follow(&iam).await;
    let fresh = Snapshot::from_line(line(&mut fresh).await.unwrap()).unwrap();
    assert_eq!(fresh, snapshot);
    iam.stopped().await;
}

#[tokio::test]
async fn components_may_follow_with_their_own_account() {
    let iam = started().await;
    let file = iam.running.service_accounts.join("dcos_mesos_agent.json");
    let account = http_kit::guard::ServiceAccount::load(&file).unwrap();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let body = account.login_body(i64::try_from(since.as_secs()).unwrap()).unwrap();
    let login = iam.try_login(serde_json::from_str(&body).unwrap()).await.json();
    let token = login["token"].as_str().unwrap();
    let request = iam.ask(Method::GET, "/internal/policy").token(token).request();
    let mut lines = Lines::new(iam.client.send(request).await.unwrap().into_body());
    assert!(line(&mut lines).await.unwrap().snapshot.is_some());
    iam.stopped().await;
}

#[tokio::test]
async fn a_follower_that_is_revoked_hears_nothing_more() {
    let iam = started().await;
    for (n, revocation) in [
        (Method::DELETE, "/users/{uid}/tokens"),
        (Method::DELETE, "/users/{uid}"),
        (Method::DELETE, "/acls/dcos:iam:policy/users/{uid}/read"),
        (Method::PATCH, "/users/{uid}"),
    ]
    .into_iter()
    .enumerate()
    {
        let uid = format!("follower-{n}");
        let token = iam.user(&uid).await;
        iam.allow(&uid, "dcos:iam:policy", "read").await;
        let request = iam.ask(Method::GET, "/internal/policy").token(&token).request();
        let mut lines = Lines::new(iam.client.send(request).await.unwrap().into_body());
        assert!(line(&mut lines).await.unwrap().snapshot.is_some());
        let (method, path) = revocation;
        let ask = iam.ask(method.clone(), &path.replace("{uid}", &uid)).admin();
        let ask = match method {
            Method::PATCH => ask.json(json!({ "active": false })),
            _ => ask,
        };
        assert_eq!(ask.send().await.status, 204, "{path}");
        while let Some(line) = line(&mut lines).await {
            assert!(line.changes.is_none(), "it hears of its revocation: {line:?}");
        }
    }
    iam.stopped().await;
}

#[tokio::test]
async fn a_follower_that_leaves_is_forgotten() {
    let iam = started_with(|config| config.heartbeat = Duration::from_millis(20)).await;
    let mut one = follow(&iam).await;
    let mut other = follow(&iam).await;
    assert!(line(&mut one).await.unwrap().snapshot.is_some());
    assert!(line(&mut other).await.unwrap().snapshot.is_some());
    drop(one);
    until("the follower is gone", async || {
        let metrics = iam.ask(Method::GET, "/metrics").send().await;
        String::from_utf8_lossy(&metrics.body).contains("iam_policy_followers 1\n")
    })
    .await;
    assert!(line(&mut other).await.is_some());
    iam.stopped().await;
}

/// The guard of a component: logs in, follows, and a change counts with the next request.
#[tokio::test]
async fn a_guard_judges_by_what_holds_now() {
    use http_kit::guard::{FollowConfig, Following, Mode, Verdict, follow};
    let iam = started_with(|config| config.heartbeat = Duration::from_millis(50)).await;
    let token = iam.user("anna").await;
    let stop = tokio_util::sync::CancellationToken::new();
    let config = FollowConfig {
        mode: Mode::Strict,
        iam: format!("http://{}", iam.address()),
        account: iam.running.service_accounts.join("dcos_marathon.json"),
        client: http_kit::ClientConfig::default(),
    };
    let Following { guard, tokens, join } = follow(config, stop.clone());
    tokio::time::timeout(Duration::from_secs(20), guard.ready()).await.unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", format!("token={token}").parse().unwrap());
    let ask = || match guard.judge(&headers, iam.address(), "dcos:a:b", Action::Read) {
        Verdict::Allowed(who) => (200, who.map(|who| who.uid().to_owned())),
        Verdict::Refused(response) => (response.status().as_u16(), None),
    };
    let until = async |expected: u16| {
        let changed = async {
            while ask().0 != expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
    };
    assert_eq!(ask().0, 403);
    iam.allow("anna", "dcos:a", "read").await;
    until(200).await;
    assert_eq!(ask().1.as_deref(), Some("anna"));
    assert_eq!(iam.ask(Method::DELETE, "/users/anna/tokens").admin().send().await.status, 204);
    until(401).await;
    // The component's own token counts as well.
    let own = tokens.authorization().unwrap();
    let own = own.to_str().unwrap().strip_prefix("token=").unwrap();
    assert_eq!(guard.authenticate(own).unwrap().uid(), "dcos_marathon");
    stop.cancel();
    join.await.unwrap();
    iam.stopped().await;
}

#[tokio::test]
async fn two_instances_on_one_state_are_one() {
    let one = started().await;
    let two = one.beside().await;
    let token = one.user("anna").await;
    // A token of one counts at the other, until either revokes it.
    until("the user is known", async || own(&two, &token).await == 200).await;
    assert_eq!(two.delete("/users/anna/tokens").await.status, 204);
    until("the token is void", async || own(&one, &token).await == 401).await;
    // Both write, and nothing is lost.
    let (left, right) = tokio::join!(groups(&one, "left"), groups(&two, "right"));
    assert_eq!((left, right), (20, 20));
    for iam in [&one, &two] {
        until("all groups are there", async || {
            iam.get("/groups").await.json()["array"].as_array().unwrap().len() == 41
        })
        .await;
    }
    two.stopped().await;
    one.stopped().await;
}

async fn own(iam: &Iam, token: &str) -> u16 {
    iam.ask(Method::GET, "/users/anna").token(token).send().await.status.as_u16()
}

async fn groups(iam: &Iam, name: &str) -> usize {
    let mut made = 0;
    for n in 0..20 {
        let path = format!("/groups/{name}{n}");
        made += usize::from(iam.put(&path, json!({ "description": "" })).await.status == 201);
    }
    made
}
