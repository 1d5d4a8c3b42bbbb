//! Everything small: health, version, redirect, help, weights, maintenance, the status page, and
//! what is answered where a write is not supported.
use std::sync::Arc;

use http::{Method, request::Parts};
use http_kit::{
    Endpoint, Params, Request, Response, Routes, guard::Refusal, help, json, json::Object,
    permissions::Caller, read_body, respond, system::SystemStats,
};
use mesos_messages::time::parse_duration;

use super::{
    ACTOR, HttpState, PERMISSIONS, READONLY, READWRITE, classic, flags,
    permissions::{CLASSIC_TEARDOWN, TOGGLE},
};
use crate::{handle::TeardownError, model::Snapshot};

/// The small endpoints of the master actor and of the actors beside it.
pub(super) fn add(routes: &mut Routes, state: &Arc<HttpState>) {
    open(routes, state);
    reads(routes, state);
    writes(routes);
    add_readable(routes, state);
    let known = Arc::clone(state);
    let teardown =
        Endpoint::new(ACTOR, "/teardown", move |request| teardown(Arc::clone(&known), request));
    routes.add(teardown.realm(READWRITE).help("Removes a framework and all it runs"));
}

/// What needs no credentials.
fn open(routes: &mut Routes, state: &Arc<HttpState>) {
    routes.add(Endpoint::ready(ACTOR, "/health", |_| respond::ok()).help("Is it alive"));
    let version = state.build.to_json();
    let version = Endpoint::ready("version", "/", move |request| {
        respond::json_or_jsonp(&Params::of(request.uri()), version.clone())
    });
    routes.add(version.help("What this program is"));
    let known = Arc::clone(state);
    let redirect = Endpoint::new(ACTOR, "/redirect", move |_| {
        let state = Arc::clone(&known);
        async move {
            match state.snapshot().await {
                Ok(snapshot) => respond::redirect(&leader(&snapshot)),
                Err(_) => super::stopped(),
            }
        }
    });
    routes.add(redirect.exact().help("Leads to the leading master"));
}

/// The leader's address without a scheme, which is the client's to choose.
fn leader(snapshot: &Snapshot) -> String {
    let info = &snapshot.master.info;
    format!("//{}:{}", info.hostname.as_deref().unwrap_or("localhost"), info.port)
}

type Write = fn(&mut Vec<u8>, &Snapshot);

