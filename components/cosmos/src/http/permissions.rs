//! Which permission each call asks for.
//!
//! The original judges nothing itself: whoever its gateway lets in has `full` on
//! `dcos:adminrouter:package`. The resources here are below that one, so that the same
//! permission is enough, and less can be given. What becomes of an app is judged again by
//! Marathon, which gets the caller's own token.

use http_kit::permissions::{
    Ask,
    Need::{Each, Login, Public},
    Row, Table,
};
use identity::Action::{Create, Delete, Read, Update};

const CATALOG: &[Ask] = &[("dcos:adminrouter:package:catalog", Read)];
const INSTALLED: &str = "dcos:adminrouter:package:installed";
const REPOSITORY: &str = "dcos:adminrouter:package:repository";

/// The permissions of the package service.
pub static TABLE: Table = Table {
    component: "cosmos",
    rows: &[
        Row::new("GET", "/health", Public("health checks have no login")),
        Row::new("GET", "/capabilities", Login("clients ask what they may try at all")),
        Row::new("GET", "/metrics", Each(&[("dcos:adminrouter:package:metrics", Read)])),
        Row::new("POST", "/package/search", Each(CATALOG)),
        Row::new("POST", "/package/describe", Each(CATALOG)),
        Row::new("POST", "/package/list-versions", Each(CATALOG)),
        Row::new("POST", "/package/render", Each(CATALOG)),
        Row::new("GET", "/package/resource", Each(CATALOG)),
        Row::new("POST", "/package/list", Each(&[(INSTALLED, Read)])),
        Row::new("POST", "/package/install", Each(&[(INSTALLED, Create)])),
        Row::new("POST", "/package/uninstall", Each(&[(INSTALLED, Delete)])),
        Row::new("POST", "/service/start", Each(&[(INSTALLED, Create)])),
        Row::new("POST", "/service/describe", Each(&[(INSTALLED, Read)])),
        Row::new("POST", "/service/update", Each(&[(INSTALLED, Update)])),
        Row::new("POST", "/package/repository/list", Each(&[(REPOSITORY, Read)])),
        Row::new("POST", "/package/repository/add", Each(&[(REPOSITORY, Create)])),
        Row::new("POST", "/package/repository/delete", Each(&[(REPOSITORY, Delete)])),
    ],
};
