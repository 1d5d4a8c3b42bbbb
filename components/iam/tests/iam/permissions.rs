//! Permissions: resources, actions, what follows of them.

use http::Method;
use serde_json::json;

use crate::harness::started;

const RID: &str = "dcos:service:marathon:marathon:services:/a/b";
const ACL: &str = "/acls/dcos:service:marathon:marathon:services:%252Fa%252Fb";

#[tokio::test]
async fn permissions_are_made_and_removed() {
    let iam = started().await;
    iam.user("anna").await;
    assert_eq!(iam.put("/groups/dev", json!({ "description": "" })).await.status, 201);
    let member = iam.ask(Method::PUT, "/groups/dev/users/anna").admin().send().await;
    assert_eq!(member.status, 204);
    let put = |path: String| iam.ask(Method::PUT, &path).admin().send();
    put(format!("{ACL}/users/anna/read")).await.refused(400, "ERR_UNKNOWN_RESOURCE_ID");
    assert_eq!(iam.put(ACL, json!({ "description": "B" })).await.status, 201);
    iam.put(ACL, json!({ "description": "B" })).await.refused(409, "ERR_ACL_EXISTS");
    let invalid = iam.put("/acls/a%20b", json!({ "description": "" })).await;
    invalid.refused(400, "ERR_INVALID_RESOURCE_ID");
    let url = format!("/acs/api/v1{ACL}");
    let acl = json!({ "rid": RID, "description": "B", "url": url });
    assert_eq!(iam.get(ACL).await.json(), acl);
    assert!(iam.get("/acls").await.json()["array"].as_array().unwrap().contains(&acl));
    assert_eq!(put(format!("{ACL}/users/anna/read")).await.status, 204);
    put(format!("{ACL}/users/anna/read")).await.refused(409, "ERR_ACTION_ALREADY_STORED");
    put(format!("{ACL}/users/anna/fly")).await.refused(400, "ERR_INVALID_ACTION");
    put(format!("{ACL}/users/nobody/read")).await.refused(400, "ERR_UNKNOWN_USER_ID");
    assert_eq!(put(format!("{ACL}/groups/dev/full")).await.status, 204);
    let read = json!([{ "name": "read", "url": format!("{url}/users/anna/read") }]);
    let full = json!([{ "name": "full", "url": format!("{url}/groups/dev/full") }]);
    let actions = iam.get(&format!("{ACL}/users/anna")).await.json();
    assert_eq!(actions, json!({ "array": read }));
    for (action, allowed) in [("read", true), ("full", false)] {
        let got = iam.get(&format!("{ACL}/users/anna/{action}")).await.json();
        assert_eq!(got, json!({ "allowed": allowed }));
    }
    let all = iam.get(&format!("{ACL}/permissions")).await.json();
    let users = json!([{ "uid": "anna", "userurl": "/acs/api/v1/users/anna", "actions": read }]);
    let groups = json!([{ "gid": "dev", "groupurl": "/acs/api/v1/groups/dev", "actions": full }]);
    assert_eq!(all, json!({ "users": users, "groups": groups }));
    let of_user = iam.get("/users/anna/permissions").await.json();
    let direct = json!([{ "rid": RID, "description": "B", "aclurl": url, "actions": read }]);
    assert_eq!(of_user["direct"], direct);
    let by_group = json!([{
        "rid": RID,
        "description": "B",
        "aclurl": url,
        "actions": full,
        "gid": "dev",
        "membershipurl": "/acs/api/v1/groups/dev/users/anna",
    }]);
    assert_eq!(of_user["groups"], by_group);
    let of_group = iam.get("/groups/dev/permissions").await.json();
    assert_eq!(of_group["array"][0]["actions"], full);
    // Whoever goes is not named any more.
    assert_eq!(iam.delete("/groups/dev").await.status, 204);
    assert_eq!(iam.get(&format!("{ACL}/permissions")).await.json()["groups"], json!([]));
    assert_eq!(iam.delete(&format!("{ACL}/users/anna/read")).await.status, 204);
    let gone = iam.delete(&format!("{ACL}/users/anna/read")).await;
    gone.refused(400, "ERR_ACTION_NOT_YET_STORED");
    iam.delete(&format!("{ACL}/users/anna")).await.refused(400, "ERR_USER_NOT_IN_ACL");
    assert_eq!(iam.delete(ACL).await.status, 204);
    iam.get(ACL).await.refused(400, "ERR_UNKNOWN_RESOURCE_ID");
    iam.stopped().await;
}

#[tokio::test]
async fn somebody_stays_a_superuser() {
    let iam = started().await;
    iam.delete("/users/admin").await.refused(400, "ERR_NO_MORE_SUPERUSERS");
    let disabled = iam.patch("/users/admin", json!({ "active": false })).await;
    disabled.refused(400, "ERR_NO_MORE_SUPERUSERS");
    iam.delete("/groups/superusers/users/admin").await.refused(400, "ERR_NO_MORE_SUPERUSERS");
    iam.delete("/groups/superusers").await.refused(400, "ERR_IS_SUPERUSER_GROUP");
    iam.delete("/acls/dcos:superuser").await.refused(400, "ERR_IS_SUPERUSER_GROUP");
    let right = "/acls/dcos:superuser/groups/superusers";
    iam.delete(right).await.refused(400, "ERR_IS_SUPERUSER_GROUP");
    iam.delete(&format!("{right}/full")).await.refused(400, "ERR_IS_SUPERUSER_GROUP");
    iam.user("anna").await;
    let put = iam.ask(Method::PUT, "/groups/superusers/users/anna").admin().send().await;
    assert_eq!(put.status, 204);
    assert_eq!(iam.patch("/users/anna", json!({ "active": false })).await.status, 204);
    // A superuser who is disabled is none.
    iam.delete("/users/admin").await.refused(400, "ERR_NO_MORE_SUPERUSERS");
    assert_eq!(iam.patch("/users/anna", json!({ "active": true })).await.status, 204);
    assert_eq!(iam.delete("/users/admin").await.status, 204);
    iam.stopped().await;
}

#[tokio::test]
async fn a_question_is_answered_as_judges_do() {
    let iam = started().await;
    iam.user("anna").await;
    iam.allow("anna", "dcos:service:/a", "full").await;
    for (uid, rid, action, allowed) in [
        ("anna", "dcos:service:/a/b", "read", true),
        ("anna", "dcos:service:/ab", "read", false),
        ("anna", "dcos:service", "read", false),
        ("admin", "dcos:whatever", "delete", true),
        ("nobody", "dcos:service:/a", "read", false),
        ("anna", "dcos:service:/a", "fly", false),
    ] {
        let path = format!("/internal/policyquery?rid={rid}&uid={uid}&action={action}");
        let answer = iam.get(&path).await.json();
        assert_eq!(answer, json!({ "allowed": allowed }), "{path}");
    }
    let missing = iam.get("/internal/policyquery?rid=x").await;
    missing.refused(400, "ERR_MISSING_QUERY_PARAMETERS");
    iam.stopped().await;
}
