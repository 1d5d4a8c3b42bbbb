//! `dais security`: the requests it makes of IAM, and what it shows.

use crate::support::{Outcome, Scripted, run};
use serde_json::{Value, json};

const API: &str = "/acs/api/v1";
const MARATHON: &str = "/acls/dcos%3Aservice%3Amarathon%3Amarathon%3Aservices%3A%252Fdev";

fn security(cluster: &Scripted, words: &str) -> Outcome {
    security_with(cluster, words, "")
}

fn security_with(cluster: &Scripted, words: &str, input: &str) -> Outcome {
    let url = cluster.url();
    let home = cluster.folder().to_str().unwrap();
    let variables = [("DCOS_URL", url.as_str()), ("DCOS_ACS_TOKEN", "secret"), ("HOME", home)];
    run(&format!("security {words}"), input, &variables)
}

#[test]
fn users_are_made_changed_and_removed() {
    let cluster = Scripted::start();
    cluster.on(&format!("PUT {API}/users/ada"), 201, "");
    cluster.on(&format!("PUT {API}/users/eve%40example.com"), 201, "");
    cluster.on(&format!("PATCH {API}/users/ada"), 204, "");
    cluster.on(&format!("DELETE {API}/users/ada"), 204, "");
    cluster.on(&format!("DELETE {API}/users/ada/tokens"), 204, "");
    let outcome = security_with(&cluster, "-vv user create ada -d Ada", "geheim\n");
    assert!(!format!("{outcome:?}").contains("geheim"));
    outcome.ok();
    let sent = cluster.sent(&format!("PUT {API}/users/ada"));
    assert_eq!(sent, json!({"description": "Ada", "password": "geheim"}));
    security(&cluster, "user create eve@example.com --oidc-provider=ours").ok();
    let sent = cluster.sent(&format!("PUT {API}/users/eve%40example.com"));
    let expected = json!({"description": "", "provider_type": "oidc", "provider_id": "ours"});
    assert_eq!(sent, expected);
    let err = security(&cluster, "user create bob").failed(1);
    assert!(err.contains("--password-file"), "{err}");
    let file = cluster.file("open", "pw");
    let err = security(&cluster, &format!("user create bob --password-file={file}")).failed(1);
    assert!(err.contains("too open"), "{err}");
    security(&cluster, "user update ada --disable").ok();
    assert_eq!(cluster.sent(&format!("PATCH {API}/users/ada")), json!({"active": false}));
    security(&cluster, "user update ada").failed(2);
    security(&cluster, "user revoke-tokens ada").ok();
    security(&cluster, "org users delete ada").ok();
    assert!(cluster.seen().iter().all(|seen| seen.headers["authorization"] == "token=secret"));
}

#[test]
fn ones_own_password_is_changed_with_the_old_one() {
    let cluster = Scripted::start();
    let line = format!("PATCH {API}/users/ada");
    let refusal = json!({"code": "ERR_INVALID_DATA",
        "description": "`old_password` must be provided to change one's own password"});
    cluster.on(&line, 400, refusal.clone()).on(&line, 204, "");
    security_with(&cluster, "user update ada --ask-password", "new\nold\n").ok();
    let last: Value = serde_json::from_str(&cluster.seen().pop().unwrap().body).unwrap();
    assert_eq!(last, json!({"password": "new", "old_password": "old"}));
    let (new, old) = (cluster.secret_file("new", "n"), cluster.secret_file("old", "o"));
    cluster.remove(&line);
    cluster.on(&line, 400, refusal).on(&line, 204, "");
    let words = format!("user update ada --password-file={new} --old-password-file={old}");
    security(&cluster, &words).ok();
    let last: Value = serde_json::from_str(&cluster.seen().pop().unwrap().body).unwrap();
    assert_eq!(last, json!({"password": "n", "old_password": "o"}));
}

#[test]
fn a_user_is_shown_with_what_they_may_do() {
    let cluster = Scripted::start();
    let user = json!({"uid": "ada", "description": "Ada", "is_service": false, "is_remote": false,
        "provider_type": "internal", "provider_id": "", "url": "/acs/api/v1/users/ada"});
    let groups = json!({"array": [{"membershipurl": "x", "group": {"gid": "dev"}}]});
    let permissions = json!({
        "direct": [{"rid": "a:b", "actions": [{"name": "read"}, {"name": "update"}]}],
        "groups": [{"rid": "c", "gid": "dev", "actions": [{"name": "full"}]}],
    });
    cluster.on(&format!("GET {API}/users"), 200, json!({"array": [user]}));
    cluster.on(&format!("GET {API}/users/ada"), 200, user);
    cluster.on(&format!("GET {API}/users/ada/groups"), 200, groups);
    cluster.on(&format!("GET {API}/users/ada/permissions"), 200, permissions);
    assert_eq!(security(&cluster, "user list -q").ok(), "ada\n");
    let out = security(&cluster, "user list").ok();
    assert!(out.contains("  ada  Ada          internal"), "{out}");
    let expected = "uid: ada\ndescription: Ada\nprovider: internal\nactive: yes\ngroups: dev\n\
        may: read, update on a:b\nmay: full on c (as a member of dev)\n";
    assert_eq!(security(&cluster, "user show ada").ok(), expected);
    let shown = security(&cluster, "user show ada --json").json();
    assert_eq!(shown["permissions"]["direct"][0]["rid"], "a:b");
    let unknown = json!({"title": "400 Bad Request", "code": "ERR_UNKNOWN_USER_ID",
        "description": "User with uid `bob` not known."});
    cluster.on(&format!("GET {API}/users/bob"), 400, unknown);
    let err = security(&cluster, "user show bob").failed(1);
    assert_eq!(err, "dais: User with uid `bob` not known.\n");
}

