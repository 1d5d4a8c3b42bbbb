//! Each route: where it leads, and what is changed on the way.

use http::Method;

use super::{Bench, Fixed, leader};
use crate::cluster::{Failure, Known};
use crate::config::{Role, Upstreams};

fn check(bench: &Bench, cases: &[(&str, &str)]) {
    for (target, expected) in cases {
        assert_eq!(bench.get(target), *expected, "{target}");
    }
}

#[test]
fn servers_get_their_paths() {
    check(
        &Bench::default(),
        &[
            ("/acs/api/v1/users?x=1", "IAM /acs/api/v1/users?x=1 edited 1024M 60s"),
            ("/acs/api/v1/auth/login", "IAM /acs/api/v1/auth/login edited 1024M 60s"),
            ("/auth/jwks", "IAM /acs/api/v1/auth/jwks edited 1024M 60s"),
            ("/dcos-metadata/ui-config.json", "IAM /acs/api/v1/uiconfig/ 1024M 60s"),
            ("/ca/dcos-ca.crt", "IAM /ca/dcos-ca.crt 1024M 60s"),
            ("/ca/api/v2/sign", "IAM /ca/api/v2/sign 1024M 60s"),
            ("/package/search", "Cosmos /package/search 1024M 300s"),
            ("/cosmos/service/start", "Cosmos /service/start 1024M 60s"),
            ("/capabilities", "Cosmos /capabilities 1024M 60s"),
            ("/mesos_dns/v1/version", "MesosDNS /v1/version -authorization 1024M 60s"),
            ("/net/", "DCOSNet / -authorization 1024M 60s"),
            ("/navstar/lashup/key", "DCOSNet /lashup/key 1024M 60s"),
            ("/system/checks/v1/x", "DCOSChecks /system/checks/v1/x -authorization 1024M 60s"),
            ("/system/health/v1?a", "DCOSDiagnostics /system/health/v1?a 1024M 60s"),
            ("/system/v1/logs/v1/x", "DCOSLog /v1/x 1024M 60s endless"),
            ("/system/v1/metrics/v0/node", "DCOSMetrics /v0/node 1024M 60s"),
            ("/pkgpanda/repository/", "Pkgpanda /repository/ edited 1024M 60s"),
            (
                "/exhibitor/exhibitor/v1/ui",
                "Exhibitor /exhibitor/v1/ui +authorization=Basic YWRtaW46cHc= edited 1024M 60s",
            ),
            (
                "/exhibitor/exhibitor/v1/cluster/status",
                "Exhibitor /exhibitor/v1/cluster/status host=127.0.0.1:8181 \
                 +authorization=Basic YWRtaW46cHc= 1024M 60s",
            ),
            (
                "/dcos-ui-update-service/api/v1/version/",
                "DCOSUIUpdateService /api/v1/version/ 1024M 60s",
            ),
            (
                "/dcos-ui-update-service/api/v1/reset/",
                "DCOSUIUpdateService /api/v1/reset/ 1024M 60s",
            ),
        ],
    );
}

#[test]
fn the_leading_master_and_agents_get_streams() {
    check(
        &Bench::default(),
        &[
            ("/mesos/", "master / edited 1024M 60s endless"),
            ("/mesos/state?x=%2F", "master /state?x=%2F edited 1024M 60s endless"),
            ("/agent/a1-S0/state", "agent /state -accept-encoding edited 1024M 60s endless"),
            ("/agent/a1-S0", "agent / -accept-encoding edited 1024M 60s endless"),
            ("/slave/a1-S0/", "agent / -accept-encoding edited 1024M 60s endless"),
            (
                "/system/v1/agent/a1-S0/logs/v1?y",
                "agent gateway /system/v1/logs/v1?y -accept-encoding edited 1024M 60s endless",
            ),
            (
                "/system/v1/agent/a1-S0/nginx/metrics",
                "agent gateway /nginx/metrics -accept-encoding edited 1024M 60s endless",
            ),
            (
                "/system/v1/leader/mesos/logs/v1",
                "gateway of master /system/v1/logs/v1 +dcos-forwarded=true edited 1024M 60s endless",
            ),
            (
                "/system/v1/leader/marathon/metrics/v0",
                "gateway of marathon-leader /system/v1/metrics/v0 +dcos-forwarded=true \
                 edited 1024M 60s endless",
            ),
        ],
    );
    let failed = "503 {\"status\":503,\"title\":\"Service Unavailable\",\
                  \"description\":\"the leading master is not available\"}";
    let bench = Bench::with(Fixed { leader: Known::Unknown, ..Fixed::default() }, |_| {});
    check(
        &bench,
        &[("/mesos/", failed), ("/cache/master/x", failed), ("/system/v1/leader/mesos", failed)],
    );
    let post = Bench::default().facts(Method::POST, "/cache/master/api/v1", &[]);
    assert_eq!(post, "master /master/api/v1 edited 1024M 60s");
}

