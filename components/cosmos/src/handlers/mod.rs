//! The calls: what each takes, and what it answers.

mod custom;
mod install;
mod packages;
mod rendering;
mod repositories;
mod resource;
mod services;
mod uninstall;

use std::sync::Arc;

use http_kit::Params;
use serde_json::{Value, json};
use universe::{MediaType, Object};

pub(crate) use self::resource::resource;
use self::{
    install::Install,
    packages::{Lookup, Wanted},
    repositories::{Add, Delete},
    services::{Described, Update},
    uninstall::Uninstall,
};
use crate::Cosmos;
use crate::error::Failure;
use crate::fields::{Decoded, Fields};
use crate::http::{Session, Types};

/// The calls that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Capabilities,
    Describe,
    Install,
    List,
    ListVersions,
    Render,
    RepositoryAdd,
    RepositoryDelete,
    RepositoryList,
    Search,
    ServiceDescribe,
    ServiceStart,
    ServiceUpdate,
    Uninstall,
}

/// A call with what it was given.
pub(crate) enum Given {
    Capabilities,
    Describe(Lookup),
    Install(Install),
    List(Wanted),
    ListVersions(String),
    Render(Install),
    RepositoryAdd(Add),
    RepositoryDelete(Delete),
    /// Whether to say how it goes with each.
    RepositoryList {
        status: bool,
    },
    Search(Option<String>),
    ServiceDescribe(Described),
    ServiceStart(Install),
    ServiceUpdate(Update),
    Uninstall(Uninstall),
}

/// What a call answers.
pub(crate) enum Answer {
    /// The same in every media type.
    Plain(Object),
    /// A form for each media type, in their order.
    Forms(Vec<Result<Object, Failure>>),
}

// === impl Call ===

impl Call {
    /// The media types of request and answer.
    pub(crate) fn types(self) -> Types {
        let package =
            |name: &str, version| MediaType::vendor(&format!("vnd.dcos.package.{name}"), version);
        let service =
            |name: &str, version| MediaType::vendor(&format!("vnd.dcos.service.{name}"), version);
        let plain = |name: &str| Types {
            requests: vec![package(&format!("{name}-request"), 1)],
            responses: vec![package(&format!("{name}-response"), 1)],
        };
        let of_service = |name: &str| Types {
            requests: vec![service(&format!("{name}-request"), 1)],
            responses: vec![service(&format!("{name}-response"), 1)],
        };
        match self {
            Call::Capabilities => {
                let capabilities = MediaType::vendor("vnd.dcos.capabilities", 1);
                Types { requests: Vec::new(), responses: vec![capabilities] }
            }
            Call::Describe => {
                let responses =
                    [3, 2].map(|version| package("describe-response", version)).to_vec();
                Types { responses, ..plain("describe") }
            }
            Call::Install => {
                let responses = [2, 1].map(|version| package("install-response", version)).to_vec();
                Types { responses, ..plain("install") }
            }
            Call::List => plain("list"),
            Call::ListVersions => plain("list-versions"),
            Call::Render => plain("render"),
            Call::RepositoryAdd => plain("repository.add"),
            Call::RepositoryDelete => plain("repository.delete"),
            Call::RepositoryList => plain("repository.list"),
            Call::Search => plain("search"),
            Call::Uninstall => plain("uninstall"),
            Call::ServiceDescribe => of_service("describe"),
            Call::ServiceUpdate => of_service("update"),
            Call::ServiceStart => {
                // An older name of installing, with types of its own.
                let (mut types, install) = (of_service("start"), Call::Install.types());
                types.requests.extend(install.requests);
                types.responses.extend(install.responses);
                types
            }
        }
    }

    /// Reads what the call was given.
    pub(crate) fn read(self, body: Value, query: &Params) -> Result<Given, Failure> {
        let decoded = self.decode(&Fields::new(body), query);
        decoded.map_err(|message| Failure::not_parsed("body", &message))
    }

    fn decode(self, body: &Fields, query: &Params) -> Decoded<Given> {
        Ok(match self {
            Call::Capabilities => Given::Capabilities,
            Call::Describe => Given::Describe(Lookup::read(body)?),
            Call::Install => Given::Install(Install::read(body)?),
            Call::List => Given::List(Wanted::read(body)?),
            Call::ListVersions => {
                let name = body.required_text("packageName")?;
                body.required_flag("includePackageVersions")?;
                Given::ListVersions(name)
            }
            Call::Render => Given::Render(Install::read(body)?),
            Call::RepositoryAdd => Given::RepositoryAdd(Add::read(body)?),
            Call::RepositoryDelete => Given::RepositoryDelete(Delete::read(body)?),
            Call::RepositoryList => {
                Given::RepositoryList { status: query.get("embed") == Some("status") }
            }
            Call::Search => Given::Search(body.text("query")?),
            Call::ServiceDescribe => Given::ServiceDescribe(Described::read(body)?),
            Call::ServiceStart => Given::ServiceStart(Install::read(body)?),
            Call::ServiceUpdate => Given::ServiceUpdate(Update::read(body)?),
            Call::Uninstall => Given::Uninstall(Uninstall::read(body)?),
        })
    }
}

/// Does what was asked for.
pub(crate) async fn run(
    cosmos: &Arc<Cosmos>,
    session: &Session,
    given: Given,
) -> Result<Answer, Failure> {
    match given {
        Given::Capabilities => Ok(Answer::Plain(capabilities())),
        Given::Describe(lookup) => packages::describe(cosmos, session, &lookup),
        Given::Install(install) => install::install(cosmos, session, install).await,
        Given::List(wanted) => packages::list(cosmos, session, &wanted).await,
        Given::ListVersions(name) => packages::list_versions(cosmos, &name),
        Given::Render(install) => install::render(cosmos, &install).await,
        Given::RepositoryAdd(add) => repositories::add(cosmos, add).await,
        Given::RepositoryDelete(delete) => repositories::delete(cosmos, delete).await,
        Given::RepositoryList { status } => repositories::list(cosmos, status).await,
        Given::Search(query) => Ok(packages::search(cosmos, session, query.as_deref())),
        Given::ServiceDescribe(described) => services::describe(cosmos, session, described).await,
        Given::ServiceStart(install) => install::start(cosmos, session, install).await,
        Given::ServiceUpdate(update) => services::update(cosmos, session, update).await,
        Given::Uninstall(uninstall) => uninstall::uninstall(cosmos, session, uninstall).await,
    }
}

fn capabilities() -> Object {
    let names =
        ["PACKAGE_MANAGEMENT", "SUPPORT_CLUSTER_REPORT", "METRONOME", "LOGGING", "LOGGING_V2"];
    let all: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    object(json!({ "capabilities": all }))
}

/// An object that was written as one.
fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
