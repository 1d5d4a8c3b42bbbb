//! Uninstalling: which app is meant, and how it goes.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use universe::package::Definition;
use universe::{MediaType, label};

use super::{Answer, custom, object, rendering};
use crate::Cosmos;
use crate::clients::excerpt;
use crate::clients::marathon::{App, deployment_id};
use crate::error::Failure;
use crate::fields::{Decoded, Fields};
use crate::http::Session;
use crate::uninstalls::{self, Pending};

/// What to uninstall.
pub(crate) struct Uninstall {
    name: String,
    app_id: Option<String>,
    all: bool,
    manager: Option<String>,
}

// === impl Uninstall ===

impl Uninstall {
    pub(super) fn read(body: &Fields) -> Decoded<Uninstall> {
        let name = body.required_text("packageName")?;
        let app_id = body.app_id("appId")?;
        let all = body.flag("all")?.unwrap_or(false);
        body.text("packageVersion")?;
        Ok(Uninstall { name, app_id, all, manager: body.text("managerId")? })
    }
}

pub(super) async fn uninstall(
    cosmos: &Cosmos,
    session: &Session,
    uninstall: Uninstall,
) -> Result<Answer, Failure> {
    let apps = chosen(cosmos, session, &uninstall).await?;
    let mut results = Vec::new();
    for app in &apps {
        match manager(cosmos, &uninstall, app) {
            Some(manager) => {
                results.extend(forward(cosmos, session, &uninstall, app, &manager).await?);
            }
            None => results.push(run(cosmos, session, app).await?),
        }
    }
    Ok(Answer::Plain(object(json!({ "results": results }))))
}

/// The apps that are meant: one, unless all are wanted.
async fn chosen(
    cosmos: &Cosmos,
    session: &Session,
    uninstall: &Uninstall,
) -> Result<Vec<App>, Failure> {
    let (name, by) = (&uninstall.name, session.authorization.as_ref());
    let mut apps = match &uninstall.app_id {
        None => cosmos.marathon.packages(Some(name), by).await?,
        Some(id) => {
            let app = cosmos.marathon.find(id, by).await?;
            vec![app.ok_or_else(|| Failure::uninstall_non_existent(name, id))?]
        }
    };
    apps.retain(|app| app.package_name() == Some(name));
    if apps.is_empty() {
        return Err(Failure::package_not_installed(name));
    }
    if apps.len() > 1 && !uninstall.all {
        let ids: Vec<String> = apps.iter().map(|app| app.id.clone()).collect();
        return Err(Failure::ambiguous_app_id(name, &ids));
    }
    Ok(apps)
}

fn manager(cosmos: &Cosmos, uninstall: &Uninstall, app: &App) -> Option<String> {
    if let Some(manager) = custom::named(uninstall.manager.as_deref()) {
        return Some(manager.to_owned());
    }
    let found = custom::of_package(cosmos, &uninstall.name, app.package_version()?, Some(app))?;
    Some(found.package_name)
}

async fn forward(
    cosmos: &Cosmos,
    session: &Session,
    uninstall: &Uninstall,
    app: &App,
    manager: &str,
) -> Result<Vec<Value>, Failure> {
    let request = json!({
        "packageName": uninstall.name,
        "appId": app.id,
        "all": uninstall.all.then_some(true),
        "packageVersion": app.package_version(),
    });
    let types = (
        &MediaType::vendor("vnd.dcos.package.uninstall-request", 1),
        &MediaType::vendor("vnd.dcos.package.uninstall-response", 1),
    );
    let answer =
        custom::forward(cosmos, session, manager, "package/uninstall", types, &request).await?;
    Ok(answer.get("results").and_then(Value::as_array).cloned().unwrap_or_default())
}

async fn run(cosmos: &Cosmos, session: &Session, app: &App) -> Result<Value, Failure> {
    // Before the app is gone: its labels have the notes.
    let notes = notes(cosmos, app).await?;
    let _claim = cosmos.claims.take(&app.id)?;
    if app.label(uninstalls::SDK_LABEL).is_some() {
        begin_sdk(cosmos, session, app).await?;
    } else {
        remove(cosmos, session, app).await?;
    }
    Ok(json!({
        "packageName": app.package_name(),
        "appId": app.id,
        "packageVersion": app.package_version(),
        "postUninstallNotes": notes,
    }))
}

