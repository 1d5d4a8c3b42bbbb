//! What labels mean, as a table.

use super::*;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect()
}

fn zero(pairs: &[(&str, &str)]) -> (Settings, Vec<(String, Kind)>) {
    let pairs: Vec<(String, &str)> =
        pairs.iter().map(|(name, value)| (format!("HAPROXY_0_{name}"), *value)).collect();
    let labels = pairs.iter().map(|(label, value)| (label.as_str().into(), (*value).into()));
    let (settings, problems) = read(&labels.collect(), 0);
    let problems = problems.into_iter().map(|problem| {
        (problem.label.strip_prefix("HAPROXY_0_").unwrap().to_owned(), problem.kind)
    });
    (settings, problems.collect())
}

fn good(pairs: &[(&str, &str)]) -> Settings {
    let (settings, problems) = zero(pairs);
    assert_eq!(problems, [], "{pairs:?}");
    settings
}

#[test]
fn the_defaults_are_the_originals() {
    let settings = good(&[]);
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.balance, Balance::RoundRobin);
    assert_eq!((settings.weight, settings.enabled, settings.mode), (0, None, None));
}

#[test]
fn hosts_are_lower_case_and_many() {
    let settings = good(&[("VHOST", "A.Example.com,b")]);
    assert_eq!(settings.hosts, ["a.example.com".into(), Arc::from("b")]);
    assert_eq!(zero(&[("VHOST", "a b")]).1, [("VHOST".into(), Kind::Invalid)]);
    assert_eq!(zero(&[("VHOST", "a,")]).1, [("VHOST".into(), Kind::Invalid)]);
}

#[test]
fn paths_are_prefixes() {
    let matches = |text: &str, path: &str| Paths::parse(text).unwrap().matches(path);
    assert!(matches("/a", "/a") && matches("/a", "/ab/c") && !matches("/a", "/A"));
    assert!(matches("-i /A /b", "/aX") && matches("-i /A /b", "/B"));
    assert!(matches("-- -i", "-i"));
    assert!(!matches("/long", "/lo"));
    for none in ["", "-i", "-f file", "-m reg /x"] {
        assert_eq!(Paths::parse(none), None, "{none}");
    }
    assert!(zero(&[("VHOST", "a"), ("PATH", "-f x")]).0.refused);
}

#[test]
fn a_path_weighs_one_unless_it_weighs_more() {
    let weight = |pairs: &[(&str, &str)]| good(pairs).weight;
    assert_eq!(weight(&[("VHOST", "a"), ("PATH", "/x")]), 1);
    assert_eq!(weight(&[("VHOST", "a"), ("PATH", "/x"), ("BACKEND_WEIGHT", "7")]), 7);
    assert_eq!(weight(&[("VHOST", "a"), ("PATH", "/x"), ("BACKEND_WEIGHT", "0")]), 1);
    assert_eq!(weight(&[("VHOST", "a"), ("PATH", "/x"), ("BACKEND_WEIGHT", "-3")]), -3);
    assert_eq!(weight(&[("VHOST", "a"), ("BACKEND_WEIGHT", "2")]), 2);
}

#[test]
fn words_for_yes() {
    for (text, value, known) in [
        ("true", true, true),
        ("T", true, true),
        ("Yes", true, true),
        ("y", true, true),
        ("false", false, true),
        ("no", false, true),
        ("1", false, false),
        ("on", false, false),
        ("", false, false),
    ] {
        let (settings, problems) = zero(&[("STICKY", text)]);
        assert_eq!((settings.sticky, problems.is_empty()), (value, known), "{text}");
        assert_eq!(zero(&[("ENABLED", text)]).0.enabled, Some(value));
    }
}

#[test]
fn modes_and_algorithms() {
    assert_eq!(good(&[("MODE", "HTTP")]).mode, Some(Mode::Http));
    assert_eq!(good(&[("MODE", "tcp")]).mode, Some(Mode::Tcp));
    assert_eq!(zero(&[("MODE", "udp")]).1, [("MODE".into(), Kind::Invalid)]);
    for (text, balance) in [
        ("roundrobin", Balance::RoundRobin),
        ("static-rr", Balance::RoundRobin),
        ("leastconn", Balance::LeastConn),
        ("source", Balance::Source),
        ("hdr(X-User)", Balance::Header("x-user".into())),
    ] {
        assert_eq!(good(&[("BALANCE", text)]).balance, balance);
    }
    assert_eq!(zero(&[("BALANCE", "rdp-cookie")]).1, [("BALANCE".into(), Kind::Invalid)]);
}

