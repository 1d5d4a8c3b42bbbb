//! Routes follow what Marathon tells, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Balancer, Marathon, Server, app, ask, free_port, get, status, try_ask, until,
};

#[tokio::test]
async fn tasks_get_requests_while_they_run_and_none_once_they_are_to_stop() {
    let (one, two) = (Server::start("one").await, Server::start("two").await);
    let labels = json!({"HAPROXY_0_VHOST": "a.example.com"});
    let marathon = Marathon::start(vec![app("/a", 10_000, labels.clone(), &[&one])]).await;
    let edge = Balancer::start(&marathon).await;
    let http = edge.http();
    until("a route", || async { get(http, "a.example.com", "/").await.status == 200 }).await;
    assert_eq!(get(http, "A.Example.com:80", "/x?y").await.target(), "/x?y");
    assert_eq!(get(http, "b.example.com", "/").await.status, 503);

    // A second one comes: no read is needed for it.
    let reads = marathon.reads.load(Ordering::SeqCst);
    marathon.tell("status_update_event", status("/a", &two, "TASK_RUNNING"));
    until("the second server", || async {
        get(http, "a.example.com", "/").await.server() == "two"
    })
    .await;
    assert_eq!(marathon.reads.load(Ordering::SeqCst), reads);

    // The first one is to stop. Whatever a read says of it meanwhile.
    let instance = format!("a.instance-{}", one.address.port());
    marathon.set(vec![app("/a", 10_000, labels, &[&one, &two])]);
    marathon.tell(
        "instance_changed_event",
        json!({"instanceId": instance, "runSpecId": "/a",
        "condition": "Running", "goal": "Decommissioned", "killing": true}),
    );
    marathon.touch("/a");
    let mut quiet = 0;
    until("no more requests to the first server", || {
        let before = one.count();
        let answered = async {
            for _ in 0..4 {
                assert_eq!(get(http, "a.example.com", "/").await.status, 200);
            }
        };
        let one = &one;
        async move {
            answered.await;
            one.count() == before
        }
    })
    .await;
    for _ in 0..50 {
        let answer = get(http, "a.example.com", "/").await;
        assert_eq!(answer.server(), "two");
        quiet += 1;
    }
    assert_eq!(quiet, 50);

    // The last one ends: there is nobody left.
    marathon.tell("status_update_event", status("/a", &two, "TASK_KILLED"));
    until("the end", || async { get(http, "a.example.com", "/").await.status == 503 }).await;
}

#[tokio::test]
async fn only_healthy_tasks_of_checked_apps_get_requests() {
    let one = Server::start("one").await;
    let mut checked = app("/a", 10_000, json!({"HAPROXY_0_VHOST": "a"}), &[&one]);
    checked["healthChecks"] = json!([{"protocol": "HTTP", "portIndex": 0}]);
    let marathon = Marathon::start(vec![checked]).await;
    let edge = Balancer::start(&marathon).await;
    until("ready", || async { edge.stats("/_edge/ready").await.status == 200 }).await;
    assert_eq!(get(edge.http(), "a", "/").await.status, 503);
    let instance = format!("a.instance-{}", one.address.port());
    let health = |alive| json!({"appId": "/a", "instanceId": instance, "alive": alive});
    marathon.tell("health_status_changed_event", health(true));
    until("health", || async { get(edge.http(), "a", "/").await.status == 200 }).await;
    marathon.tell("health_status_changed_event", health(false));
    until("illness", || async { get(edge.http(), "a", "/").await.status == 503 }).await;
}