fn reads(routes: &mut Routes, state: &Arc<HttpState>) {
    let mut flags_json = b"{\"flags\":".to_vec();
    flags::write(&mut flags_json, &state.flags);
    flags_json.push(b'}');
    let flags = Endpoint::ready(ACTOR, "/flags", move |request| {
        respond::json_or_jsonp(&Params::of(request.uri()), flags_json.clone())
    });
    routes.add(flags.realm(READONLY).help("The configuration in effect"));
    let small: [(&str, &str, &'static str, Write); 3] = [
        ("registrar(1)", "/registry", "What the registry holds", classic::write_registry),
        (
            "allocator",
            "/offer_constraints_debug",
            "Which agents constraints exclude",
            classic::write_offer_constraints,
        ),
        (ACTOR, "/", "This page", write_page),
    ];
    for (actor, path, summary, write) in small {
        let state = Arc::clone(state);
        let endpoint = Endpoint::new(actor, path, move |request: Request| {
            show(Arc::clone(&state), request, write, actor == ACTOR)
        });
        routes.add(endpoint.realm(READONLY).help(summary));
    }
    let stats = |request: &Request| {
        respond::json_or_jsonp(&Params::of(request.uri()), SystemStats::read().to_json())
    };
    routes.add(
        Endpoint::ready("system", "/stats.json", stats)
            .realm(READONLY)
            .help("Load, processors and memory of the machine"),
    );
    let logging = state.handle.config().logging.clone();
    let toggle = Endpoint::ready("logging", "/toggle", move |request| {
        let params = Params::of(request.uri());
        if params.get("level").is_some()
            && let Err(refused) = judge(TOGGLE, "level", request, "")
        {
            return refused;
        }
        logging.toggle(request.method(), &params, |text| {
            parse_duration(text).map_err(|error| error.to_string())
        })
    });
    routes.add(toggle.realm(READWRITE).help("Reads or raises the verbosity for a while"));
    let profiler = |_: &Request| {
        respond::bad_request(
            "Perftools is disabled. To enable perftools, configure libprocess with \
             --enable-perftools.\n",
        )
    };
    for path in ["/start", "/stop"] {
        let endpoint = Endpoint::ready("profiler", path, profiler);
        routes.add(endpoint.realm(READWRITE).help("Not available"));
    }
}

async fn show(state: Arc<HttpState>, request: Request, write: Write, page: bool) -> Response {
    let Ok(snapshot) = state.snapshot().await else {
        return super::stopped();
    };
    let mut out = Vec::new();
    write(&mut out, &snapshot);
    if page { respond::html(out) } else { respond::json_or_jsonp(&Params::of(request.uri()), out) }
}

fn write_page(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let master = &snapshot.master;
    let tasks: usize = snapshot.frameworks.iter().map(|view| view.tasks.len()).sum();
    let rows = [
        ("Id", help::escape(&master.info.id)),
        ("Address", help::escape(master.info.pid.as_deref().unwrap_or(""))),
        ("Version", help::escape(master.info.version.as_deref().unwrap_or(""))),
        ("Agents", snapshot.agents.len().to_string()),
        ("Frameworks", snapshot.frameworks.len().to_string()),
        ("Tasks", tasks.to_string()),
    ];
    out.extend_from_slice(
        b"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mesos</title>\
          <style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em 1em .2em 0;\
          text-align:left}</style></head><body><h1>Dais master</h1><table>",
    );
    for (name, value) in rows {
        out.extend_from_slice(format!("<tr><th>{name}</th><td>{value}</td></tr>").as_bytes());
    }
    out.extend_from_slice(b"</table><p>");
    for path in ["/state", "/state-summary", "/slaves", "/frameworks", "/roles", "/tasks", "/help"]
    {
        out.extend_from_slice(format!("<a href=\"{path}\">{path}</a> ").as_bytes());
    }
    out.extend_from_slice(b"</p></body></html>\n");
}

/// One path with what its methods do.
#[derive(Clone, Copy)]
struct Writable {
    path: &'static str,
    /// What a GET answers, if it is supported.
    read: Option<Write>,
    methods: &'static [&'static str],
    what: &'static str,
}

const WRITABLE: [Writable; 10] = [
    Writable {
        path: "/quota",
        read: Some(write_empty),
        methods: &["GET", "POST", "DELETE"],
        what: "quota",
    },
    Writable {
        path: "/weights",
        read: Some(classic::write_weights),
        methods: &["GET", "PUT"],
        what: "weights",
    },
    Writable {
        path: "/maintenance/schedule",
        read: Some(write_empty),
        methods: &["GET", "POST"],
        what: "the maintenance schedule",
    },
    Writable {
        path: "/maintenance/status",
        read: Some(write_empty),
        methods: &["GET"],
        what: "the maintenance status",
    },
    Writable { path: "/machine/down", read: None, methods: &["POST"], what: "maintenance" },
    Writable { path: "/machine/up", read: None, methods: &["POST"], what: "maintenance" },
    Writable { path: "/reserve", read: None, methods: &["POST"], what: "reservations" },
    Writable { path: "/unreserve", read: None, methods: &["POST"], what: "reservations" },
    Writable {
        path: "/create-volumes",
        read: None,
        methods: &["POST"],
        what: "persistent volumes",
    },
    Writable {
        path: "/destroy-volumes",
        read: None,
        methods: &["POST"],
        what: "persistent volumes",
    },
];

fn write_empty(out: &mut Vec<u8>, _: &Snapshot) {
    out.extend_from_slice(b"{}");
}