#[test]
fn a_leader_on_this_host_is_asked_here() {
    let here = Fixed {
        leader: leader("master", Some(true)),
        marathon: leader("marathon-leader", Some(true)),
        ..Fixed::default()
    };
    check(
        &Bench::with(here, |_| {}),
        &[
            ("/system/v1/leader/mesos/logs/v1?z", "DCOSLog /v1?z 1024M 60s endless"),
            ("/system/v1/leader/marathon/metrics/v0", "DCOSMetrics /v0 1024M 60s"),
            ("/system/v1/leader/mesos/agent/a1-S0/logs", {
                "agent gateway /system/v1/logs -accept-encoding edited 1024M 60s endless"
            }),
        ],
    );
    let here = Fixed { leader: leader("master", Some(true)), ..Fixed::default() };
    let bench = Bench::with(here, |_| {});
    for target in ["/system/v1/leader/mesos/leader/mesos/logs", "/system/v1/leader/mesos"] {
        assert!(bench.get(target).starts_with("404 "), "{target}");
    }
    // What the path at the leader needs is judged too.
    assert_eq!(bench.status("logs", "/system/v1/leader/mesos/logs/v1"), 200);
    assert_eq!(bench.status("logs", "/system/v1/leader/mesos/metrics/v0"), 403);
}

#[test]
fn agents_and_leaders_that_are_not_there_are_told_in_the_originals_words() {
    let unknown = "503 503 Service Unavailable: marathon leader is unknown.";
    let cases = [
        (Known::Unknown, "503 503 Service Unavailable: cache is invalid"),
        (Known::Missing, unknown),
        (leader("m", None), unknown),
    ];
    for (marathon, expected) in cases {
        let bench = Bench::with(Fixed { marathon, ..Fixed::default() }, |_| {});
        assert_eq!(bench.get("/system/v1/leader/marathon/x"), expected);
    }
    let looped = [("dcos-forwarded", "true")];
    let bench = Bench::default();
    assert_eq!(
        bench.facts(Method::GET, "/system/v1/leader/marathon/x", &looped),
        "503 503 Service Unavailable: marathon leader is unknown"
    );
    check(
        &bench,
        &[
            ("/agent/gone/x", "404 404 Not Found: agent `gone` unknown."),
            ("/system/v1/agent/gone/logs", "404 404 Not Found: agent `gone` unknown."),
        ],
    );
    assert!(bench.get("/system/v1/agent/a1-S0/pkgpanda/").starts_with("404 {"));
    assert!(bench.get("/agent/").starts_with("404 {"));
    let bench = Bench::with(Fixed { agents: false, ..Fixed::default() }, |_| {});
    assert_eq!(bench.get("/agent/a1-S0"), "503 503 Service Unavailable: cache state is invalid");
}

#[test]
fn services_get_their_part_of_the_path() {
    check(
        &Bench::default(),
        &[
            (
                "/service/marathon/v2/apps?a=b",
                "marathon /v2/apps?a=b upgrade edited 32768M 60s endless",
            ),
            ("/service/marathon/", "marathon / upgrade edited 32768M 60s endless"),
            ("/marathon/v2/info", "marathon /v2/info upgrade edited 32768M 60s endless"),
            ("/marathon/", "marathon / upgrade edited 32768M 60s endless"),
            ("/service/group/app", "group/app / upgrade edited 32768M 60s endless"),
            ("/service/group/app/x/", "group/app /x/ upgrade edited 32768M 60s endless"),
            ("/service/kept/x", "kept /service/kept/x upgrade edited 32768M 600s endless"),
            ("/service/based/x?y", "based /ui/x?y upgrade edited 32768M 60s endless"),
            ("/service/%C3%A4/x", "ä /x upgrade edited 32768M 60s endless"),
            ("/service/later/x", "marathon /x upgrade edited 32768M 60s endless"),
        ],
    );
}

