//! What is refused, with the original's paths and texts.

use crate::{App, AppUpdate, Settings};
use serde_json::{Value, json};

fn with_features(names: &[&str]) -> Settings {
    let features = names.iter().map(|name| (*name).to_owned()).collect();
    Settings { features, mesos_role: "r".to_owned(), ..Settings::default() }
}

fn create(body: &Value, settings: &Settings) -> Result<App, Vec<(String, String)>> {
    let mut body = body.clone();
    let fields = body.as_object_mut().unwrap();
    fields.entry("id").or_insert(json!("/a"));
    if !fields.contains_key("container") && !fields.contains_key("args") {
        fields.entry("cmd").or_insert(json!("sleep 1"));
    }
    let created = AppUpdate::parse(&body).and_then(|update| update.create(None, settings));
    created.map_err(|error| {
        assert_eq!(error.status(), 422, "{}", error.body());
        let body = error.body();
        let violations = body["details"].as_array().unwrap().clone();
        let errors = |violation: &Value| {
            let path = violation["path"].as_str().unwrap().to_owned();
            let errors = violation["errors"].as_array().unwrap().clone();
            errors.into_iter().map(move |e| (path.clone(), e.as_str().unwrap().to_owned()))
        };
        violations.iter().flat_map(|violation| errors(violation).collect::<Vec<_>>()).collect()
    })
}

/// The only things wrong with `body`.
fn refused(body: &Value, expected: &[(&str, &str)]) {
    let found = create(body, &with_features(&[])).expect_err(&body.to_string());
    let found: Vec<(&str, &str)> =
        found.iter().map(|(path, error)| (path.as_str(), error.as_str())).collect();
    assert_eq!(found, expected, "{body}");
}

fn accepted(body: &Value) -> App {
    create(body, &with_features(&[])).unwrap_or_else(|errors| panic!("{errors:?}: {body}"))
}

#[test]
fn something_must_run() {
    let text = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.";
    refused(&json!({"cmd": "ab", "args": ["a"]}), &[("/", text)]);
    refused(&json!({"cmd": null, "args": []}), &[("/", text)]);
    refused(&json!({"cmd": "a"}), &[("/", "must not be an empty string")]);
    refused(&json!({"container": {}}), &[("/container/docker", "not defined"), ("/", text)]);
    accepted(&json!({"container": {"type": "MESOS"}}));
    accepted(&json!({"container": {"docker": {"image": "i"}}, "args": ["a"]}));
}

#[test]
fn ids() {
    let reserved = "must not end with any of the following reserved keywords: restart, tasks, \
                    versions, ., ..";
    refused(&json!({"id": "/a/tasks"}), &[("/id", reserved)]);
    refused(
        &json!({"id": "/"}),
        &[("/id", "Path must contain at least one path element"), ("/", "must not be root")],
    );
    refused(&json!({"dependencies": ["/x/versions"]}), &[("/dependencies(0)", reserved)]);
    assert_eq!(accepted(&json!({"id": "b/../c"})).id.as_str(), "/c");
}

