//! Installing, and showing what would be installed.

use std::sync::Arc;

use serde_json::{Value, json};
use universe::package::Definition;
use universe::{Entry, MediaType, Object, Package, describe};

use super::rendering::rendered;
use super::{Answer, custom, object};
use crate::error::Failure;
use crate::fields::{Decoded, Fields};
use crate::http::Session;
use crate::{Cosmos, version};

/// What to install.
#[derive(Clone)]
pub(crate) struct Install {
    name: String,
    version: Option<String>,
    options: Option<Object>,
    app_id: Option<String>,
    manager: Option<String>,
}

// === impl Install ===

impl Install {
    pub(super) fn read(body: &Fields) -> Decoded<Install> {
        Ok(Install {
            name: body.required_text("packageName")?,
            version: body.text("packageVersion")?,
            options: body.object("options")?,
            app_id: body.app_id("appId")?,
            manager: body.text("managerId")?,
        })
    }

    /// For a manager, which is not told that it is one.
    fn json(&self) -> Value {
        json!({
            "packageName": self.name,
            "packageVersion": self.version,
            "options": self.options,
            "appId": self.app_id,
        })
    }

    async fn rendered(
        &self,
        cosmos: &Cosmos,
        uri: &str,
        package: &Arc<Package>,
    ) -> Result<Option<Object>, Failure> {
        rendered(cosmos, package, uri, self.options.as_ref(), self.app_id.as_deref()).await
    }
}

/// What was installed.
struct Installed {
    name: String,
    version: String,
    app_id: Option<String>,
    /// The answer in its newer form.
    newer: Object,
}

pub(super) async fn render(cosmos: &Cosmos, install: &Install) -> Result<Answer, Failure> {
    let collection = cosmos.repositories.collection();
    let entry = collection.package(&install.name, install.version.as_deref())?;
    let package = &entry.package;
    version::check(package, &cosmos.config.dcos_version)?;
    match install.rendered(cosmos, collection.uri(entry), package).await? {
        Some(app) => Ok(Answer::Plain(object(json!({ "marathonJson": app })))),
        None => Err(Failure::template_not_found(package.name(), package.version())),
    }
}

pub(super) async fn install(
    cosmos: &Cosmos,
    session: &Session,
    install: Install,
) -> Result<Answer, Failure> {
    let installed = run(cosmos, session, &install).await?;
    let older = older(&installed);
    Ok(Answer::Forms(vec![Ok(installed.newer), older]))
}

/// Installing under its older name.
pub(super) async fn start(
    cosmos: &Cosmos,
    session: &Session,
    install: Install,
) -> Result<Answer, Failure> {
    let installed = run(cosmos, session, &install).await?;
    let started = object(json!({
        "packageName": installed.name,
        "packageVersion": installed.version,
        "appId": installed.app_id,
    }));
    let older = older(&installed);
    Ok(Answer::Forms(vec![Ok(started), Ok(installed.newer), older]))
}

/// The answer in version 1, which has no form for a package that runs nothing.
fn older(installed: &Installed) -> Result<Object, Failure> {
    let Installed { name, version, app_id, .. } = installed;
    match app_id {
        Some(id) => {
            Ok(object(json!({"packageName": name, "packageVersion": version, "appId": id})))
        }
        None => Err(Failure::template_not_found(name, version)),
    }
}

async fn run(cosmos: &Cosmos, session: &Session, install: &Install) -> Result<Installed, Failure> {
    if let Some(manager) = custom::named(install.manager.as_deref()) {
        return forward(cosmos, session, install, manager).await;
    }
    let collection = cosmos.repositories.collection();
    let entry = collection.package(&install.name, install.version.as_deref())?;
    let package = &entry.package;
    if let Some(manager) = package.manager() {
        let id = manager.package_name.as_str();
        custom::check_version(cosmos, session, manager).await?;
        return forward(cosmos, session, install, id).await;
    }
    version::check(package, &cosmos.config.dcos_version)?;
    let app_id = match install.rendered(cosmos, collection.uri(entry), package).await? {
        None => None,
        Some(app) => {
            let created = cosmos.marathon.create(app, session.authorization.as_ref()).await;
            Some(created.map_err(|failure| match failure.kind {
                "ServiceAlreadyStarted" => Failure::package_already_installed(),
                _ => failure,
            })?)
        }
    };
    Ok(installed(session, entry, app_id))
}

fn installed(session: &Session, entry: &Entry, app_id: Option<String>) -> Installed {
    let package = &entry.package;
    let definition = describe::definition(package, &session.origin);
    let newer = json!({
        "packageName": package.name(),
        "packageVersion": package.version(),
        "appId": app_id,
        "postInstallNotes": definition.text("postInstallNotes"),
        "cli": definition.resource().and_then(|resource| resource.get("cli")),
    });
    Installed {
        name: package.name().to_owned(),
        version: package.version().to_owned(),
        app_id,
        newer: object(newer),
    }
}

async fn forward(
    cosmos: &Cosmos,
    session: &Session,
    install: &Install,
    manager: &str,
) -> Result<Installed, Failure> {
    let types = (
        &MediaType::vendor("vnd.dcos.package.install-request", 1),
        &MediaType::vendor("vnd.dcos.package.install-response", 2),
    );
    let newer =
        custom::forward(cosmos, session, manager, "package/install", types, &install.json())
            .await?;
    let text = |field: &str| newer.text(field).map(str::to_owned);
    Ok(Installed {
        name: text("packageName").unwrap_or_default(),
        version: text("packageVersion").unwrap_or_default(),
        app_id: text("appId"),
        newer,
    })
}
