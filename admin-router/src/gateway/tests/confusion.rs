//! Spellings of paths: what is judged is what is forwarded.

use http::Method;
use proptest::prelude::*;
use proxy::{Path, RequestHead};

use super::{Bench, text};

/// Spellings that servers are known to disagree about.
const SPELLINGS: &[&str] = &[
    "/mesos/../service/marathon/",
    "/mesos/%2e%2e/service/marathon/",
    "/mesos/..%2fservice/marathon/",
    "/mesos/..;/service/marathon/",
    "/mesos/..%5cservice/marathon/",
    "/mesos/..\\service/marathon/",
    "/mesos%2f..%2fservice%2fmarathon%2f",
    "/service/marathon/..%2f..%2fmesos/",
    "/service/marathon/%252e%252e/%252e%252e/mesos/",
    "//mesos/x",
    "///service///marathon///x",
    "/./mesos/./x",
    "/mesos/.",
    "/mesos/..",
    "/mesos/%00",
    "/mesos/\u{0}",
    "/mesos/%c0%ae%c0%ae/x",
    "/mesos/%c0%af",
    "/mesos/%e0%80%af",
    "/mesos/%ff",
    "/mesos/;a=b/x",
    "/mesos;a=b/x",
    "/MESOS/x",
    "/%4desos/x",
    "/%6desos/x",
    "/mesos/%",
    "/mesos/%2",
    "/mesos/%zz",
    "/mesos/a%20b",
    "/mesos/a b",
    "/mesos/a%0d%0ab",
    "/mesos/%3fx=y",
    "/mesos/%23x",
    "/../mesos/x",
    "/acs/api/v1/auth/../users",
    "/acs/api/v1/auth/%2e%2e/users",
    "/acs/api/v1/auth%2f..%2fusers",
    "/acs/api/v1/auth;/../users",
    "/acs/api/v1/./internal/policy",
    "/acs/api/v1/auth/..%2finternal/policy",
    "/exhibitor/exhibitor/v1/cluster/status/../restart",
    "/exhibitor/exhibitor/v1/cluster/status%2f..%2frestart",
    "/exhibitor/exhibitor/v1/cluster/status/",
    "/dcos-metadata/dcos-version.json/../x.json",
    "/login/../mesos/x",
    "/ca/dcos-ca.crt/../api/v2/sign",
    "/service/group/app/../../marathon/x",
    "/service/%2e%2e/mesos/x",
    "/agent/a1-S0/../gone/x",
    "/system/v1/agent/a1-S0/logs/../metrics/v0",
    "/system/v1/agent/a1-S0/logs/%2e%2e/%2e%2e/%2e%2e/%2e%2e/mesos/",
];

/// What becomes of a spelling for who may do nothing, for who uses one service, and where it is
/// forwarded for who may do everything.
fn outcome(bench: &Bench, raw: &str) -> Option<(u16, u16, String)> {
    // The engine refuses what is no path before anybody judges it.
    let none: [(&[u8], &[u8]); 0] = [];
    let head = RequestHead::new(Method::GET, http::Version::HTTP_11, raw.as_bytes(), none);
    head.ok()?;
    Some((bench.status("nobody", raw), bench.status("marathon", raw), bench.get(raw)))
}

#[test]
fn a_spelling_is_judged_and_forwarded_as_its_normal_form() {
    let bench = Bench::default();
    let mut refused = 0;
    for raw in SPELLINGS {
        let Some(outcome) = outcome(&bench, raw) else {
            refused += 1;
            continue;
        };
        let normal = Path::parse(raw.as_bytes()).unwrap();
        assert_eq!(Some(outcome), self::outcome(&bench, normal.as_str()), "{raw} is {normal}");
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn what_is_forwarded_was_judged_under_that_path() {
    let bench = Bench::default();
    for (raw, forwarded) in [
        ("/mesos/../service/marathon/x", "marathon /x"),
        ("/mesos/..%2fservice/marathon/x", "marathon /x"),
        ("/service/marathon/..%2f..%2fmesos/x", "master /x"),
        ("/acs/api/v1/auth/%2e%2e/users", "IAM /acs/api/v1/users"),
        ("/mesos/%3fx=y", "master /%3Fx=y"),
        ("/mesos/a%20b", "master /a%20b"),
        ("/mesos/%252e%252e/x", "master /%252e%252e/x"),
        ("/mesos/%e4%b8%ad", "master /%E4%B8%AD"),
        ("/login/../mesos/x", "master /x"),
        ("/ca/dcos-ca.crt/../api/v2/sign", "IAM /ca/api/v2/sign"),
    ] {
        let facts = bench.get(raw);
        assert!(facts.starts_with(&format!("{forwarded} ")), "{raw}: {facts}");
    }
    // What is behind a public path is not public.
    for raw in [
        "/acs/api/v1/auth/../users",
        "/acs/api/v1/auth/%2e%2e/users",
        "/exhibitor/exhibitor/v1/cluster/status/../restart",
        "/exhibitor/exhibitor/v1/cluster/status/",
        "/ca/dcos-ca.crt/../api/v2/sign",
        "/login/../mesos/x",
        "/dcos-metadata/dcos-version.json/../x.json",
    ] {
        assert_eq!(bench.decide(Method::GET, raw, &[]).err().map(|r| r.status.as_u16()), Some(401));
        assert_eq!(bench.status("nobody", raw), 403, "{raw}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is forwarded to a service stands below that service in the normal form.
    #[test]
    fn no_spelling_leaves_what_it_was_judged_as(
        raw in "/(service|mesos|marathon|acs|agent)(/|%2[fF]|//|/\\./)[a-z0-9%./;]{0,24}"
    ) {
        thread_local! {
            static BENCH: Bench = Bench::default();
        }
        let none: [(&[u8], &[u8]); 0] = [];
        let head =
            RequestHead::new(Method::GET, http::Version::HTTP_11, raw.as_bytes(), none);
        let Ok(head) = head else { return Ok(()) };
        let normal = head.path().as_str().to_owned();
        BENCH.with(|bench| {
            let header = format!("token={}", super::token("admin"));
            let decided = bench.decide(Method::GET, &raw, &[("authorization", &header)]);
            let Ok(forward) = decided else { return Ok(()) };
            let target = text(&forward.target);
            // A target is the end of the normal path, whatever stood before it was judged.
            let end = target == "/" || normal.ends_with(&target) || target.starts_with("/acs/");
            prop_assert!(end, "{} {} {}", raw, normal, target);
            prop_assert!(!target.contains("//") && !target.contains("/../"));
            prop_assert!(Path::parse(target.as_bytes()).unwrap().as_str() == target);
            Ok(())
        })?;
    }
}