#[test]
fn old_words_beside_new_ones() {
    let mix = |extra: Value| {
        let mut body = json!({"networks": [{"mode": "container", "name": "n"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        body
    };
    refused(
        &mix(json!({"ipAddress": {}})),
        &[("/", "must not specify both networks and ipAddress")],
    );
    refused(
        &mix(json!({"container": {"docker": {"image": "i", "network": "USER"}}})),
        &[("/", "must not specify both container.docker.network and networks")],
    );
    refused(
        &json!({"ports": [1], "portDefinitions": [{"port": 2}]}),
        &[("/", "cannot specify both ports and port definitions")],
    );
    accepted(&json!({"ports": [1], "portDefinitions": [{"port": 1}]}));
    refused(
        &json!({"ports": [1, 0, 1]}),
        &[("/", "ports must be unique"), ("/portDefinitions", "Ports must be unique.")],
    );
    refused(
        &json!({"uris": ["a"], "fetch": [{"uri": "b"}]}),
        &[("/uris", "may not be set in conjunction with fetch")],
    );
    refused(&json!({"fetch": [{"uri": "a b"}]}), &[("/fetch(0)/uri", "URI has invalid syntax.")]);
    refused(
        &json!({"container": {"type": "MESOS", "docker": {"image": "i", "network": "HOST",
            "credential": {"principal": "p"}, "parameters": [{"key": "k", "value": "v"}]}}}),
        &[
            ("/container/docker/credential", "must be empty"),
            ("/container/docker/network", "must be empty"),
            ("/container/docker/parameters", "must be empty"),
        ],
    );
}

#[test]
fn networks_and_ports() {
    let mode = "May specify a single host network, single bridge network, or else 1-to-n \
                container networks";
    refused(&json!({"networks": [{"mode": "host"}, {"mode": "host"}]}), &[("/networks", mode)]);
    refused(
        &json!({"networks": [{"mode": "host", "name": "x"}]}),
        &[("/networks", "Host networks may not have names or labels")],
    );
    refused(
        &json!({"networks": [{"mode": "container/bridge", "name": "x"}]}),
        &[("/networks", "Bridge networks may not have names")],
    );
    refused(
        &json!({"networks": [{"mode": "container"}]}),
        &[("/networks", "Network name must be specified when container network is selected.")],
    );
    refused(
        &json!({"networks": [{"name": "x"}, {"name": "x"}]}),
        &[("/networks", "Duplicate networks are not allowed")],
    );
    refused(
        &json!({"networks": [{"name": "x"}, {"name": "y"}],
            "container": {"docker": {"image": "i"}, "portMappings": [{"hostPort": 0, "networkNames": ["z"]}]}}),
        &[
            (
                "/",
                "may only specify a single container network when using the Docker container engine",
            ),
            ("/container/portMappings(0)/networkNames(0)", "is not one of (x,y)"),
        ],
    );
    let names = "networkNames must be a single item list when hostPort is specified and more \
                 than 1 container network is defined";
    refused(
        &json!({"networks": [{"name": "x"}, {"name": "y"}],
            "container": {"type": "MESOS", "portMappings": [{"hostPort": 0, "name": "a"}, {"name": "a"}]}}),
        &[
            ("/container/portMappings", "Port names must be unique."),
            ("/container/portMappings(0)", names),
        ],
    );
    refused(
        &json!({"portDefinitions": [{"port": 1, "name": "a"}, {"port": 1, "name": "a"}]}),
        &[
            ("/portDefinitions", "Port names must be unique."),
            ("/portDefinitions", "Ports must be unique."),
        ],
    );
    // Of no use here, and dropped.
    let app = accepted(&json!({"networks": [{"mode": "container/bridge"}], "ports": [80, 81]}));
    assert_eq!((app.port_definitions.len(), app.port_mappings().len()), (0, 1));
}

#[test]
fn constraints() {
    let operator = "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, \
                    MAX_PER, UNLIKE or IS";
    refused(
        &json!({"constraints": [["hostname", "UNIQUE"], ["a", "b", "c"], ["a"], ["a", "MAX_PER", "x"]]}),
        &[
            ("/constraints(1)", operator),
            ("/constraints(2)", "Each constraint must have either 2 or 3 fields"),
            ("/constraints(3)", "MAX_PER requires an integer value"),
        ],
    );
}

#[test]
fn checks() {
    let index = "Health check port indices must address an element of the ports array or \
                 container port mappings.";
    refused(&json!({"healthChecks": [{"portIndex": 1}]}), &[("/healthChecks(0)", index)]);
    refused(&json!({"ports": [], "healthChecks": [{}]}), &[("/healthChecks(0)", index)]);
    accepted(&json!({"ports": [], "healthChecks": [{"port": 80}, {"protocol": "MESOS_TCP"}]}));
    refused(
        &json!({"healthChecks": [{"protocol": "MESOS_TCP", "ipProtocol": "IPv6"}, {"protocol": "MESOS_HTTP"}]}),
        &[
            ("/healthChecks(0)", super::IPV6_ONLY),
            ("/", "AppDefinition can contain at most one Mesos health check"),
        ],
    );
    refused(
        &json!({"healthChecks": [{"protocol": "COMMAND"}, {"command": {"value": "x"}},
            {"protocol": "TCP", "ipProtocol": "IPv6"}]}),
        &[
            ("/healthChecks(0)", "illegal protocol COMMAND for non-command health check"),
            ("/healthChecks(1)", "illegal protocol HTTP specified with command"),
            ("/healthChecks(2)", super::IPV6_ONLY),
        ],
    );
    refused(
        &json!({"check": {"tcp": {"portIndex": 3}}}),
        &[(
            "/check",
            "check port index must address an element of the ports array or container \
                      port mappings.",
        )],
    );
    refused(
        &json!({"check": {"tcp": {}}, "container": {"docker": {"image": "i"}}}),
        &[("/", "AppDefinition must not use 'checks' if using docker")],
    );
    refused(
        &json!({"portDefinitions": [{"name": "web"}],
            "readinessChecks": [{"portName": "web", "timeoutSeconds": 30}, {}]}),
        &[
            ("/readinessChecks/size", "got 2, expected 1 or less"),
            ("/readinessChecks(0)/timeoutSeconds", "got 30, expected less than 30"),
            ("/readinessChecks(1)/portName", "No port definition reference for portName http-api"),
        ],
    );
}

#[test]
fn volumes() {
    let with = |volume: Value| json!({"container": {"type": "MESOS", "volumes": [volume]}});
    let disk = |persistent: Value| {
        with(json!({"containerPath": "data", "mode": "RW", "persistent": persistent}))
    };
    let path = "/container/volumes(0)/persistent";
    refused(&disk(json!({"size": 0})), &[(&format!("{path}/size"), "got 0, expected more than 0")]);
    refused(
        &disk(json!({"size": 9, "maxSize": 9})),
        &[
            (path, "Only mount volumes can have maxSize"),
            (path, "Max size must be larger than size"),
        ],
    );
    refused(
        &disk(json!({"size": 9, "constraints": [["path", "LIKE", "a"]]})),
        &[(path, "Constraints on root volumes are not supported")],
    );
    refused(
        &disk(json!({"size": 9, "type": "path", "constraints": [["path", "UNIQUE", "a"]]})),
        &[(&format!("{path}/constraints(0)"), "Operator must be one of LIKE, UNLIKE")],
    );
    refused(
        &with(json!({"containerPath": "/a", "mode": "RO", "persistent": {"size": 1}})),
        &[
            ("/container/volumes(0)/containerPath", "value must not contain \"/\""),
            ("/container/volumes(0)/mode", "does not equal RW"),
        ],
    );
    let external = json!({"name": "n", "provider": "dvdi", "options": {"dvdi/driver": "rexray"}});
    let body = with(json!({"containerPath": "/a", "mode": "RW", "external": external}));
    let off = "Feature external_volumes is not enabled. Enable with --enable_features \
               external_volumes)";
    refused(&body, &[("/container/volumes(0)", off)]);
    let app = create(&body, &with_features(&["external_volumes"])).unwrap();
    assert_eq!(app.upgrade_strategy.maximum_over_capacity, 0.0);
}

#[test]
fn volumes_that_stay() {
    let with = |extra: Value| {
        let mut body = json!({"container": {"type": "MESOS", "volumes":
            [{"containerPath": "data", "mode": "RW", "persistent": {"size": 1}}]}});
        body.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        body
    };
    accepted(&with(json!({"acceptedResourceRoles": ["*"]})));
    refused(
        &with(json!({"unreachableStrategy": {}, "acceptedResourceRoles": ["r"],
            "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 0.5}})),
        &[
            ("/upgradeStrategy/maximumOverCapacity", "got 0.5, expected 0.0"),
            ("/", "unreachableStrategy must be disabled for resident tasks"),
            (
                "/acceptedResourceRoles",
                "A resident app must have `acceptedResourceRoles = [\"*\"]`.",
            ),
        ],
    );
}

#[test]
fn strategies_and_limits() {
    let single = json!({"MARATHON_SINGLE_INSTANCE_APP": "true"});
    refused(
        &json!({"labels": single, "instances": 2}),
        &[
            ("/", "Single instance app may only have one instance"),
            ("/upgradeStrategy/minimumHealthCapacity", "got 1.0, expected 0.0"),
            ("/upgradeStrategy/maximumOverCapacity", "got 1.0, expected 0.0"),
        ],
    );
    accepted(&json!({"labels": single,
        "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}));
    refused(
        &json!({"unreachableStrategy": {"inactiveAfterSeconds": 2, "expungeAfterSeconds": 1}}),
        &[(
            "/unreachableStrategy/inactiveAfterSeconds",
            "inactiveAfterSeconds (2) must be less or equal to expungeAfterSeconds, which is 1",
        )],
    );
    refused(
        &json!({"mem": 256, "cpus": 2, "resourceLimits": {"cpus": 1, "mem": "much"}}),
        &[
            (
                "/resourceLimits/mem",
                "'much' is an invalid resource limit. It must be 'unlimited' or a number",
            ),
            (
                "/resourceLimits/cpus",
                "resource limit must be greater than or equal to requested resource (2.0)",
            ),
        ],
    );
    let gpus = "Feature gpu_resources is not enabled. Enable with --enable_features gpu_resources)";
    refused(&json!({"gpus": 1}), &[("/", gpus)]);
    create(&json!({"gpus": 1}), &with_features(&["gpu_resources"])).unwrap();
    refused(
        &json!({"labels": {"DCOS_MIGRATION_API_VERSION": "v1"}}),
        &[(
            "/",
            "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when \
                 using DCOS_MIGRATION_API_VERSION",
        )],
    );
}

#[test]
fn roles() {
    accepted(&json!({"acceptedResourceRoles": ["*", "r"]}));
    refused(
        &json!({"acceptedResourceRoles": ["*", "x y"]}),
        &[
            (
                "/acceptedResourceRoles(1)",
                "A role name must not include a space (\\x20) character.",
            ),
            ("/acceptedResourceRoles", "acceptedResourceRoles can only contain * and r"),
        ],
    );
    refused(
        &json!({"acceptedResourceRoles": []}),
        &[("/acceptedResourceRoles", "must not be empty")],
    );
}

#[test]
fn secrets_are_refused_clearly() {
    let body = json!({
        "secrets": {"s": {"source": "/x"}}, "env": {"A": {"secret": "s"}, "B": {"secret": "t"}},
        "container": {"type": "MESOS", "docker": {"image": "i", "pullConfig": {"secret": "s"}}}
    });
    let off = "Feature secrets is not enabled. Enable with --enable_features secrets)";
    refused(
        &body,
        &[
            ("/container/docker/pullConfig", "must be empty"),
            ("/container/docker/pullConfig", off),
            ("/container/docker/pullConfig", super::NO_SECRET_STORE),
            ("/secrets", off),
            ("/secrets", super::NO_SECRET_STORE),
            (
                "/env",
                "use of secret-references in the environment requires the secrets feature \
                      to be enabled",
            ),
            ("/env/B/secret", "references an undefined secret"),
        ],
    );
    let still = create(&body, &with_features(&["secrets"])).unwrap_err();
    assert!(still.iter().any(|(_, error)| error == super::NO_SECRET_STORE));
}