/// As a rolling upgrade does it, with servers that vanish without a farewell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_replaced_under_load_without_a_failed_request() {
    let labels = json!({"HAPROXY_0_VHOST": "a", "HAPROXY_0_BALANCE": "leastconn"});
    let mut current = vec![Server::start("0").await, Server::start("0").await];
    let servers: Vec<&Server> = current.iter().collect();
    let marathon = Marathon::start(vec![app("/a", 10_000, labels, &servers)]).await;
    let edge = Balancer::start(&marathon).await;
    let http = edge.http();
    until("a route", || async { get(http, "a", "/").await.status == 200 }).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, good, bad) = (Arc::clone(&stop), Arc::clone(&good), Arc::clone(&bad));
            tokio::spawn(async move {
                let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                while !stop.load(Ordering::SeqCst) {
                    match try_ask(http, request).await {
                        Ok(answer) if answer.status == 200 => good.fetch_add(1, Ordering::SeqCst),
                        _ => bad.fetch_add(1, Ordering::SeqCst),
                    };
                }
            })
        })
        .collect();
    for turn in 1..=20 {
        let fresh = [Server::start("x").await, Server::start("x").await];
        for server in &fresh {
            marathon.tell("status_update_event", status("/a", server, "TASK_RUNNING"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        for server in &current {
            let instance = format!("a.instance-{}", server.address.port());
            marathon.tell(
                "instance_changed_event",
                json!({"instanceId": instance,
                "runSpecId": "/a", "condition": "Running", "goal": "Decommissioned"}),
            );
        }
        // Some are gone before anybody has heard of it.
        if turn % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for server in &current {
            server.die();
            marathon.tell("status_update_event", status("/a", server, "TASK_KILLED"));
        }
        current = fresh.into();
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let (good, bad) = (good.load(Ordering::SeqCst), bad.load(Ordering::SeqCst));
    assert!(good > 100, "{good} requests");
    assert_eq!(bad, 0, "of {good}");
}

#[tokio::test]
async fn listeners_come_and_go_with_services_and_connections_stay() {
    let port = free_port();
    let one = Server::start("one").await;
    let raw = app("/raw", port, json!({}), &[&one]);
    let marathon = Marathon::start(vec![]).await;
    let edge = Balancer::start(&marathon).await;
    until("ready", || async { edge.stats("/_edge/ready").await.status == 200 }).await;
    let at = ([127, 0, 0, 1], port).into();
    assert!(TcpStream::connect(at).await.is_err(), "nothing listens");
    marathon.set(vec![raw]);
    marathon.touch("/raw");
    until("a listener", || async move { TcpStream::connect(at).await.is_ok() }).await;
    let mut open = TcpStream::connect(at).await.unwrap();
    let ask = b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\n";
    open.write_all(ask).await.unwrap();
    let mut piece = [0; 1024];
    assert!(open.read(&mut piece).await.unwrap() > 0);

    // The service goes; whoever is connected goes on.
    marathon.set(vec![]);
    marathon.touch("/raw");
    until("no listener", || async move { TcpStream::connect(at).await.is_err() }).await;
    open.write_all(ask).await.unwrap();
    let count = open.read(&mut piece).await.unwrap();
    let text = String::from_utf8_lossy(&piece[..count]).into_owned();
    assert!(text.contains("GET /raw"), "{text}");

    // It comes again, looked into this time.
    let labels = json!({"HAPROXY_0_MODE": "http"});
    marathon.set(vec![app("/raw", port, labels, &[&one])]);
    marathon.touch("/raw");
    until("another listener", || async move { TcpStream::connect(at).await.is_ok() }).await;
    let answer = get(at, "whoever", "/x").await;
    assert_eq!((answer.status, answer.server()), (200, "one"));
    assert!(answer.body.to_lowercase().contains("x-forwarded-for: 127.0.0.1"), "{}", answer.body);
}

#[tokio::test]
async fn what_labels_ask_for_and_do_not_get_is_told() {
    let one = Server::start("one").await;
    let labels = json!({"HAPROXY_0_VHOST": "a", "HAPROXY_0_HTTP_FRONTEND_ACL": "x",
        "HAPROXY_0_STIKY": "true"});
    let refused = json!({"HAPROXY_0_VHOST": "b", "HAPROXY_0_AUTH": "realm:joe:secret"});
    let apps = vec![app("/a", 10_000, labels, &[&one]), app("/b", 10_001, refused, &[&one])];
    let marathon = Marathon::start(apps).await;
    let edge = Balancer::start(&marathon).await;
    until("a route", || async { get(edge.http(), "a", "/").await.status == 200 }).await;
    assert_eq!(get(edge.http(), "b", "/").await.status, 503, "nobody gets in without a password");
    let problems = edge.stats("/_edge/problems").await;
    let problems: serde_json::Value = serde_json::from_str(&problems.body).unwrap();
    let told: Vec<(&str, &str, &str)> = problems["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let of = |name: &str| one[name].as_str().unwrap();
            (of("app"), of("label"), of("kind"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/a", "HAPROXY_0_HTTP_FRONTEND_ACL", "unsupported"),
            ("/a", "HAPROXY_0_STIKY", "unknown"),
            ("/b", "HAPROXY_0_AUTH", "refused"),
        ]
    );
    let page = edge.stats("/haproxy?stats").await;
    assert!(page.body.contains("HAPROXY_0_STIKY"), "{}", page.body);
}

#[tokio::test]
async fn statistics_and_control_are_where_tools_look_for_them() {
    let (one, two) = (Server::start("one").await, Server::start("two").await);
    let group = |id: &str, started: &str, server: &Server| {
        let labels = json!({"HAPROXY_0_VHOST": "a", "HAPROXY_0_PORT": "10000",
            "HAPROXY_DEPLOYMENT_GROUP": "g", "HAPROXY_DEPLOYMENT_STARTED_AT": started,
            "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": "1", "HAPROXY_DEPLOYMENT_NEW_INSTANCES": "0"});
        app(id, 10_000, labels, &[server])
    };
    let apps = vec![
        group("/g-blue", "2026-01-01T00:00:00", &one),
        group("/g-green", "2026-01-02T00:00:00", &two),
    ];
    let marathon = Marathon::start(apps).await;
    let edge = Balancer::with(&marathon, |config| config.service_ports = Vec::new()).await;
    until("a route", || async { get(edge.http(), "a", "/").await.status == 200 }).await;
    assert_eq!(get(edge.http(), "a", "/").await.server(), "two", "the new one has taken over");
    let csv = edge.stats("/haproxy?stats;csv").await.body;
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == columns.len()), "{csv}");
    let row = |server: &Server| {
        let name = format!("127_0_0_1_{}", server.address.port());
        rows.iter().find(|row| row[at("pxname")] == "g_10000" && row[at("svname")] == name).unwrap()
    };
    assert_eq!((row(&one)[at("status")], row(&one)[at("scur")]), ("MAINT", "0"));
    assert_eq!(row(&two)[at("status")], "UP");
    assert_ne!(row(&two)[at("stot")], "0");
    let pids = edge.stats("/_haproxy_getpids").await.body;
    assert_eq!(pids.trim().parse(), Ok(std::process::id()));
    assert_eq!(edge.stats("/_haproxy_health_check").await.status, 200);
    assert_eq!(edge.stats("/_haproxy_getvhostmap").await.body, "a g_10000\n");
    assert!(edge.stats("/_haproxy_getconfig").await.body.contains("backend g_10000"));
    let metrics = edge.stats("/metrics").await.body;
    assert!(metrics.contains("haproxy_backend_up{proxy=\"g_10000\"} 1"), "{metrics}");
    let reads = marathon.reads.load(Ordering::SeqCst);
    assert_eq!(edge.stats("/_mlb_signal/hup").await.status, 200);
    until("another read", || async { marathon.reads.load(Ordering::SeqCst) > reads }).await;
    assert_eq!(edge.stats("/_mlb_signal/usr1").await.status, 200);
    assert_eq!(edge.stats("/nothing").await.status, 404);
    let id = "GET / HTTP/1.1\r\nHost: x\r\nX-Marathon-App-Id: /G\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(edge.running.app_id.unwrap(), id).await.server(), "two");
    let none = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(edge.running.app_id.unwrap(), none).await.status, 503);
}
