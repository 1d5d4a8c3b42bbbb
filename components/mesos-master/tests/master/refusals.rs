//! Every recorded refusal of the scheduler API, against a running master.
use std::path::PathBuf;

use crate::support::*;

fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("DAIS_GOLDEN").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden")
    });
    let folder = folder.join("mesos/http_running");
    folder.is_dir().then_some(folder)
}

/// Request and answer of a recording.
fn read(path: &PathBuf) -> (Vec<u8>, u16, String) {
    let text = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let (_, rest) = text.split_once(">>> REQUEST\n").unwrap();
    let (request, rest) = rest.split_once("\n<<< RESPONSE HEAD\n").unwrap();
    let (head, rest) = rest.split_once("\n<<< BODY").unwrap();
    let (_, body) = rest.split_once('\n').unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, payload) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut raw = head.replace('\n', "\r\n").into_bytes();
    raw.extend_from_slice(b"\r\n\r\n");
    raw.extend_from_slice(payload.as_bytes());
    (raw, status, body.to_owned())
}

#[tokio::test]
async fn recorded_refusals_are_answered_alike() {
    let Some(folder) = golden() else {
        println!("skipped: no recordings");
        return;
    };
    let master = Master::start().await;
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("err_sched_") || !name.ends_with(".http") {
            continue;
        }
        let (request, status, body) = read(&path);
        let answer = exchange(master.address(), &request).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{name}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{name}");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} recordings");
}

#[tokio::test]
async fn frameworks_may_have_to_say_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::write(
        &credentials,
        r#"{"credentials": [{"principal": "marathon", "secret": "run"}]}"#,
    )
    .unwrap();
    let closed = mesos_master::config::MasterConfig {
        authenticate_http_frameworks: true,
        credentials: Some(credentials),
        ..config()
    };
    let master = Master::start_with(closed).await;
    let call = |principal: &str| {
        let info = serde_json::json!({"user": "root", "name": "f", "principal": principal});
        let call = serde_json::json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
        call.to_string().into_bytes()
    };
    let nobody = post(master.address(), "", &call("marathon")).await;
    assert_eq!(nobody.status, 401);
    let realm = nobody.header("www-authenticate").unwrap();
    assert_eq!(realm, "Basic realm=\"mesos-master-scheduler\"");
    // marathon:run
    let known = "Authorization: Basic bWFyYXRob246cnVu\r\n";
    let other = post(master.address(), known, &call("jenkins")).await;
    assert_eq!(other.status, 400);
    assert_eq!(
        other.text(),
        "Failed to validate scheduler::Call: Authenticated principal 'marathon' does not match \
         principal 'jenkins' set in `FrameworkInfo`"
    );
}

#[tokio::test]
async fn senders_of_messages_are_who_they_say_where_clients_have_to_be() {
    use http_kit::guard::{Guard, Mode};
    for mode in [Mode::Disabled, Mode::Permissive, Mode::Strict] {
        let guard = Guard::fixed(mode, identity::Snapshot::default());
        let guarded = mesos_master::config::MasterConfig { guard, ..config() };
        let master = Master::start_with(guarded).await;
        let send = async |from: &str, header: &str| {
            let message = format!(
                "POST /master/mesos.internal.PongSlaveMessage HTTP/1.1\r\nHost: m\r\n\
                 Libprocess-From: {from}\r\n{header}Content-Length: 0\r\n\r\n"
            );
            exchange(master.address(), message.as_bytes()).await.status
        };
        let open = mode == Mode::Disabled;
        assert_eq!(send("slave(1)@127.0.0.1:1", "").await, 202, "{mode:?}");
        assert_eq!(send("slave(1)@10.0.0.1:1", "").await, if open { 202 } else { 400 });
        let forwarded = send("slave(1)@127.0.0.1:1", "X-Forwarded-For: 127.0.0.1\r\n").await;
        assert_eq!(forwarded, if open { 202 } else { 400 }, "{mode:?}");
    }
}
