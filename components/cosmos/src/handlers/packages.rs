//! Questions about packages: search, describe, list the versions, list what is installed.

use serde_json::{Value, json};
use universe::describe;
use universe::resource::Origin;

use super::{Answer, object, rendering};
use crate::Cosmos;
use crate::clients::marathon::App;
use crate::error::Failure;
use crate::fields::{Decoded, Fields};
use crate::http::Session;

/// A package, perhaps of one version.
pub(crate) struct Lookup {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// Which installed packages to list.
pub(crate) struct Wanted {
    name: Option<String>,
    app_id: Option<String>,
}

// === impl Lookup ===

impl Lookup {
    pub(super) fn read(body: &Fields) -> Decoded<Lookup> {
        let name = body.required_text("packageName")?;
        Ok(Lookup { name, version: body.text("packageVersion")? })
    }
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn read(body: &Fields) -> Decoded<Wanted> {
        Ok(Wanted { name: body.text("packageName")?, app_id: body.app_id("appId")? })
    }
}

pub(super) fn search(cosmos: &Cosmos, session: &Session, query: Option<&str>) -> Answer {
    let collection = cosmos.repositories.collection();
    let found = collection.search(query);
    let shown: Vec<Value> =
        found.iter().map(|found| describe::found(found, &session.origin)).collect();
    Answer::Plain(object(json!({ "packages": shown })))
}

pub(super) fn describe(
    cosmos: &Cosmos,
    session: &Session,
    lookup: &Lookup,
) -> Result<Answer, Failure> {
    let collection = cosmos.repositories.collection();
    let package = &collection.package(&lookup.name, lookup.version.as_deref())?.package;
    let newer = json!({ "package": describe::definition(package, &session.origin) });
    let older = describe::version_2(package, &session.origin);
    let older = older.map_err(|_| Failure::no_old_description());
    Ok(Answer::Forms(vec![Ok(object(newer)), older]))
}

pub(super) fn list_versions(cosmos: &Cosmos, name: &str) -> Result<Answer, Failure> {
    let collection = cosmos.repositories.collection();
    let versions = collection.revisions(name)?.iter().map(|entry| {
        let package = &entry.package;
        (package.version().to_owned(), Value::String(package.release().to_string()))
    });
    Ok(Answer::Plain(object(json!({ "results": Value::Object(versions.collect()) }))))
}

/// Lists what is installed by the labels of the apps: also packages that no repository has any
/// more.
pub(super) async fn list(
    cosmos: &Cosmos,
    session: &Session,
    wanted: &Wanted,
) -> Result<Answer, Failure> {
    let by = session.authorization.as_ref();
    let mut apps = cosmos.marathon.packages(wanted.name.as_deref(), by).await?;
    apps.retain(|app| {
        let by_name = wanted.name.as_deref().is_none_or(|name| app.package_name() == Some(name));
        by_name && wanted.app_id.as_deref().is_none_or(|wanted| wanted == app.id)
    });
    let origin = session.origin.clone();
    let work = move || shown(apps, &origin);
    let shown = rendering::off_the_runtime(cosmos, "listing what is installed", work).await?;
    Ok(Answer::Plain(object(json!({ "packages": shown }))))
}

/// Reads the packages out of the apps' labels, which takes a while where there are many.
fn shown(apps: Vec<App>, origin: &Origin) -> Vec<Value> {
    let mut found: Vec<(String, String, Value)> = Vec::new();
    for app in apps {
        let Some(package) = app.package_name().and_then(|_| app.package()) else { continue };
        let information = describe::installed(&package, origin);
        let shown = json!({"appId": app.id, "packageInformation": information});
        found.push((package.name().to_owned(), app.id, shown));
    }
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    found.into_iter().map(|(_, _, shown)| shown).collect()
}