fn writes(routes: &mut Routes) {
    for writable in WRITABLE {
        if writable.read.is_none() {
            let endpoint = Endpoint::ready(ACTOR, writable.path, move |request| {
                refuse(&writable, request.method())
            });
            routes.add(endpoint.realm(READWRITE).help("Not supported yet"));
        }
    }
}

/// Adds the paths that can be read; they need the state.
fn add_readable(routes: &mut Routes, state: &Arc<HttpState>) {
    for writable in WRITABLE {
        let Some(write) = writable.read else { continue };
        let state = Arc::clone(state);
        let endpoint = Endpoint::new(ACTOR, writable.path, move |request: Request| {
            let state = Arc::clone(&state);
            async move {
                if matches!(*request.method(), Method::GET | Method::HEAD) {
                    show(state, request, write, false).await
                } else {
                    refuse(&writable, request.method())
                }
            }
        });
        routes.add(endpoint.realm(READWRITE).help("Reads; writing is not supported yet"));
    }
}

fn refuse(writable: &Writable, method: &Method) -> Response {
    if writable.methods.contains(&method.as_str()) {
        super::unsupported(writable.what)
    } else {
        respond::method_not_allowed(writable.methods, method)
    }
}

async fn teardown(state: Arc<HttpState>, request: Request) -> Response {
    if request.method() != Method::POST {
        return respond::method_not_allowed(&["POST"], request.method());
    }
    let (head, body) = request.into_parts();
    let body = match read_body(body, super::FORM_LIMIT).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let form = Params::parse(&String::from_utf8_lossy(&body));
    let framework = form.get("frameworkId");
    if let Err(refused) = may_tear_down(&state, &head, framework.unwrap_or_default()).await {
        return refused;
    }
    let Some(framework) = framework else {
        return respond::bad_request("Missing 'frameworkId' query parameter in the request body");
    };
    teardown_answer(state.handle.teardown(framework).await)
}

async fn may_tear_down(state: &HttpState, head: &Parts, framework: &str) -> Result<(), Response> {
    let caller = Caller::of(&head.extensions);
    let principal = state.principal_of(framework, &caller).await?;
    PERMISSIONS
        .judge_call(&head.method, CLASSIC_TEARDOWN, "", &caller, &principal)
        .map_err(Refusal::response)
}

/// Judges what an endpoint knows only now.
fn judge(path: &str, call: &str, request: &Request, named: &str) -> Result<(), Response> {
    let caller = Caller::of(request.extensions());
    PERMISSIONS.judge_call(request.method(), path, call, &caller, named).map_err(Refusal::response)
}

/// The answer to a teardown, classic or v1.
pub(super) fn teardown_answer(result: Result<(), TeardownError>) -> Response {
    match result {
        Ok(()) => respond::ok(),
        Err(error @ TeardownError::UnknownFramework) => respond::bad_request(error.to_string()),
        Err(TeardownError::Stopped(_)) => super::stopped(),
    }
}

/// `/help` and `/__processes__`, which show what the other endpoints are.
pub(super) fn add_help(routes: &mut Routes) {
    let entries = routes.help_entries();
    let endpoint = Endpoint::ready("help", "/", move |request| {
        let uri = request.uri();
        help::answer(&entries, uri.path(), &Params::of(uri), request.headers())
    });
    routes.add(endpoint.prefix().help("This list"));
    let mut actors = routes.actors();
    actors.push("__processes__".to_owned());
    let mut out = Vec::new();
    json::list(&mut out, &actors, |out, actor| {
        let mut object = Object::new(out);
        object.key("events").extend_from_slice(b"[]");
        object.string("id", actor);
        object.end();
    });
    let endpoint = Endpoint::ready("__processes__", "/", move |request| {
        respond::json_or_jsonp(&Params::of(request.uri()), out.clone())
    });
    routes.add(endpoint.realm(READONLY).help("The actors of this process"));
}
