//! The tables as they stand in `docs/gateway.md`.

use super::{Access, Own, Pace, Route, To, of};
use crate::Role;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateway.md"));

fn who(access: Access) -> String {
    match access {
        Access::Public => "everybody".to_owned(),
        Access::Token => "any user".to_owned(),
        Access::Rid(rid) => format!("`{rid}`"),
        Access::SelfOr(rid) => format!("`{rid}`, or to be the user"),
        Access::LocalOr(rid) => format!("this host, or `{rid}`"),
        Access::Service => "`dcos:adminrouter:service:<name>`".to_owned(),
        Access::System => "as for the same on this node".to_owned(),
    }
}

fn whither(route: &Route) -> String {
    match route.to {
        To::Server(server) => server.tag().to_owned(),
        To::Master => "the leading master".to_owned(),
        To::Cache => "the leading master, kept for 5 s".to_owned(),
        To::Service => "the service".to_owned(),
        To::Marathon => "as `/service/marathon/`".to_owned(),
        To::Agent => "the agent".to_owned(),
        To::AgentGateway => "the gateway of the agent's host".to_owned(),
        To::MesosHost => "the gateway of the leading master's host".to_owned(),
        To::MarathonHost => "the gateway of the leading Marathon's host".to_owned(),
        To::WithSlash => "307 to the form with a slash".to_owned(),
        To::Nothing => "404".to_owned(),
        To::Own(own) => format!("{} of the gateway", page(own)),
    }
}

fn page(own: Own) -> &'static str {
    match own {
        Own::Metrics => "metrics",
        Own::Status => "status page",
        Own::Version => "version",
        Own::BuildInfo => "list of packages",
        Own::MetadataFolder => "files",
        Own::Metadata => "facts",
        Own::Login => "login page",
        Own::Token => "page with the token",
        Own::Ui => "web page",
        Own::Assets => "files of the web page",
    }
}

fn remarks(route: &Route) -> String {
    let edits = &route.edits;
    let mut remarks = Vec::new();
    if let Some(path) = route.becomes {
        let whole = matches!(route.pattern, super::Pattern::Exactly(_));
        let end = if whole { "" } else { "/…" };
        remarks.push(format!("becomes `{path}{end}`"));
    }
    let pace = match route.pace {
        Pace::Plain => "",
        Pace::Stream => "endless answers",
        Pace::Slow => "300 s",
        Pace::Service => "32 GiB, endless answers",
        Pace::Unbuffered => "32 GiB, 600 s",
    };
    let flags = [
        (!edits.authorization, "no `Authorization`"),
        (!edits.encoding, "no `Accept-Encoding`"),
        (!edits.host, "`Host` of the upstream"),
        (edits.upgrade, "`Upgrade`"),
        (edits.no_store, "kept by nobody"),
        (edits.location, "`Location` mapped"),
        (edits.credential, "Exhibitor's credential"),
        (!pace.is_empty(), pace),
    ];
    remarks.extend(flags.iter().filter(|(set, _)| *set).map(|(_, text)| (*text).to_owned()));
    remarks.join("; ")
}

fn row(route: &Route) -> String {
    let path = match route.pattern {
        super::Pattern::Exactly(path) => format!("`{path}`"),
        super::Pattern::Below(path) => format!("`{path}/`…"),
        super::Pattern::From(path) => format!("`{path}`…"),
        super::Pattern::Rest => "everything else".to_owned(),
    };
    let (who, whither, remarks) = (who(route.access), whither(route), remarks(route));
    format!("| {path} | {who} | {whither} | {remarks} |").replace("|  |", "| |")
}

#[test]
fn every_route_stands_in_the_document_as_it_is() {
    let document: Vec<&str> = DOCUMENT.lines().collect();
    let mut missing = String::new();
    for role in [Role::Master, Role::Agent] {
        for route in of(role) {
            let row = row(route);
            if !document.contains(&row.as_str()) {
                missing += &format!("{row}\n");
            }
        }
    }
    assert!(missing.is_empty(), "docs/gateway.md lacks:\n{missing}");
}

#[test]
fn the_document_has_no_route_that_is_none() {
    let rows: Vec<String> =
        [Role::Master, Role::Agent].iter().flat_map(|role| of(*role)).map(row).collect();
    let of_routes = DOCUMENT.lines().filter(|line| line.starts_with("| `/"));
    let unknown: Vec<&str> = of_routes.filter(|line| !rows.iter().any(|row| row == line)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
