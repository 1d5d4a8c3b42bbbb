//! Which permission each call asks for.
//!
//! The original judges nothing itself: whoever its gateway lets in has `full` on
//! `dcos:adminrouter:ops:networking`. The resources here are below that one, so that the same
//! permission is enough, and less can be given.

use http_kit::permissions::{
    Ask,
    Need::{Each, Login, Public},
    Row, Table,
};
use identity::Action::Read;

const VIPS: &[Ask] = &[("dcos:adminrouter:ops:networking:vips", Read)];
const NODES: &[Ask] = &[("dcos:adminrouter:ops:networking:nodes", Read)];
const RECORDS: &[Ask] = &[("dcos:adminrouter:ops:networking:records", Read)];
const METRICS: &[Ask] = &[("dcos:adminrouter:ops:networking:metrics", Read)];

/// The stream with backends, which is an endpoint of its own though its path is the same.
pub(super) const BACKENDS: &str = "/v1/vips/stream?backends=true";

/// The permissions of virtual addresses.
pub static TABLE: Table = Table {
    component: "net",
    rows: &[
        Row::new("GET", "/health", Public("health checks have no login")),
        Row::new("GET", "/v1/version", Login("clients ask what they talk to")),
        Row::new("GET", "/v1/vips", Each(VIPS)),
        Row::new("GET", "/v1/vips/problems", Each(VIPS)),
        Row::new("GET", BACKENDS, Each(VIPS)),
        Row::new("GET", "/v1/vips/stream", Login("names and addresses that DNS tells everybody")),
        Row::new("GET", "/v1/nodes", Each(NODES)),
        Row::new("GET", "/v1/records", Each(RECORDS)),
        Row::new("GET", "/v1/hosts/{name}", Each(RECORDS)),
        Row::new("GET", "/v1/services/{name}", Each(RECORDS)),
        Row::new("GET", "/v1/config", Login("it is not implemented")),
        Row::new("GET", "/v1/enumerate", Login("it is not implemented")),
        Row::new("GET", "/v1/metrics", Each(METRICS)),
        Row::new("GET", "/lashup/key", Login("it says that there is no key")),
    ],
};
