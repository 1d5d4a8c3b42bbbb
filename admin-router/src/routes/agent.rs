//! The routes of an agent's gateway.

use super::{Access, Own, Pace, Pattern, Route, Server, To};

const HEALTH: Access = Access::Rid("dcos:adminrouter:ops:system-health");

pub(super) const ROUTES: &[Route] = &[
    Route::from(
        "metrics",
        "/nginx/metrics",
        Access::LocalOr("dcos:adminrouter:ops:system-metrics"),
        To::Own(Own::Metrics),
    ),
    Route::exactly(
        "version",
        "/dcos-metadata/dcos-version.json",
        Access::LocalOr("dcos:adminrouter:ops:metadata"),
        To::Own(Own::Version),
    ),
    Route::below(
        "pkgpanda",
        "/pkgpanda",
        Access::Rid("dcos:adminrouter:ops:pkgpanda"),
        To::Server(Server::Pkgpanda),
    )
    .becomes("")
    .mapped(),
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
    Route::new("nothing", Pattern::Rest, Access::Public, To::Nothing),
];