#[test]
fn groups_have_members() {
    let cluster = Scripted::start();
    cluster.on(&format!("PUT {API}/groups/dev"), 201, "");
    cluster.on(&format!("PUT {API}/groups/dev/users/ada"), 204, "");
    cluster.on(&format!("PUT {API}/groups/dev/users/eve"), 204, "");
    cluster.on(&format!("DELETE {API}/groups/dev/users/eve"), 204, "");
    cluster.on(&format!("GET {API}/groups/dev"), 200, json!({"gid": "dev", "description": "D"}));
    let member = |uid: &str| json!({"array": [{"user": {"uid": uid}}]});
    cluster.on(&format!("GET {API}/groups/dev/users"), 200, member("ada"));
    cluster.on(&format!("GET {API}/groups/dev/users?type=service"), 200, member("svc"));
    cluster.on(&format!("GET {API}/groups/dev/permissions"), 200, json!({"array": []}));
    security(&cluster, "group create dev -d D").ok();
    security(&cluster, "group add dev ada eve").ok();
    let added = cluster.seen().into_iter().find(|seen| seen.line.ends_with("/users/ada")).unwrap();
    assert_eq!(added.body, "", "there is nothing to say");
    security(&cluster, "org groups remove_user dev eve").ok();
    let out = security(&cluster, "group show dev").ok();
    assert_eq!(out, "gid: dev\ndescription: D\nmembers: ada, svc\n");
}

#[test]
fn an_account_is_made_with_a_public_key_and_never_sends_a_private_one() {
    let cluster = Scripted::start();
    cluster.on(&format!("PUT {API}/users/svc"), 201, "");
    let folder = cluster.folder().to_str().unwrap();
    let keys = format!("{folder}/key.pem {folder}/key.pub.pem");
    security(&cluster, &format!("account keypair {keys} --type=ec")).ok();
    let err = security(&cluster, &format!("account create svc -p {folder}/key.pem")).failed(1);
    assert!(err.contains("no public key") && !err.contains("PRIVATE"), "{err}");
    assert!(cluster.lines().is_empty());
    security(&cluster, &format!("org service-accounts create -p {folder}/key.pub.pem -d S svc"))
        .ok();
    let sent = cluster.sent(&format!("PUT {API}/users/svc"));
    let key = std::fs::read_to_string(format!("{folder}/key.pub.pem")).unwrap();
    assert_eq!(sent, json!({"description": "S", "public_key": key}));
}

#[test]
fn a_permission_makes_its_resource_first() {
    let cluster = Scripted::start();
    let unknown = json!({"code": "ERR_UNKNOWN_RESOURCE_ID", "description": "not known"});
    let grant = format!("PUT {API}{MARATHON}/users/ada/read");
    cluster.on(&grant, 400, unknown).on(&grant, 204, "");
    cluster.on(&format!("PUT {API}{MARATHON}"), 201, "");
    cluster.on(&format!("DELETE {API}{MARATHON}/groups/dev/full"), 204, "");
    let rid = "dcos:service:marathon:marathon:services:/dev";
    security(&cluster, &format!("permission grant {rid} read --user=ada -d Dev")).ok();
    let make = format!("PUT {API}{MARATHON}");
    assert_eq!(cluster.lines(), [grant.clone(), make.clone(), grant]);
    assert_eq!(cluster.sent(&make), json!({"description": "Dev"}));
    security(&cluster, &format!("permission revoke {rid} full --group=dev")).ok();
    security(&cluster, &format!("permission revoke {rid} full")).failed(2);
    security(&cluster, &format!("permission revoke {rid} everything --user=a")).failed(2);
    // As the enterprise CLI has it.
    security(&cluster, &format!("org users grant ada {rid} read")).ok();
}

#[test]
fn permissions_are_listed() {
    let cluster = Scripted::start();
    cluster.on(&format!("GET {API}/acls"), 200, json!({"array": [{"rid": "dcos:superuser"}]}));
    let granted = json!({
        "users": [{"uid": "admin", "actions": [{"name": "full"}]}],
        "groups": [{"gid": "superusers", "actions": [{"name": "full"}]}],
    });
    cluster.on(&format!("GET {API}/acls/dcos%3Asuperuser/permissions"), 200, granted);
    let out = security(&cluster, "permission list").ok();
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["dcos:superuser", "user", "admin", "full"]);
    assert_eq!(rows[2], ["dcos:superuser", "group", "superusers", "full"]);
    let listed = security(&cluster, "permission list dcos:superuser --json").json();
    assert_eq!(listed[0]["groups"][0]["gid"], "superusers");
}

#[test]
fn without_a_gateway_it_says_how_to_get_to_one() {
    let cluster = Scripted::start();
    let err = cluster.run("security user list").failed(1);
    assert!(err.contains("dais auth login"), "{err}");
}
