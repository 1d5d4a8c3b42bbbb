//! Every parser of foreign bytes is fuzzed.
//!
//! A crate with such parsers offers them in a module `fuzz`, one function
//! each, which checks more than the absence of a panic where it can.

use crate::{assert_none, source, sources};

/// The parsers that read what others wrote, each with its fuzz target. A new
/// parser adds a line here and a file there.
const PARSERS: [(&str, &str); 43] = [
    ("admin-router: events of a master", "mesos_events"),
    ("admin-router: apps and tasks of Marathon", "marathon_answers"),
    ("cluster-events: events and answers of Marathon", "marathon_stream"),
    ("cluster-events: events of a master as a picture", "cluster_picture"),
    ("load-balancer: labels", "vip_label"),
    ("load-balancer: the stream of a controller", "vip_stream"),
    ("dns: names of tasks", "dns_labels"),
    ("dns: virtual addresses", "dns_vips"),
    ("mesos-messages: protobuf calls", "calls_protobuf"),
    ("mesos-messages: JSON calls", "calls_json"),
    ("mesos-messages: RecordIO", "recordio"),
    ("mesos-messages: resource text and JSON", "resources"),
    ("mesos-messages: attribute text", "attributes"),
    ("mesos-messages: durations and sizes", "units"),
    ("libprocess: requests and addresses", "libprocess_request"),
    ("http-kit: queries, headers, credentials", "http_fields"),
    ("mesos-fetcher: archives", "archive"),
    ("cluster-state: keys", "state_keys"),
    ("cli: answers", "cli_answer"),
    ("marathon: paths and queries", "marathon_request"),
    ("marathon: what is stored", "marathon_stored"),
    ("marathon-model: apps", "marathon_app"),
    ("marathon-model: groups and lists of apps", "marathon_group"),
    ("marathon-model: selectors, ids, moments", "marathon_texts"),
    ("dns: packets and connections", "dns_packet"),
    ("proxy: heads over HTTP/2", "proxy_http2_head"),
    ("proxy: heads of requests over HTTP/1.1", "proxy_request_head"),
    ("proxy: heads of upstreams' answers", "proxy_response_head"),
    ("proxy: bodies in chunks", "proxy_chunked_body"),
    ("iam: requests", "iam_request"),
    ("iam: what is stored", "iam_stored"),
    ("iam: certificate signing requests", "iam_certificate_request"),
    ("iam: providers and browsers that return from them", "iam_oidc"),
    ("universe: templates", "mustache"),
    ("universe: repository documents", "universe_repository"),
    ("universe: Accept headers", "universe_accept"),
    ("identity: tokens", "identity_token"),
    ("identity: key sets and keys", "identity_keys"),
    ("identity: the policy stream", "policy_stream"),
    ("identity: resource ids", "resource_id"),
    ("admin-router: tokens, cookies, origins, places to go", "gateway_fields"),
    ("admin-router: paths", "gateway_path"),
    ("edge: apps and their labels", "edge_labels"),
];

#[test]
fn every_parser_has_a_target() {
    let sources = sources();
    for (parser, target) in PARSERS {
        let file = source(&sources, &format!("fuzz/fuzz_targets/{target}.rs"));
        assert!(file.text.contains("fuzz_target!"), "{parser}: {} fuzzes nothing", file.path);
        let manifest = source(&sources, "fuzz/Cargo.toml");
        assert!(manifest.text.contains(&format!("name = \"{target}\"")), "{target} is not built");
    }
}

#[test]
fn every_target_has_a_parser() {
    let sources = sources();
    let files = sources.iter().filter_map(|s| s.path.strip_prefix("fuzz/fuzz_targets/"));
    let names = files.filter_map(|file| file.strip_suffix(".rs"));
    let unknown = names.filter(|name| !PARSERS.iter().any(|(_, target)| target == name));
    assert_none(&unknown.map(|name| format!("{name} is not in the list")).collect::<Vec<_>>());
}

#[test]
fn every_fuzz_function_is_called() {
    let sources = sources();
    let targets = sources.iter().filter(|s| s.path.starts_with("fuzz/fuzz_targets/"));
    let targets: String = targets.map(|s| s.text.as_str()).collect();
    let mut violations = Vec::new();
    for module in sources.iter().filter(|s| s.path.ends_with("/fuzz.rs")) {
        for line in module.text.lines() {
            let Some(rest) = line.strip_prefix("pub fn ") else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            if !targets.contains(&format!("fuzz::{name}(")) {
                violations.push(module.violation(1, &format!("no target calls {name}")));
            }
        }
    }
    assert_none(&violations);
}