#[test]
fn services_that_are_not_found_are_told_in_the_originals_words() {
    let missing = "404 404 Not Found: service not found.";
    check(&Bench::default(), &[("/service/none/x", missing), ("/service/none/", missing)]);
    for (failure, text) in [
        (Failure::Marathon, "invalid Marathon svcapps cache"),
        (Failure::Mesos, "invalid Mesos state cache"),
        (Failure::MesosDns, "MesosDNS request has failed"),
    ] {
        let bench = Bench::with(Fixed { failure, ..Fixed::default() }, |_| {});
        let expected = format!("503 503 Service Unavailable: {text}");
        check(&bench, &[("/service/broken/x", expected.as_str())]);
    }
}

#[test]
fn paths_get_their_slash_by_relative_redirects() {
    check(
        &Bench::default(),
        &[
            ("/mesos?a=b", "301 -> /mesos/?a=b"),
            ("/exhibitor", "301 -> /exhibitor/"),
            ("/system/v1/logs", "301 -> /system/v1/logs/"),
            ("/marathon?x=y", "307 -> /marathon/?x=y"),
            ("/service/a-b.c?d", "301 -> /service/a-b.c/?d"),
        ],
    );
    // Before anybody is asked who they are.
    let response = Bench::default().decide(Method::POST, "/marathon", &[]).err().unwrap();
    assert_eq!(response.status, 307);
}

#[test]
fn what_is_internal_is_there_for_nobody() {
    let bench = Bench::default();
    for target in [
        "/internal/mesos_dns/v1/version",
        "/internal",
        "/acs/api/v1/internal/policy",
        "/acs/api/v1/internal",
        "/acs/api/v1/auth/../internal/policy",
        "/acs/api/v1/%69nternal/policy",
        "/acs//api/v1//internal//policy",
    ] {
        assert!(bench.get(target).starts_with("404 "), "{target}");
    }
    // The short form adds a prefix to what is already normalised.
    assert!(bench.get("/auth/../internal/policy").starts_with("404 "));
    assert_eq!(
        bench.get("/auth/internal/policy"),
        "IAM /acs/api/v1/auth/internal/policy edited 1024M 60s"
    );
}

#[test]
fn what_is_not_configured_is_unavailable() {
    let bench = Bench::with(Fixed::default(), |config| config.upstreams = Upstreams::default());
    for target in [
        "/acs/api/v1/users",
        "/package/x",
        "/net/",
        "/exhibitor/",
        "/pkgpanda/x",
        "/system/v1/logs/",
        "/ca/dcos-ca.crt",
        "/login",
    ] {
        assert!(bench.get(target).starts_with("503 "), "{target}: {}", bench.get(target));
    }
}

#[test]
fn agents_have_their_own_few_routes() {
    let bench = Bench::with(Fixed::default(), |config| config.role = Role::Agent);
    check(
        &bench,
        &[
            ("/pkgpanda/x", "Pkgpanda /x edited 1024M 60s"),
            ("/system/v1/logs/v1", "DCOSLog /v1 1024M 60s endless"),
            ("/system/v1/metrics/v0", "DCOSMetrics /v0 1024M 60s"),
            ("/system/health/v1", "DCOSDiagnostics /system/health/v1 1024M 60s"),
        ],
    );
    for target in ["/", "/mesos/", "/service/marathon/", "/login", "/acs/api/v1/users"] {
        assert!(bench.get(target).starts_with("404 "), "{target}");
    }
}

#[test]
fn a_cookie_goes_on_as_a_header() {
    let cookie = format!("dcos-acs-auth-cookie={}", super::token("admin"));
    let by_cookie = [("cookie", cookie.as_str())];
    let bench = Bench::default();
    let facts = bench.facts(Method::GET, "/mesos/", &by_cookie);
    assert_eq!(facts, "master / +authorization=token= edited 1024M 60s endless");
    let facts = bench.facts(Method::GET, "/net/", &by_cookie);
    assert_eq!(facts, "DCOSNet / -authorization 1024M 60s");
}
