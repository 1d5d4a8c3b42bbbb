//! Who gets in, and what others are told.

use std::net::SocketAddr;

use http::{Method, StatusCode, Version};
use http_kit::guard::{FollowConfig, Guard, Mode, follow};
use proxy::{Decision, Peer, RequestHead, Scheme};
use tokio_util::sync::CancellationToken;

use super::{Bench, Fixed, header, now, text, token, token_until};
use crate::Role;
use crate::config::Challenge;
use crate::routes::{self, Access, Own, Pattern, To};

/// A path of a route.
fn example(pattern: Pattern) -> String {
    match pattern {
        Pattern::Exactly(path) => path.to_owned(),
        Pattern::Below(path) | Pattern::From(path) => format!("{path}/x/y"),
        Pattern::Rest => "/x".to_owned(),
    }
}

#[test]
fn every_route_that_is_not_public_needs_a_token_that_counts() {
    let expired = format!("token={}", token_until("admin", now() - 100, 0));
    let revoked = format!("token={}", token_until("admin", now() + 100, 7));
    let unknown = format!("token={}", token("somebody"));
    for role in [Role::Master, Role::Agent] {
        let bench = Bench::with(Fixed::default(), |config| config.role = role);
        let guarded = routes::of(role).iter().filter(|route| route.access != Access::Public);
        for route in guarded {
            let path = example(route.pattern);
            for headers in [
                &[][..],
                &[("authorization", expired.as_str())],
                &[("authorization", revoked.as_str())],
                &[("authorization", unknown.as_str())],
                &[("authorization", "token=garbage")],
                &[("authorization", "Basic YTpi")],
                &[("cookie", "dcos-acs-auth-cookie=garbage")],
            ] {
                let response = bench.decide(Method::GET, &path, headers);
                let response = response.err().unwrap_or_else(|| panic!("{path} is open"));
                assert_eq!(response.status, 401, "{path} {headers:?}");
                assert_eq!(header(&response, "www-authenticate").as_deref(), Some("acsjwt"));
            }
        }
    }
}

#[test]
fn every_route_with_a_permission_needs_it() {
    for role in [Role::Master, Role::Agent] {
        let bench = Bench::with(Fixed::default(), |config| config.role = role);
        for route in routes::of(role) {
            let path = example(route.pattern);
            let expected = match route.access {
                Access::Public => continue,
                Access::Token => 200,
                _ => 403,
            };
            // The cache asks the master itself.
            if !matches!(route.to, To::Cache) {
                assert_eq!(bench.status("nobody", &path), expected, "{path}");
            }
        }
    }
}

#[test]
fn a_permission_is_for_its_route_alone() {
    let bench = Bench::default();
    for (path, status) in [
        ("/service/marathon/v2/apps", 200),
        ("/marathon/v2/apps", 200),
        ("/service/group/app/", 403),
        ("/service/none/", 403),
        // Who may use it may know that it is gone.
        ("/service/group/gone/x", 404),
        ("/service/broken/", 403),
        ("/mesos/", 403),
        ("/service/later/", 200),
    ] {
        assert_eq!(bench.status("marathon", path), status, "{path}");
    }
    for (path, status) in [
        ("/system/v1/logs/v1", 200),
        ("/system/v1/agent/a1-S0/logs/v1", 200),
        ("/system/v1/agent/a1-S0/metrics/v0/logs", 403),
        ("/system/v1/leader/mesos/logs", 200),
        ("/system/v1/leader/mesos/metrics/v0", 403),
        ("/system/health/v1", 403),
    ] {
        assert_eq!(bench.status("logs", path), status, "{path}");
    }
}

#[test]
fn the_log_says_who_was_refused() {
    let bench = Bench::default();
    let header = format!("token={}", token("nobody"));
    for path in ["/mesos/", "/service/marathon/", "/service/none/"] {
        let response = bench.decide(Method::GET, path, &[("authorization", &header)]);
        let response = response.err().unwrap();
        assert_eq!((response.status.as_u16(), response.user.as_deref()), (403, Some("nobody")));
        assert_eq!(bench.decide(Method::GET, path, &[]).err().unwrap().user, None);
    }
}

