//! Services that were installed: what can become of them, and changing their options.

use std::sync::Arc;

use serde_json::{Value, json};
use universe::package::Definition;
use universe::resource;
use universe::{Manager, MediaType, Object, Package, options};

use super::rendering::rendered;
use super::{Answer, custom, object};
use crate::clients::marathon::App;
use crate::error::Failure;
use crate::fields::{Decoded, Fields, absolute};
use crate::http::Session;
use crate::{Cosmos, version};

/// A service to describe.
pub(crate) struct Described {
    app_id: String,
    target: Target,
}

/// A service to change.
pub(crate) struct Update {
    app_id: String,
    options: Option<Object>,
    /// Only the options given now hold; otherwise they go over those given before.
    replace: bool,
    target: Target,
}

/// Which package the client takes the service for, and who manages it.
struct Target {
    manager: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

// === impl Target ===

impl Target {
    fn read(body: &Fields) -> Decoded<Target> {
        Ok(Target {
            manager: body.text("managerId")?,
            name: body.text("packageName")?,
            version: body.text("packageVersion")?,
        })
    }
}

impl Described {
    pub(super) fn read(body: &Fields) -> Decoded<Described> {
        Ok(Described { app_id: body.required_app_id("appId")?, target: Target::read(body)? })
    }
}

impl Update {
    pub(super) fn read(body: &Fields) -> Decoded<Update> {
        Ok(Update {
            app_id: body.required_app_id("appId")?,
            options: body.object("options")?,
            replace: body.required_flag("replace")?,
            target: Target::read(body)?,
        })
    }
}

/// Who manages a service, and as what package: as the client says, else as the app's labels do.
struct Managed {
    manager: String,
    name: String,
    version: String,
}

fn managed(cosmos: &Cosmos, target: &Target, app: &App) -> Option<Managed> {
    let installed = || Some((app.package_name()?, app.package_version()?));
    let (name, version) = match (&target.name, &target.version) {
        (Some(name), Some(version)) => (name.as_str(), version.as_str()),
        _ => installed()?,
    };
    let manager = match custom::named(target.manager.as_deref()) {
        Some(manager) => manager.to_owned(),
        None => {
            let Manager { package_name, .. } =
                custom::of_package(cosmos, name, version, Some(app))?;
            package_name
        }
    };
    Some(Managed { manager, name: name.to_owned(), version: version.to_owned() })
}

pub(super) async fn describe(
    cosmos: &Cosmos,
    session: &Session,
    described: Described,
) -> Result<Answer, Failure> {
    let app = cosmos.marathon.app(&described.app_id, session.authorization.as_ref()).await?;
    if let Some(managed) = managed(cosmos, &described.target, &app) {
        let request = json!({
            "appId": described.app_id,
            "packageName": managed.name,
            "packageVersion": managed.version,
        });
        let types = types("describe");
        let path = "service/describe";
        let types = (&types.0, &types.1);
        let answer =
            custom::forward(cosmos, session, &managed.manager, path, types, &request).await?;
        return Ok(Answer::Plain(answer));
    }
    let collection = cosmos.repositories.collection();
    let package = package(cosmos, &app)?;
    let mut definition = package.package.definition();
    let user = app.options();
    let resolved = user.as_ref().map(|user| options::resolve(definition.config(), Some(user)));
    if package.stored {
        resource::rewrite(&mut definition, &session.origin);
    }
    Ok(Answer::Plain(object(json!({
        "package": definition,
        "upgradesTo": collection.upgrades_to(package.package.name(), package.package.version()),
        "downgradesTo": collection.downgrades_to(&package.package),
        "resolvedOptions": resolved,
        "userProvidedOptions": user,
    }))))
}

fn types(name: &str) -> (MediaType, MediaType) {
    let media = |kind: &str| MediaType::vendor(&format!("vnd.dcos.service.{name}-{kind}"), 1);
    (media("request"), media("response"))
}

/// The package that a service was made of.
struct Origin {
    package: Arc<Package>,
    uri: String,
    /// It came from the app's own labels.
    stored: bool,
}

fn package(cosmos: &Cosmos, app: &App) -> Result<Origin, Failure> {
    if let Some(package) = app.package() {
        let uri = app.package_source().unwrap_or_default().to_owned();
        return Ok(Origin { package: Arc::new(package), uri, stored: true });
    }
    let (Some(name), Some(version)) = (app.package_name(), app.package_version()) else {
        let message = "The name and version of the service were not found in the labels";
        return Err(Failure::unhandled(message));
    };
    let collection = cosmos.repositories.collection();
    let entry = collection.package(name, Some(version))?;
    let uri = collection.uri(entry).to_owned();
    Ok(Origin { package: Arc::clone(&entry.package), uri, stored: false })
}

pub(super) async fn update(
    cosmos: &Cosmos,
    session: &Session,
    update: Update,
) -> Result<Answer, Failure> {
    let by = session.authorization.as_ref();
    // Held until Marathon has it: an uninstall that begins meanwhile would be undone.
    let _claim = cosmos.claims.take(&update.app_id)?;
    let app = cosmos.marathon.app(&update.app_id, by).await?;
    if let Some(managed) = managed(cosmos, &update.target, &app) {
        let manager = custom::of_package(cosmos, &managed.name, &managed.version, Some(&app));
        if let Some(manager) = manager.filter(|found| found.package_name == managed.manager) {
            custom::check_version(cosmos, session, &manager).await?;
        }
        return forward(cosmos, session, &update, managed).await;
    }
    if cosmos.uninstalls.find(&update.app_id).await?.is_some() {
        return Err(Failure::service_uninstalling(&update.app_id));
    }
    let Origin { package, uri, .. } = package(cosmos, &app)?;
    if let Some(requested) = &update.target.version
        && requested != package.version()
    {
        return Err(Failure::version_upgrade(requested, package.version()));
    }
    version::check(&package, &cosmos.config.dcos_version)?;
    let user = merged(app.options(), update.options, update.replace)?;
    let rendered = rendered(cosmos, &package, &uri, user.as_ref(), None).await?;
    let rendered = rendered
        .ok_or_else(|| Failure::unhandled("This service does not have a marathon template"))?;
    if let Some(id) = rendered.get("id").and_then(Value::as_str).map(absolute)
        && id != update.app_id
    {
        return Err(Failure::app_id_changed(&id, &update.app_id));
    }
    let definition = package.definition();
    let resolved = options::resolve(definition.config(), user.as_ref());
    let deployment = cosmos.marathon.replace(&update.app_id, rendered, by).await?;
    Ok(Answer::Plain(object(json!({
        "package": definition,
        "resolvedOptions": resolved,
        "marathonDeploymentId": deployment,
    }))))
}

/// The options that hold from now on.
fn merged(
    stored: Option<Object>,
    given: Option<Object>,
    replace: bool,
) -> Result<Option<Object>, Failure> {
    if replace {
        return Ok(given);
    }
    let mut merged = stored.ok_or_else(Failure::options_not_stored)?;
    if let Some(given) = given {
        options::merge(&mut merged, &given);
    }
    Ok(Some(merged))
}

async fn forward(
    cosmos: &Cosmos,
    session: &Session,
    update: &Update,
    managed: Managed,
) -> Result<Answer, Failure> {
    let request = json!({
        "appId": update.app_id,
        "packageVersion": update.target.version,
        "options": update.options,
        "replace": update.replace,
        "packageName": managed.name,
        "currentPackageVersion": managed.version,
    });
    let types = types("update");
    let types = (&types.0, &types.1);
    let path = "service/update";
    custom::forward(cosmos, session, &managed.manager, path, types, &request)
        .await
        .map(Answer::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_replace_or_merge() {
        let object = |value: Value| Some(object(value));
        let stored = object(json!({"a": {"x": 1, "y": 2}}));
        let given = object(json!({"a": {"y": 3}}));
        let both = merged(stored.clone(), given.clone(), false).unwrap();
        assert_eq!(both, object(json!({"a": {"x": 1, "y": 3}})));
        assert_eq!(merged(stored.clone(), given.clone(), true).unwrap(), given);
        assert_eq!(merged(stored.clone(), None, false).unwrap(), stored);
        assert_eq!(merged(stored, None, true).unwrap(), None);
        assert_eq!(merged(None, None, true).unwrap(), None);
        assert_eq!(merged(None, given, false).unwrap_err().kind, "OptionsNotStored");
    }
}
