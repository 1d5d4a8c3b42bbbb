//! What is wrong with a configuration, and gateways that cannot start.

use std::path::PathBuf;

use admin_router::{Config, Error, Origin, Role};
use tokio_util::sync::CancellationToken;

async fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::new(Role::Master, PathBuf::from("/nowhere"));
    config.plain = Some(([127, 0, 0, 1], 0).into());
    change(&mut config);
    match admin_router::start(config, CancellationToken::new()).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test]
async fn nobody_gets_an_open_gateway_by_leaving_something_out() {
    let text = refused(|_| {}).await;
    assert!(text.contains("authentication needs IAM"), "{text}");
    let text = refused(|config| {
        config.authentication = false;
        config.tls = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    assert!(text.contains("TLS needs a certificate"), "{text}");
    let text = refused(|config| config.plain = None).await;
    assert!(text.contains("no address to listen on"), "{text}");
    let text = refused(|config| {
        config.authentication = false;
        config.ca_file = Some("/no/such/file".into());
    })
    .await;
    assert!(text.contains("/no/such/file"), "{text}");
}

#[tokio::test]
async fn servers_that_it_asks_itself_are_at_no_sockets() {
    let socket: Origin = "unix:/run/x.sock".parse().unwrap();
    let changes: [fn(&mut Config, Origin); 4] = [
        |config, socket| config.upstreams.iam = Some(socket),
        |config, socket| config.upstreams.mesos = vec![socket],
        |config, socket| config.upstreams.marathon = vec![socket],
        |config, socket| config.upstreams.mesos_dns = Some(socket),
    ];
    for change in changes {
        let text = refused(|config| {
            config.authentication = false;
            change(config, socket.clone());
        });
        let text = text.await;
        assert!(text.contains("unix:/run/x.sock"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new(Role::Agent, PathBuf::from("/nowhere"));
    config.plain = Some(taken.local_addr().unwrap());
    config.authentication = false;
    let started = admin_router::start(config, CancellationToken::new()).await;
    assert!(matches!(started, Err(Error::Server(_))), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_everybody_gets_through() {
    let upstream = crate::wire::Echo::start().await;
    let mut config = Config::new(Role::Agent, PathBuf::from("/nowhere"));
    config.plain = Some(([127, 0, 0, 1], 0).into());
    config.authentication = false;
    config.upstreams.pkgpanda = Some(Origin::http(upstream.address));
    let stop = CancellationToken::new();
    let running = admin_router::start(config, stop.clone()).await.unwrap();
    let address = running.plain.unwrap();
    let answer = crate::wire::ask(address, "GET /pkgpanda/active/", &[], "").await;
    assert!(answer.body.starts_with("GET /active/ HTTP/1.1"), "{}", answer.body);
    let answer = crate::wire::ask(address, "GET /mesos/", &[], "").await;
    assert_eq!(answer.status, 404);
    stop.cancel();
    running.join.await.unwrap().unwrap();
}
