//! Packages that another service manages: what concerns them is handed on to it.

use http::StatusCode;
use serde_json::Value;
use universe::{Manager, MediaType, Object, describe};

use crate::clients::marathon::App;
use crate::clients::{excerpt, parse};
use crate::error::{Failure, json_decoding};
use crate::http::Session;
use crate::{Cosmos, version};

/// A manager that was named; an empty name names none.
pub(super) fn named(manager: Option<&str>) -> Option<&str> {
    manager.filter(|manager| !manager.is_empty())
}

/// The manager of an installed package: as a repository has it, else as the app itself tells.
pub(super) fn of_package(
    cosmos: &Cosmos,
    name: &str,
    version: &str,
    app: Option<&App>,
) -> Option<Manager> {
    let collection = cosmos.repositories.collection();
    match collection.package(name, Some(version)) {
        Ok(entry) => entry.package.manager().cloned(),
        Err(_) => app?.package()?.manager().cloned(),
    }
}

/// Whether the manager that runs is recent enough, where the package says how recent it must
/// be. One that does not run is noticed by whoever asks it.
pub(super) async fn check_version(
    cosmos: &Cosmos,
    session: &Session,
    manager: &Manager,
) -> Result<(), Failure> {
    let Some(needed) = &manager.min_package_version else { return Ok(()) };
    let id = &manager.package_name;
    let app = cosmos.marathon.find(id, session.authorization.as_ref()).await?;
    let running = app.as_ref().and_then(App::package_version);
    match running {
        Some(running) if version::older(running, needed) => {
            let content = format!("version {running} runs; {needed} or later is needed");
            Err(Failure::manager_error(id, StatusCode::PRECONDITION_FAILED, &content))
        }
        _ => Ok(()),
    }
}

/// Hands a request on, and takes the answer as our own.
pub(super) async fn forward(
    cosmos: &Cosmos,
    session: &Session,
    manager: &str,
    path: &str,
    types: (&MediaType, &MediaType),
    request: &Value,
) -> Result<Object, Failure> {
    let mut request = request.clone();
    if let Value::Object(object) = &mut request {
        describe::drop_nulls(object);
    }
    let response = cosmos.services.forward(manager, path, types, &request, session).await?;
    let status = response.status();
    match status {
        StatusCode::CONFLICT => return Err(Failure::service_already_started()),
        StatusCode::NOT_FOUND => {
            return Err(Failure::manager_not_found(&crate::fields::absolute(manager)));
        }
        _ if status.is_client_error() || status.is_server_error() => {
            return Err(Failure::manager_error(manager, status, &excerpt(response.body())));
        }
        _ => {}
    }
    match parse(response.body())? {
        Value::Object(answer) => Ok(answer),
        _ => Err(json_decoding(path, "expected an object", "")),
    }
}
