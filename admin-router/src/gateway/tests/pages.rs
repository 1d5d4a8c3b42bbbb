//! What the gateway says itself.

use http::{Method, StatusCode};
use proxy::{Policy, Refusal, Scheme};

use super::{Bench, Fixed, header, text};

const HTML: (&str, &str) = ("accept", "text/html");

#[test]
fn everything_of_its_own_is_kept_safe_in_browsers() {
    let mut bench = Bench::default();
    let ask = |bench: &Bench, target: &str, headers: &[(&str, &str)]| {
        bench.decide(Method::GET, target, headers).err().unwrap()
    };
    for target in ["/", "/login", "/mesos/", "/nothing", "/mesos", "/nginx/status", "/metadata"] {
        let response = ask(&bench, target, &[]);
        let policy = header(&response, "content-security-policy").unwrap();
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{target}: {policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
        assert_eq!(header(&response, "x-frame-options").as_deref(), Some("DENY"));
        assert_eq!(header(&response, "x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header(&response, "referrer-policy").as_deref(), Some("same-origin"));
        assert_eq!(header(&response, "server").as_deref(), Some("Dais"));
        let strict = header(&response, "strict-transport-security");
        assert_eq!(strict.as_deref(), Some("max-age=31536000"));
    }
    let local = ask(&bench, "/", &[("host", "localhost:8443")]);
    assert_eq!(header(&local, "strict-transport-security").as_deref(), Some("max-age=0"));
    bench.scheme = Scheme::Http;
    assert_eq!(header(&ask(&bench, "/", &[]), "strict-transport-security"), None);
}

#[test]
fn the_style_on_a_page_is_the_one_that_the_policy_names() {
    let bench = Bench::default();
    let page = bench.decide(Method::GET, "/", &[]).err().unwrap();
    let body = text(&page.body);
    let style = body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    use base64::Engine;
    let digest = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    let policy = header(&page, "content-security-policy").unwrap();
    assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
}

#[test]
fn errors_have_the_form_that_the_client_reads() {
    let bench = Bench::default();
    let token = format!("token={}", super::token("admin"));
    let ask = |accept: &str| {
        let headers = [("accept", accept), ("authorization", token.as_str())];
        bench.decide(Method::GET, "/agent/%3Cb%3E/", &headers).err().unwrap()
    };
    let plain = ask("*/*");
    assert_eq!(text(&plain.body), "404 Not Found: agent `%3Cb%3E` unknown.\n");
    assert_eq!(header(&plain, "content-type").as_deref(), Some("application/octet-stream"));
    let json = ask("application/json, text/plain, */*");
    let value: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((&value["status"], &value["title"]), (&404.into(), &"Not Found".into()));
    let html = ask("text/html,*/*");
    assert!(text(&html.body).contains("<h1>404 Not Found</h1>"));
    assert!(!text(&html.body).contains("<b>"));
}

#[test]
fn refusals_of_the_engine_tell_nothing_of_addresses() {
    let bench = Bench::default();
    let refusals = [
        Refusal::Malformed("nonsense"),
        Refusal::BadGateway { upstream: "IAM".into(), reason: "10.0.0.1:99 refused" },
        Refusal::Unavailable { upstream: "IAM".into() },
        Refusal::GatewayTimeout { upstream: "IAM".into(), seconds: 60 },
        Refusal::BodyTooLarge { limit: 1 },
    ];
    for refusal in refusals {
        let response = bench.gateway.refuse(None, &bench.peer(), &refusal);
        assert_eq!(response.status, refusal.status());
        let body = text(&response.body);
        assert!(!body.contains("10.0.0.1"), "{body}");
        assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"));
    }
}

#[test]
fn facts_of_the_cluster_are_in_the_originals_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("cluster-id"), " 1234-5678 \nmore\n").unwrap();
    std::fs::write(path.join("dcos-version.json"), "{\"version\":\"9\"}").unwrap();
    std::fs::write(path.join("build.json"), "{}").unwrap();
    std::fs::write(path.join("other.json"), "[1]").unwrap();
    let bench = Bench::with(Fixed::default(), |config| {
        config.site.metadata = Some(path.to_owned());
        config.site.build_info = Some(path.join("build.json"));
        config.site.cluster_id = Some(path.join("cluster-id"));
    });
    assert_eq!(
        bench.get("/metadata"),
        "200 {\"PUBLIC_IPV4\": \"127.0.0.1\", \"CLUSTER_ID\": \"1234-5678\"}"
    );
    assert_eq!(bench.get("/dcos-metadata/dcos-version.json"), "200 {\"version\":\"9\"}");
    assert_eq!(bench.get("/dcos-metadata/other.json"), "200 [1]");
    assert!(bench.get("/dcos-metadata/none.json").starts_with("404 "));
    assert_eq!(bench.get("/pkgpanda/active.buildinfo.full.json"), "200 {}");
    let bare = Bench::default();
    assert_eq!(bare.get("/metadata"), "200 {\"PUBLIC_IPV4\": \"127.0.0.1\"}");
    assert!(bare.get("/dcos-metadata/dcos-version.json").contains("\"version\":\"2.1.1\""));
    assert!(bare.get("/pkgpanda/active.buildinfo.full.json").starts_with("404 "));
}

#[test]
fn the_web_page_is_served_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>ui").unwrap();
    std::fs::write(folder.path().join("assets/a.js"), "1").unwrap();
    let bench = Bench::with(Fixed::default(), |config| {
        config.site.ui = Some(folder.path().to_owned());
    });
    let ask = |target| bench.decide(Method::GET, target, &[]).err().unwrap();
    let page = ask("/");
    assert_eq!(text(&page.body), "<p>ui");
    assert_eq!(header(&page, "cache-control").as_deref(), Some("max-age=30"));
    let script = ask("/assets/a.js");
    assert_eq!(text(&script.body), "1");
    let kind = header(&script, "content-type");
    assert_eq!(kind.as_deref(), Some("text/javascript; charset=utf-8"));
    assert_eq!(header(&script, "cache-control").as_deref(), Some("max-age=172800"));
    for target in ["/none", "/assets/", "/assets/.hidden", "/assets"] {
        assert_eq!(ask(target).status, StatusCode::NOT_FOUND, "{target}");
    }
}