#[test]
fn users_get_through_to_what_is_about_themselves() {
    let bench = Bench::default();
    for (path, status) in [
        ("/acs/api/v1/users/nobody", 200),
        ("/acs/api/v1/users/nobody/permissions", 200),
        ("/acs/api/v1/users/%6eobody", 200),
        ("/acs/api/v1/users", 403),
        ("/acs/api/v1/users/admin", 403),
        ("/acs/api/v1/users/nobody/../admin", 403),
        ("/acs/api/v1/groups/nobody", 403),
        ("/acs/api/v1/acls/users/nobody", 403),
    ] {
        assert_eq!(bench.status("nobody", path), status, "{path}");
    }
}

#[test]
fn whether_a_service_exists_is_told_only_to_who_may_ask() {
    let bench = Bench::default();
    for path in ["/service/none/", "/service/broken/", "/agent/gone/", "/service/marathon/x"] {
        let response = bench.decide(Method::GET, path, &[]).err().unwrap();
        assert_eq!(response.status, 401, "{path}");
    }
}

#[test]
fn cookies_count_for_changes_only_from_own_pages() {
    let bench = Bench::default();
    let cookie = format!("dcos-acs-auth-cookie={}", token("admin"));
    let cookie = ("cookie", cookie.as_str());
    let status = |method: Method, headers: &[(&str, &str)]| {
        bench.decide(method, "/service/marathon/v2/apps", headers).map(|_| ()).map_err(|r| r.status)
    };
    let forbidden = Err(StatusCode::FORBIDDEN);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(status(method.clone(), &[cookie]), forbidden);
        assert_eq!(status(method.clone(), &[cookie, ("origin", "https://evil")]), forbidden);
        assert_eq!(status(method.clone(), &[cookie, ("origin", "https://gate:8443")]), Ok(()));
        assert_eq!(status(method, &[cookie, ("sec-fetch-site", "same-origin")]), Ok(()));
    }
    let socket = ("upgrade", "websocket");
    assert_eq!(status(Method::GET, &[cookie]), Ok(()));
    assert_eq!(status(Method::GET, &[cookie, socket, ("origin", "https://evil")]), forbidden);
    assert_eq!(status(Method::GET, &[cookie, socket, ("origin", "https://gate:8443")]), Ok(()));
    // Programs choose to send their token.
    let header = format!("token={}", token("admin"));
    let header = ("authorization", header.as_str());
    assert_eq!(status(Method::POST, &[header, ("origin", "https://evil")]), Ok(()));
    assert_eq!(status(Method::POST, &[header, cookie]), Ok(()));
}

#[test]
fn only_programs_of_this_machine_are_local() {
    let bench = Bench::default();
    let is_local = |ip: &str, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::new(Method::GET, Version::HTTP_11, b"/", headers).unwrap();
        let address = SocketAddr::new(ip.parse().unwrap(), 1);
        super::super::is_local(&head, &Peer { address, ..bench.peer() })
    };
    for host in ["127.0.0.1:61001", "localhost", "[::1]:61001", "10.0.0.1"] {
        assert!(is_local("127.0.0.1", &[("Host", host)]), "{host}");
        assert!(!is_local("10.0.0.1", &[("Host", host)]), "{host}");
    }
    assert!(!is_local("127.0.0.1", &[("Host", "evil.example")]), "a name that leads here");
    for name in ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Via"] {
        assert!(!is_local("::1", &[("Host", "localhost"), (name, "")]), "{name}");
    }
}

