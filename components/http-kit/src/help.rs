//! `/help`: each endpoint with one line, as HTML or JSON.

use http::HeaderMap;

use crate::json::{self, Object};
use crate::negotiate::{APPLICATION_JSON, accepts};
use crate::{Params, Response, respond};

/// One line of help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpEntry {
    /// The actor the endpoint belongs to.
    pub actor: String,
    /// Its path inside the actor, with the leading slash.
    pub path: String,
    /// What it answers.
    pub summary: &'static str,
}

/// The answer to `/help` and `/help/<actor>[/<path>]`.
pub fn answer(entries: &[HelpEntry], path: &str, params: &Params, headers: &HeaderMap) -> Response {
    let wanted = path.strip_prefix("/help").unwrap_or("").trim_matches('/');
    let (actor, rest) = wanted.split_once('/').unwrap_or((wanted, ""));
    let chosen: Vec<&HelpEntry> = entries
        .iter()
        .filter(|e| actor.is_empty() || e.actor == actor)
        .filter(|e| rest.is_empty() || e.path.trim_start_matches('/') == rest)
        .collect();
    if chosen.is_empty() {
        return respond::bad_request("No help available for this path.\n");
    }
    let html_first = headers
        .get(http::header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_none_or(|v| v.contains("text/html") || v.contains("*/*"));
    if params.get("format") == Some("json") || (!html_first && accepts(headers, APPLICATION_JSON)) {
        respond::json(as_json(&chosen))
    } else {
        respond::html(as_html(&chosen))
    }
}

fn as_json(entries: &[&HelpEntry]) -> Vec<u8> {
    let mut actors: Vec<&str> = entries.iter().map(|e| e.actor.as_str()).collect();
    actors.sort_unstable();
    actors.dedup();
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    json::list(object.key("processes"), actors, |out, actor| {
        let mut process = Object::new(out);
        process.string("id", actor);
        let own = entries.iter().filter(|e| e.actor == actor);
        json::list(process.key("endpoints"), own, |out, entry| {
            let mut endpoint = Object::new(out);
            endpoint.string("name", &entry.path);
            endpoint.string("text", entry.summary);
            endpoint.end();
        });
        process.end();
    });
    object.end();
    out
}

fn as_html(entries: &[&HelpEntry]) -> String {
    let mut out =
        String::from("<html><head><title>Help</title></head><body><h1>Endpoints</h1><ul>");
    for entry in entries {
        let path = format!("/{}{}", entry.actor, entry.path);
        out.push_str(&format!(
            "<li><a href=\"{0}\"><code>{0}</code></a>: {1}</li>",
            escape(path.trim_end_matches('/')),
            escape(entry.summary)
        ));
    }
    out.push_str("</ul></body></html>");
    out
}

/// Text that may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