async fn notes(cosmos: &Cosmos, app: &App) -> Result<Option<String>, Failure> {
    let (app, collection) = (app.clone(), cosmos.repositories.collection());
    rendering::off_the_runtime(cosmos, "the package of an app", move || {
        let of = |definition: &universe::Object| {
            definition.text("postUninstallNotes").map(str::to_owned)
        };
        if let Some(package) = app.package() {
            return of(&package.definition());
        }
        let entry = collection.package(app.package_name()?, app.package_version()).ok()?;
        of(&entry.package.definition())
    })
    .await
}

/// Deletes the app, and ends the framework that it was.
async fn remove(cosmos: &Cosmos, session: &Session, app: &App) -> Result<(), Failure> {
    let by = session.authorization.as_ref();
    let status = cosmos.marathon.delete(&app.id, true, by).await?;
    if status != StatusCode::OK {
        tracing::info!(app = %app.id, %status, "Marathon did not delete the app");
        return Err(Failure::marathon_app_delete(&app.id));
    }
    let Some(framework) = app.label(label::FRAMEWORK_NAME) else { return Ok(()) };
    let name = app.package_name().unwrap_or_default();
    let incomplete = |failure: Failure| match failure.kind {
        "ServiceUnavailable" => Failure::incomplete_uninstall(name),
        _ => failure,
    };
    let ids = cosmos.master.frameworks(framework, by).await.map_err(incomplete)?;
    match ids.as_slice() {
        [] => Ok(()),
        [id] => cosmos.master.tear_down(id, by).await.map_err(incomplete),
        several => {
            let version = app.package_version();
            Err(Failure::multiple_framework_ids(name, version, framework, several))
        }
    }
}

/// Tells a service built with the SDK to uninstall itself; the rest goes on by itself, through
/// restarts of this service too.
async fn begin_sdk(cosmos: &Cosmos, session: &Session, app: &App) -> Result<(), Failure> {
    let by = session.authorization.as_ref();
    // As it is now that nobody else changes it.
    let Some(app) = &cosmos.marathon.find(&app.id, by).await? else { return Ok(()) };
    let known = match cosmos.uninstalls.find(&app.id).await? {
        Some(_) if uninstalls::is_uninstalling(app) => return Ok(()),
        // Marathon may not have heard of it: it is told again.
        Some(known) => known,
        None => {
            let version = app.label(uninstalls::VERSION_LABEL).unwrap_or("v1");
            let ids = cosmos.services.framework_ids(&app.id, version, by).await;
            let frameworks = ids.unwrap_or_default();
            let pending = Pending { app_id: app.id.clone(), frameworks, deployment: None };
            // Written first: an uninstall that was begun must not be forgotten.
            cosmos.uninstalls.begin(pending).await?
        }
    };
    match change_env(cosmos, session, app).await {
        Ok(deployment) => {
            cosmos.uninstalls.begun(known, deployment).await;
            Ok(())
        }
        Err(Unchanged { failure, certain }) => {
            // Where it is not certain, what the app shows decides.
            if certain {
                cosmos.uninstalls.forget(known).await;
            }
            Err(failure)
        }
    }
}

/// The change that Marathon did not confirm.
struct Unchanged {
    failure: Failure,
    /// It said that it did not make it.
    certain: bool,
}

/// Sets the variable that makes the service uninstall itself; answers the deployment's id.
async fn change_env(cosmos: &Cosmos, session: &Session, app: &App) -> Result<String, Unchanged> {
    let mut env = app.env();
    env.insert(uninstalls::SDK_VARIABLE.to_owned(), "true".into());
    let changed = cosmos.marathon.set_env(&app.id, env, session.authorization.as_ref()).await;
    let response = changed.map_err(|failure| {
        let certain = matches!(failure.kind, "Unauthorized" | "Forbidden");
        Unchanged { failure, certain }
    })?;
    let body = excerpt(response.body());
    if response.status() != StatusCode::OK {
        tracing::error!(app = %app.id, method = %Method::PUT, body, "Marathon refused");
        let explanation = format!("Encountered error in marathon request {body}");
        let failure = Failure::failed_to_start_uninstall(&app.id, &explanation);
        return Err(Unchanged { failure, certain: response.status().is_client_error() });
    }
    deployment_id(&response).map_err(|_| {
        let explanation = format!("Marathon update response is not a JSON Object: {body}");
        let failure = Failure::failed_to_start_uninstall(&app.id, &explanation);
        Unchanged { failure, certain: false }
    })
}