#[test]
fn browsers_are_sent_to_the_login_and_programs_are_not() {
    let bench = Bench::default();
    let ask = |method: Method, headers: &[(&str, &str)]| {
        let response = bench.decide(method, "/mesos/x?a=b", headers).err().unwrap();
        (response.status.as_u16(), header(&response, "location"))
    };
    let login = (302, Some("/login?redirect=/mesos/x%3Fa%3Db".to_owned()));
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(ask(Method::GET, &[html]), login);
    assert_eq!(ask(Method::GET, &[("sec-fetch-mode", "navigate")]), login);
    assert_eq!(ask(Method::GET, &[]), (401, None));
    assert_eq!(ask(Method::GET, &[("accept", "*/*")]), (401, None));
    assert_eq!(ask(Method::POST, &[html]), (401, None));
    assert_eq!(ask(Method::GET, &[html, ("sec-fetch-mode", "cors")]), (401, None));
    assert_eq!(ask(Method::GET, &[html, ("upgrade", "websocket")]), (401, None));
}

#[test]
fn refusals_have_the_originals_form() {
    let refused = |challenge, headers: &[(&str, &str)]| {
        let bench = Bench::with(Fixed::default(), |config| config.challenge = challenge);
        bench.decide(Method::GET, "/mesos/", headers).err().unwrap()
    };
    let response = refused(Challenge::Oauth, &[]);
    assert_eq!(header(&response, "www-authenticate").as_deref(), Some("oauthjwt"));
    let kind = header(&response, "content-type");
    assert_eq!(kind.as_deref(), Some("text/html; charset=UTF-8"));
    assert!(text(&response.body).ends_with("</html>\n\n"));
    let response = refused(Challenge::Acs, &[("accept", "application/json")]);
    assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"));
    let folder = tempfile::tempdir().unwrap();
    for name in ["401.html", "403.html"] {
        std::fs::write(folder.path().join(name), format!("<h1>{name}</h1>")).unwrap();
    }
    let bench = Bench::with(Fixed::default(), |config| {
        config.site.error_pages = Some(folder.path().to_owned());
    });
    let response = bench.decide(Method::GET, "/mesos/", &[]).err().unwrap();
    assert_eq!(text(&response.body), "<h1>401.html</h1>\n");
    let header = format!("token={}", token("nobody"));
    let response = bench.decide(Method::GET, "/mesos/", &[("authorization", &header)]);
    assert_eq!(text(&response.err().unwrap().body), "<h1>403.html</h1>\n");
}

#[test]
fn without_a_policy_nobody_gets_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let stop = CancellationToken::new();
    stop.cancel();
    let config = FollowConfig {
        mode: Mode::Strict,
        iam: "http://127.0.0.1:9".to_owned(),
        account: "/nowhere".into(),
        client: http_kit::ClientConfig::default(),
    };
    let bench = Bench::guarded(follow(config, stop).guard, Fixed::default(), |_| {});
    assert_eq!(bench.status("admin", "/mesos/"), 503);
    let response = bench.decide(Method::GET, "/mesos/", &[]).err().unwrap();
    assert_eq!(response.status, 401, "who has no token is told so all the same");
}

#[test]
fn authentication_can_be_switched_off() {
    let bench = Bench::guarded(Guard::disabled(), Fixed::default(), |_| {});
    assert!(bench.decide(Method::POST, "/mesos/x", &[]).is_ok());
    let cookie = [("cookie", "dcos-acs-auth-cookie=x")];
    assert!(bench.decide(Method::GET, "/service/marathon/", &cookie).is_ok());
}

