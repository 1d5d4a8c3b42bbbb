//! A master that wants passwords: the recorded answers with, without and with
//! the wrong one.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{assert_none, compare};
use crate::support::cluster::{free_port, start_master_with};
use crate::support::golden::{self, Exchange};
use crate::support::http::{self, Response};
use crate::support::scheduler::framework;

/// The recordings hold answers only; this is what was asked.
fn requests() -> Vec<(&'static str, &'static str, &'static str, Option<&'static str>, Value)> {
    let version = json!({"type": "GET_VERSION"});
    let subscribe = |principal: &str| {
        let mut info = framework();
        info["principal"] = json!(principal);
        json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}})
    };
    vec![
        ("health_noauth", "GET", "/health", None, Value::Null),
        ("version_noauth", "GET", "/version", None, Value::Null),
        ("redirect_noauth", "GET", "/redirect", None, Value::Null),
        ("metrics_noauth", "GET", "/metrics/snapshot", None, Value::Null),
        ("state_noauth", "GET", "/state", None, Value::Null),
        ("state_badpw", "GET", "/state", Some("ops:wrong"), Value::Null),
        ("state_basic", "GET", "/state", Some("ops:secret"), Value::Null),
        ("op_noauth", "POST", "/api/v1", None, version),
        ("sched_noauth", "POST", "/api/v1/scheduler", None, subscribe("ops")),
        (
            "sched_principal_mismatch",
            "POST",
            "/api/v1/scheduler",
            Some("ops:secret"),
            subscribe("other"),
        ),
    ]
}

fn ask(
    address: &str,
    method: &str,
    target: &str,
    password: Option<&str>,
    body: &Value,
) -> Response {
    let authorization = password.map(|text| format!("Basic {}", STANDARD.encode(text)));
    let mut headers = Vec::new();
    if let Some(value) = &authorization {
        headers.push(("Authorization", value.as_str()));
    }
    if body.is_null() {
        return http::send(address, method, target, &headers, b"");
    }
    headers.extend(http::JSON);
    http::send(address, method, target, &headers, body.to_string().as_bytes())
}

#[test]
fn passwords() {
    let Some(folder) = golden::folder() else { return };
    let work = tempfile::tempdir().expect("a folder");
    let credentials = work.path().join("credentials.json");
    let known = json!({"credentials": [{"principal": "ops", "secret": "secret"}]});
    std::fs::write(&credentials, known.to_string()).expect("a file");
    let mut flags: Vec<String> = ["frameworks", "readonly", "readwrite"]
        .iter()
        .map(|what| format!("--authenticate_http_{what}=true"))
        .collect();
    flags.push(format!("--credentials={}", credentials.display()));
    let port = free_port();
    let _master = start_master_with(port, &work.path().join("work"), work.path(), &flags);
    let address = format!("127.0.0.1:{port}");
    http::wait_for_health(&address);

    let mut differences = BTreeMap::new();
    for (name, method, target, password, body) in requests() {
        let bytes = std::fs::read(folder.join("auth").join(format!("{name}.http")));
        let exchange = Exchange {
            name: name.to_owned(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            answer: Response::parse(&bytes.expect("a recorded answer")),
            to_agent: false,
        };
        let found = compare(&exchange, &ask(&address, method, target, password, &body));
        if !found.is_empty() {
            differences.insert(name.to_owned(), found);
        }
    }
    assert_none(&differences);
}
