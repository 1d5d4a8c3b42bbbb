//! The routes of a master's gateway.

use super::{Access, Own, Pace, Pattern, Route, Server, To};

const MESOS: Access = Access::Rid("dcos:adminrouter:ops:mesos");
const NETWORKING: Access = Access::Rid("dcos:adminrouter:ops:networking");
const METADATA: Access = Access::Rid("dcos:adminrouter:ops:metadata");
const HEALTH: Access = Access::Rid("dcos:adminrouter:ops:system-health");
const PACKAGE: Access = Access::Rid("dcos:adminrouter:package");
const SLAVE: Access = Access::Rid("dcos:adminrouter:ops:slave");

const IAM: To = To::Server(Server::Iam);
const COSMOS: To = To::Server(Server::Cosmos);
const NET: To = To::Server(Server::Net);
const EXHIBITOR: To = To::Server(Server::Exhibitor);
const UI_UPDATE: To = To::Server(Server::UiUpdate);

pub(super) const ROUTES: &[Route] = &[
    // What the gateway says itself.
    Route::from("metrics", "/nginx/metrics", Access::Public, To::Own(Own::Metrics)),
    Route::from("status", "/nginx/status", Access::Public, To::Own(Own::Status)),
    Route::exactly(
        "version",
        "/dcos-metadata/dcos-version.json",
        Access::Public,
        To::Own(Own::Version),
    ),
    Route::exactly(
        "build-info",
        "/pkgpanda/active.buildinfo.full.json",
        METADATA,
        To::Own(Own::BuildInfo),
    ),
    Route::exactly("metadata", "/metadata", Access::Token, To::Own(Own::Metadata)),
    Route::below("metadata-files", "/dcos-metadata", METADATA, To::Own(Own::MetadataFolder)),
    Route::exactly("login", "/login", Access::Public, To::Own(Own::Login)),
    Route::exactly("login-token", "/login/token", Access::Public, To::Own(Own::Token)),
    Route::from("assets", "/assets", Access::Public, To::Own(Own::Assets)),
    Route::new("ui", Pattern::Rest, Access::Public, To::Own(Own::Ui)),
    // Identity. The policy stream and everything else internal is for no client.
    Route::from("iam-internal", "/acs/api/v1/internal", Access::Public, To::Nothing),
    Route::below("iam-login", "/acs/api/v1/auth", Access::Public, IAM).no_store(),
    Route::from("iam", "/acs/api/v1", Access::SelfOr("dcos:adminrouter:acs"), IAM).no_store(),
    Route::below("auth", "/auth", Access::Public, IAM).becomes("/acs/api/v1/auth").no_store(),
    Route::exactly("ui-config", "/dcos-metadata/ui-config.json", Access::Public, IAM)
        .becomes("/acs/api/v1/uiconfig/"),
    Route::exactly("ca-certificate", "/ca/dcos-ca.crt", Access::Public, IAM),
    Route::exactly("ca-info", "/ca/api/v2/info", Access::Rid("dcos:adminrouter:ops:ca:ro"), IAM),
    Route::below("ca", "/ca/api/v2", Access::Rid("dcos:adminrouter:ops:ca:rw"), IAM),
    // Mesos and what is behind it.
    Route::below("mesos", "/mesos", MESOS, To::Master).becomes("").pace(Pace::Stream),
    Route::below("cache", "/cache/master", MESOS, To::Cache).becomes("/master").own_host(),
    Route::from("agent", "/agent", SLAVE, To::Agent).without_encoding().pace(Pace::Stream),
    Route::from("slave", "/slave", SLAVE, To::Agent).without_encoding().pace(Pace::Stream),
    // Services.
    Route::below("service", "/service", Access::Service, To::Service)
        .upgradable()
        .mapped()
        .pace(Pace::Service),
    Route::exactly("marathon-slash", "/marathon", Access::Public, To::WithSlash),
    Route::below("marathon", "/marathon", Access::Service, To::Marathon)
        .upgradable()
        .mapped()
        .pace(Pace::Service),
    // Packages.
    Route::below("package", "/package", PACKAGE, COSMOS).pace(Pace::Slow),
    Route::below("cosmos", "/cosmos/service", PACKAGE, COSMOS).becomes("/service"),
    Route::from("capabilities", "/capabilities", Access::Token, COSMOS),
    // The nodes' own matters.
    Route::from("mesos-host", "/system/v1/leader/mesos", Access::System, To::MesosHost)
        .pace(Pace::Stream),
    Route::from("marathon-host", "/system/v1/leader/marathon", Access::System, To::MarathonHost)
        .pace(Pace::Stream),
    Route::below("agent-host", "/system/v1/agent", Access::System, To::AgentGateway)
        .without_encoding()
        .pace(Pace::Stream),
    Route::from("checks", "/system/checks/v1", HEALTH, To::Server(Server::Checks))
        .without_authorization(),
    Route::from("health", "/system/health/v1", HEALTH, To::Server(Server::Diagnostics)),
    Route::below(
        "logs",
        "/system/v1/logs",
        Access::Rid("dcos:adminrouter:ops:system-logs"),
        To::Server(Server::Logs),
    )
    .becomes("")
    .pace(Pace::Stream),
    Route::below(
        "node-metrics",
        "/system/v1/metrics",
        Access::Rid("dcos:adminrouter:ops:system-metrics"),
        To::Server(Server::Metrics),
    )
    .becomes(""),
    Route::below(
        "mesos-dns",
        "/mesos_dns",
        Access::Rid("dcos:adminrouter:ops:mesos-dns"),
        To::Server(Server::MesosDns),
    )
    .becomes("")
    .without_authorization(),
    Route::from("lashup-key", "/navstar/lashup/key", NETWORKING, NET).becomes("/lashup/key"),
    Route::below("net", "/net", NETWORKING, NET).becomes("").without_authorization(),
    Route::below(
        "pkgpanda",
        "/pkgpanda",
        Access::Rid("dcos:adminrouter:ops:pkgpanda"),
        To::Server(Server::Pkgpanda),
    )
    .becomes("")
    .mapped(),
    Route::below(
        "exhibitor",
        "/exhibitor",
        Access::Rid("dcos:adminrouter:ops:exhibitor"),
        EXHIBITOR,
    )
    .becomes("")
    .mapped()
    .with_credential(),
    Route::exactly(
        "exhibitor-status",
        "/exhibitor/exhibitor/v1/cluster/status",
        Access::Public,
        EXHIBITOR,
    )
    .becomes("/exhibitor/v1/cluster/status")
    .own_host()
    .without_authorization()
    .with_credential(),
    Route::exactly(
        "ui-update-version",
        "/dcos-ui-update-service/api/v1/version/",
        Access::Token,
        UI_UPDATE,
    )
    .becomes("/api/v1/version/"),
    Route::below(
        "ui-update",
        "/dcos-ui-update-service/api",
        Access::Rid("dcos:adminrouter:ops:ui-update"),
        UI_UPDATE,
    )
    .becomes("/api"),
    Route::from("internal", "/internal", Access::Public, To::Nothing),
];