#[test]
fn what_comes_without_tls_is_sent_to_tls() {
    let mut bench = Bench::with(Fixed::default(), |config| {
        config.trusted_proxies = vec!["192.0.2.7".parse().unwrap()];
    });
    bench.scheme = Scheme::Http;
    let ask = |method: Method, target: &str, host: &str| {
        let response = bench.decide(method, target, &[("host", host)]).err().unwrap();
        (response.status.as_u16(), header(&response, "location").unwrap_or_default())
    };
    let to = |status, location: &str| (status, location.to_owned());
    let gate = "https://gate:8443/mesos/x?a=b";
    assert_eq!(ask(Method::GET, "/mesos/x?a=b", "gate:8000"), to(301, gate));
    assert_eq!(ask(Method::POST, "/mesos/x?a=b", "GATE"), to(308, gate));
    for evil in ["evil", "evil:8000", "gate.evil", "", "gate@evil", "gate/evil"] {
        assert_eq!(ask(Method::GET, "/mesos/x?a=b", evil), to(301, gate), "{evil}");
    }
    let by_address = "https://127.0.0.1:8443/login";
    assert_eq!(ask(Method::GET, "/login", "127.0.0.1:8000"), to(301, by_address));
    // What has to be there before anybody trusts the certificate.
    let forward = bench.decide(Method::GET, "/ca/dcos-ca.crt", &[]);
    assert!(forward.is_ok());
    // A proxy in front that says so had TLS; nobody else is believed.
    let proto = [("x-forwarded-proto", "https")];
    assert!(bench.decide(Method::GET, "/mesos/", &proto).is_err_and(|r| r.status == 301));
}

#[test]
fn a_second_cookie_locks_nobody_out() {
    let bench = Bench::default();
    let ask = |cookies: &[String]| {
        let cookies: Vec<_> =
            cookies.iter().map(|token| format!("dcos-acs-auth-cookie={token}")).collect();
        let cookie = [("cookie", cookies.join("; ")), ("accept", "text/html".to_owned())];
        let cookie = cookie.each_ref().map(|(name, value)| (*name, value.as_str()));
        bench.decide(Method::GET, "/service/marathon/ui/x", &cookie)
    };
    let own = token("marathon");
    // What is no token, or counts no more, is as if it were not there.
    let stale = token_until("admin", now() - 3600, 0);
    for other in ["x".to_owned(), String::new(), "a b".to_owned(), stale, own.clone()] {
        for cookies in [[own.clone(), other.clone()], [other.clone(), own.clone()]] {
            let forward = ask(&cookies).unwrap_or_else(|r| panic!("{other}: {}", r.status));
            let sent = forward.request.set.iter().find(|(name, _)| *name == "authorization");
            assert_eq!(sent.unwrap().1.to_str().unwrap(), format!("token={own}"));
        }
    }
    assert!(ask(&[own.clone(), token_until("marathon", now() + 99, 0)]).is_ok(), "the same user");
    // Between two users nobody chooses; a login makes an end of it.
    let response = ask(&[own.clone(), token("admin")]).err().unwrap();
    assert_eq!(response.status, 302);
    let expired: Vec<_> =
        response.headers.iter().filter(|(name, _)| *name == "set-cookie").collect();
    for path in ["/", "/service", "/service/", "/service/marathon", "/service/marathon/ui/"] {
        let text = format!("dcos-acs-auth-cookie=; Path={path}; Max-Age=0; HttpOnly; Secure");
        assert!(expired.iter().any(|(_, value)| *value == text.as_str()), "{path}: {expired:?}");
    }
    // With one cookie there is nothing to clear.
    let response = ask(&["x".to_owned()]).err().unwrap();
    assert!(header(&response, "set-cookie").is_none());
}

#[test]
fn wildcards_are_no_place_to_go() {
    let mut bench = Bench::with(Fixed::default(), |config| {
        config.names = vec!["*.example.com".to_owned(), "gate".to_owned()];
    });
    bench.scheme = Scheme::Http;
    let ask = |host: &str| {
        let response = bench.decide(Method::GET, "/mesos/", &[("host", host)]).err().unwrap();
        header(&response, "location").unwrap_or_default()
    };
    assert_eq!(ask("Web.example.com:8000"), "https://web.example.com:8443/mesos/");
    for other in ["example.com", "a.b.example.com", "evil", "*.example.com"] {
        assert_eq!(ask(other), "https://gate:8443/mesos/", "{other}");
    }
}

