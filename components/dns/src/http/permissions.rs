//! Which permission each call asks for.
//!
//! The original asks nobody. What names hold is said to whoever may ask the DNS port, so it is
//! here; a cluster that does not want all of it told at once turns `enumerationOn` off, and the
//! gateway asks for `dcos:adminrouter:ops:mesos-dns` before it lets anybody through from outside.

use http_kit::permissions::{
    Need::{Each, Public},
    Row, Table,
};
use identity::Action::Read;

const SAME: &str = "it says what the DNS port says to anybody";

/// The permissions of the API.
pub static TABLE: Table = Table {
    component: "dns",
    rows: &[
        Row::new("GET", "/health", Public("health checks have no login")),
        Row::new("GET", "/v1/version", Public("clients ask it first")),
        Row::new(
            "GET",
            "/v1/config",
            Public("it holds no secret, and clients find the domain there"),
        ),
        Row::new("GET", "/v1/hosts/{name}", Public(SAME)),
        Row::new("GET", "/v1/hosts/{name}/ports", Public("it says nothing")),
        Row::new("GET", "/v1/services/{name}", Public(SAME)),
        Row::new("GET", "/v1/enumerate", Public(SAME)),
        Row::new("GET", "/v1/axfr", Public(SAME)),
        Row::new("GET", "/v1/records", Public(SAME)),
        Row::new("GET", "/metrics", Each(&[("dcos:adminrouter:ops:mesos-dns", Read)])),
    ],
};
