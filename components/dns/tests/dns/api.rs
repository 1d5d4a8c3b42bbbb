//! The API says what the DNS port says.

use dns::Config;
use hickory_proto::op::ResponseCode::NoError;
use hickory_proto::rr::RecordType::A;
use http::StatusCode;
use serde_json::json;

use super::fakes::{Fake, Master, state, task};
use super::harness::{Server, config};

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_original() {
    let master = Master::new(state(vec![task("web.1", "Web", "9.0.0.1")]));
    let fake = Fake::start("127.0.0.1:0", master).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("marathon.mesos", A, NoError, &["127.0.0.3"]).await;

    let version = server.json("/v1/version").await;
    assert_eq!(version["Service"], "Mesos-DNS");
    let shown = server.json("/v1/config").await;
    assert_eq!(shown["Domain"], "mesos");
    assert_eq!(shown["SOAMname"], "ns1.mesos.");
    assert_eq!(shown["IPSources"], json!(["netinfo", "mesos", "host"]));

    let host = json!([{"host": "web.marathon.mesos.", "ip": "9.0.0.1"}]);
    assert_eq!(server.json("/v1/hosts/web.marathon.mesos").await, host);
    assert_eq!(server.json("/v1/hosts/WEB.marathon.mesos.").await, host);
    assert_eq!(
        server.json("/v1/hosts/*.web.*.marathon.mesos").await,
        json!([{"host": "", "ip": ""}])
    );
    assert_eq!(server.json("/v1/hosts/web.*.marathon.mesos").await, host);
    assert_eq!(server.json("/v1/hosts/none.mesos").await, json!([{"host": "", "ip": ""}]));
    let (status, body) = server.get("/v1/hosts/web.marathon.mesos/ports").await;
    assert_eq!((status, &*body), (StatusCode::NOT_IMPLEMENTED, "To be implemented..."));

    let services = server.json("/v1/services/_web._tcp.marathon.mesos").await;
    let host = services[0]["host"].as_str().unwrap().to_owned();
    assert_eq!(
        services,
        json!([{
            "service": "_web._tcp.marathon.mesos",
            "host": host,
            "ip": "9.0.0.1",
            "port": "80",
        }])
    );
    assert!(host.starts_with("web-") && host.ends_with("-s7.marathon.mesos."), "{host}");
    let nothing = json!([{"service": "", "host": "", "ip": "", "port": ""}]);
    assert_eq!(server.json("/v1/services/_none._tcp.marathon.mesos").await, nothing);

    for path in ["/", "/v1", "/v1/nodes", "/v1/hosts/a/b"] {
        assert_eq!(server.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    server.stop().await;
    fake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_at_once() {
    let tasks = ["web.1", "web.2"].map(|id| task(id, "web", "9.0.0.1"));
    let master = Master::new(state(tasks.into()));
    let fake = Fake::start("127.0.0.1:0", master).await;
    let server = Server::start(config(&fake.url())).await;
    server.until("marathon.mesos", A, NoError, &["127.0.0.3"]).await;

    let axfr = server.json("/v1/axfr").await;
    let records = &axfr["Records"];
    assert_eq!((&axfr["Domain"], &axfr["TTL"]), (&json!("mesos"), &json!(60)));
    assert!(axfr["Serial"].as_u64().unwrap() > 0);
    assert_eq!(records["As"]["web.marathon.mesos."], json!(["9.0.0.1"]));
    assert_eq!(records["AAAAs"], json!({}));
    assert_eq!(records["SRVs"]["_web._tcp.marathon.mesos."].as_array().unwrap().len(), 2);
    let ends = |name: &String| name.ends_with(".mesos.");
    assert!(records["As"].as_object().unwrap().keys().all(ends));

    let all = server.json("/v1/enumerate").await;
    let framework = &all["frameworks"][0];
    assert_eq!(framework["name"], "marathon");
    let listed = framework["tasks"].as_array().unwrap();
    let mut ids: Vec<&str> = listed.iter().map(|task| task["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["web.1", "web.2"]);
    // A record of both is told with one of them.
    let shared = json!({"name": "web.marathon.mesos.", "host": "9.0.0.1", "rtype": "A"});
    let has = |task: &&serde_json::Value| task["records"].as_array().unwrap().contains(&shared);
    assert_eq!(listed.iter().filter(has).count(), 1);

    let records = server.json("/v1/records").await;
    let records = records.as_array().unwrap();
    for (name, host, rtype) in [
        ("web.marathon.mesos", "9.0.0.1", "A"),
        ("web.marathon.agentip.dcos.thisdcos.directory", "127.0.0.2", "A"),
        ("_framework._tcp.marathon.mesos", "marathon.mesos:4321", "SRV"),
        ("ready.spartan", "127.0.0.1", "A"),
    ] {
        let record = json!({"name": name, "host": host, "rtype": rtype});
        assert!(records.contains(&record), "{record}: {records:#?}");
    }
    server.stop().await;

    let config = Config { enumeration_on: false, ..config(&fake.url()) };
    let server = Server::start(config).await;
    for path in ["/v1/enumerate", "/v1/axfr", "/v1/records"] {
        assert_eq!(server.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    server.stop().await;
    fake.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_said_at_the_start() {
    let start = |change: fn(&mut Config)| async move {
        let mut config = config("http://127.0.0.1:5050");
        change(&mut config);
        dns::start(config, tokio_util::sync::CancellationToken::new())
            .await
            .unwrap_err()
            .to_string()
    };
    let errors = [
        start(|config| config.masters = vec!["zk://x".into()]).await,
        start(|config| config.domain = "a..b".into()).await,
        start(|config| config.ip_sources.clear()).await,
        start(|config| config.net = Some("x".into())).await,
    ];
    for (error, part) in errors.iter().zip(["'zk://x'", "'a..b'", "IPSources", "net is 'x'"]) {
        assert!(error.contains(part), "{error}");
    }
}