#[test]
fn behind_a_trusted_proxy_with_tls_there_is_tls() {
    for trusted in [true, false] {
        let mut bench = Bench::with(Fixed::default(), |config| {
            let network = if trusted { "192.0.2.0/24" } else { "198.51.100.0/24" };
            config.trusted_proxies = vec![network.parse().unwrap()];
        });
        bench.scheme = Scheme::Http;
        let page = bench.decide(Method::GET, "/", &[("x-forwarded-proto", "https")]);
        let page = page.err().unwrap();
        let safe = header(&page, "strict-transport-security").is_some();
        assert_eq!((page.status == 301, safe), (!trusted, trusted), "{}", page.status);
        // Its pages have origins with https, and only those are its own.
        let cookie = format!("dcos-acs-auth-cookie={}", token("admin"));
        let change = |origin: &str| {
            let headers = [
                ("x-forwarded-proto", "https"),
                ("cookie", &cookie),
                ("origin", origin),
                ("host", "gate"),
            ];
            bench.decide(Method::POST, "/service/marathon/v2/apps", &headers).map_err(|r| r.status)
        };
        assert_eq!(change("https://gate").is_ok(), trusted);
        assert!(change("http://gate").is_err());
        let plain = bench.decide(Method::GET, "/mesos/", &[("x-forwarded-proto", "http")]);
        assert!(plain.is_err_and(|response| response.status == 301));
    }
}

#[test]
fn the_login_form_counts_only_from_the_own_page() {
    let bench = Bench::default();
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let own = ("origin", "https://gate:8443");
    let status = |headers: &[(&str, &str)]| {
        bench.decide(Method::POST, "/login", headers).err().unwrap().status.as_u16()
    };
    assert_eq!(status(&[kind]), 403);
    assert_eq!(status(&[kind, ("origin", "https://evil")]), 403);
    assert_eq!(status(&[own, ("content-type", "application/json")]), 415);
    let headers = [own, kind, ("host", "gate:8443")];
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let version = http::Version::HTTP_11;
    let head = proxy::RequestHead::new(Method::POST, version, b"/login", headers).unwrap();
    let decision = proxy::Policy::decide(&bench.gateway, &std::sync::Arc::new(head), &bench.peer());
    assert!(matches!(decision, Decision::Read { .. }));
}

#[test]
fn own_answers_are_for_reading() {
    let bench = Bench::default();
    let reading = |to: To| matches!(to, To::Own(own) if own != Own::Login);
    for route in routes::of(Role::Master).iter().filter(|route| reading(route.to)) {
        let path = example(route.pattern);
        let facts = bench.facts(Method::DELETE, &path, &[]);
        assert!(facts.starts_with("405 "), "{path}: {facts}");
    }
}

#[test]
fn the_gateway_proves_itself_to_iam_and_to_nobody_else() {
    let bench = Bench::default();
    let proof = |target: &str, headers: &[(&str, &str)]| {
        let token = format!("token={}", token("admin"));
        let own = [("authorization", token.as_str())];
        let headers: Vec<_> = own.iter().chain(headers).copied().collect();
        let forward = bench.decide(Method::GET, target, &headers).map_err(|_| ()).unwrap();
        let sent = forward.request.set.iter().filter(|(name, _)| name == "dais-gateway");
        let values: Vec<_> = sent.map(|(_, value)| value.clone()).collect();
        assert!(values.iter().all(|value| value.is_sensitive()));
        values
    };
    // It takes the place of what a client sends.
    let forged = [("dais-gateway", "token=x")];
    for target in ["/acs/api/v1/users", "/ca/dcos-ca.crt", "/auth/jwks"] {
        assert_eq!(proof(target, &forged), ["token=eyJgate"], "{target}");
    }
    for target in ["/mesos/", "/service/marathon/", "/package/search", "/net/"] {
        assert!(proof(target, &[]).is_empty(), "{target}");
    }
}