#[test]
fn a_login_elsewhere_is_redirected_to_as_in_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let id = folder.path().join("id");
    std::fs::write(&id, "abc\n").unwrap();
    let bench = Bench::with(Fixed::default(), |config| {
        config.redirector = Some(("https://auth.example.com".to_owned(), "client".to_owned()));
        config.site.cluster_id = Some(id);
    });
    assert_eq!(
        bench.get("/login?firstUser=true"),
        "302 -> https://auth.example.com/login?client=client&cluster_id=abc&firstUser=true"
    );
}

#[test]
fn a_token_is_shown_to_a_person_alone() {
    let bench = Bench::default();
    let cookie = format!("dcos-acs-auth-cookie={}", super::token("admin"));
    let cookie = ("cookie", cookie.as_str());
    let shown = [("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];
    let ask = |headers: &[(&str, &str)]| {
        bench.decide(Method::GET, "/login/token", headers).err().unwrap()
    };
    let page = ask(&[cookie, shown[0], shown[1], HTML]);
    assert_eq!(page.status, StatusCode::OK);
    assert!(text(&page.body).contains("eyJ"));
    assert!(header(&page, "content-security-policy").unwrap().ends_with("; sandbox"));
    assert_eq!(header(&page, "cache-control").as_deref(), Some("no-store"));
    for headers in [
        &[cookie][..],
        &[cookie, ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")],
        &[cookie, ("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")],
    ] {
        let page = ask(headers);
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(!text(&page.body).contains("eyJ"));
    }
    let garbage = ("cookie", "dcos-acs-auth-cookie=garbage");
    assert_eq!(ask(&[garbage, shown[0], shown[1]]).status, StatusCode::FOUND);
    assert_eq!(ask(&shown).status, StatusCode::FOUND);
}

#[test]
fn every_user_may_know_which_cluster_it_is() {
    let bench = Bench::default();
    assert_eq!(bench.status("nobody", "/metadata"), 200);
    assert_eq!(bench.status("nobody", "/dcos-metadata/other.json"), 403);
}