#[test]
fn what_keeps_people_out_and_is_not_understood_refuses_all() {
    for (name, value) in [
        ("AUTH", "realm:user"),
        ("AUTH", "realm:user:hash:more"),
        ("AUTH", "realm:user:$1$abc$xyz"),
        ("AUTH", "realm:user:plain"),
        ("AUTH", "a\"b:user:$6$x$y"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.0/8 elsewhere"),
        ("BIND_ADDR", "eth0"),
        ("BACKEND_HTTP_OPTIONS", "http-request deny if { path /admin }"),
        ("HTTP_FRONTEND_ACL", "http-request auth realm x"),
    ] {
        let (settings, problems) = zero(&[("VHOST", "a"), (name, value)]);
        assert!(settings.refused, "{name}={value}");
        assert_eq!(problems, [(name.to_owned(), Kind::Refused)], "{name}={value}");
    }
}

#[test]
fn who_may_come() {
    let settings = good(&[
        ("VHOST", "a"),
        ("AUTH", "my realm:joe:$6$salt$hash"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.1.40.0/24 10.1.55.43"),
    ]);
    let auth = settings.auth.unwrap();
    assert_eq!((&*auth.realm, &*auth.user, &*auth.hash), ("my realm", "joe", "$6$salt$hash"));
    assert!(!format!("{auth:?}").contains("hash"), "no secrets are shown");
    assert_eq!(settings.networks.len(), 2);
}

#[test]
fn the_rest_of_the_settings() {
    let settings = good(&[
        ("VHOST", "a"),
        ("PORT", " 10000 "),
        ("SSL_CERT", "/etc/ssl/a.pem"),
        ("BIND_ADDR", "10.0.0.42"),
        ("BIND_OPTIONS", "ciphers AES128+EECDH force-tlsv12 no-sslv3 no-tlsv10"),
        ("USE_HSTS", "true"),
        ("REDIRECT_TO_HTTPS", "true"),
        ("GROUP", "external,internal"),
        ("HTTP_BACKEND_PROXYPASS_PATH", "/a"),
        ("HTTP_BACKEND_REVPROXY_PATH", "/b"),
        ("HTTP_BACKEND_REDIR", "/c"),
        ("BACKEND_HEALTHCHECK_PORT_INDEX", "1"),
    ]);
    assert_eq!(settings.port, Some(10000));
    assert_eq!(settings.bind_address, "10.0.0.42".parse().ok());
    assert_eq!(settings.groups, Some(vec!["external".into(), "internal".into()]));
    assert_eq!(settings.redir.as_deref(), Some("/c"));
    assert_eq!(settings.health_check_port_index, Some(1));
    assert!(settings.hsts && settings.redirect_to_https);
    assert_eq!(zero(&[("PORT", "0")]).1, [("PORT".into(), Kind::Invalid)]);
    assert_eq!(
        zero(&[("BIND_OPTIONS", "accept-proxy")]).1,
        [("BIND_OPTIONS".into(), Kind::Partial)]
    );
}

#[test]
fn every_other_label_is_told_of() {
    for (name, kind) in [
        ("HTTP_FRONTEND_ACL", Kind::Unsupported),
        ("USERLIST_HEAD", Kind::Unsupported),
        ("BACKEND_SERVER_OPTIONS", Kind::Unsupported),
        ("BACKEND_HTTP_HEALTHCHECK_OPTIONS", Kind::Unneeded),
        ("VHOSTS", Kind::Unknown),
    ] {
        assert_eq!(zero(&[(name, "x")]).1, [(name.to_owned(), kind)]);
    }
    for name in ["PATH", "REDIRECT_TO_HTTPS"] {
        let value = if name == "PATH" { "/x" } else { "true" };
        assert_eq!(zero(&[(name, value)]).1, [(name.to_owned(), Kind::Invalid)]);
    }
    let all = labels(&[
        ("HAPROXY_GROUP", "external"),
        ("HAPROXY_DEPLOYMENT_GROUP", "g"),
        ("HAPROXY_0_VHOST", "a"),
        ("HAPROXY_1_VHOST", "a"),
        ("HAPROXY_VHOST", "a"),
        ("HAPROXY_00_VHOST", "a"),
        ("OTHER", "x"),
    ]);
    let wrong: Vec<_> = of_app(&all, 1).into_iter().map(|one| one.label.to_string()).collect();
    assert_eq!(wrong, ["HAPROXY_00_VHOST", "HAPROXY_1_VHOST", "HAPROXY_VHOST"]);
}

#[test]
fn templates_of_what_is_not_asked_for_are_not_read() {
    assert_eq!(good(&[("BACKEND_STICKY_OPTIONS", "nonsense")]), Settings::default());
    let (_, problems) = zero(&[("STICKY", "true"), ("BACKEND_STICKY_OPTIONS", "nonsense")]);
    assert_eq!(problems, [("BACKEND_STICKY_OPTIONS".to_owned(), Kind::Partial)]);
}

proptest! {
    /// Each label is honoured, or told of; and nothing panics.
    #[test]
    fn no_label_is_ignored_in_silence(name in "[A-Z_]{1,20}", value in ".{0,40}") {
        let label = format!("HAPROXY_0_{name}");
        let all = labels(&[(&label, &value)]);
        let (settings, problems) = read(&all, 0);
        let known = names::known(&name).is_some();
        prop_assert!(known || problems.iter().any(|problem| *problem.label == *label));
        prop_assert!(!settings.refused || !problems.is_empty());
    }
}
