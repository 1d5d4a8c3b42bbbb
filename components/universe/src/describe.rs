//! The forms in which packages are shown: described, found, listed as installed.

use serde_json::{Value, json};

use crate::package::Definition;
use crate::resource::{self, Origin};
use crate::{Found, Object, Package, Packaging};

/// Fields that a listing of installed packages shows.
const LISTED: [&str; 14] = [
    "packagingVersion",
    "name",
    "version",
    "maintainer",
    "description",
    "tags",
    "selected",
    "scm",
    "website",
    "framework",
    "preInstallNotes",
    "postInstallNotes",
    "postUninstallNotes",
    "licenses",
];

/// Fields that only the older form of a description shows.
const DESCRIBED: [&str; 5] = ["minDcosReleaseVersion", "marathon", "resource", "config", "command"];

/// A package of the newest generations has no form in the older description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A v4 package cannot be converted into a v2 DescribeResponse")]
pub struct NoOldForm;

/// Removes fields that are null, at any depth: the original prints none.
pub fn drop_nulls(object: &mut Object) {
    object.retain(|_, value| !value.is_null());
    object.values_mut().for_each(drop_nulls_below);
}

fn drop_nulls_below(value: &mut Value) {
    match value {
        Value::Object(object) => drop_nulls(object),
        Value::Array(list) => list.iter_mut().for_each(drop_nulls_below),
        _ => {}
    }
}

/// A definition with its URLs leading through `origin`.
pub fn definition(package: &Package, origin: &Origin) -> Object {
    let mut definition = package.definition();
    resource::rewrite(&mut definition, origin);
    definition
}

/// The description in version 2: fields side by side, without what came later.
pub fn version_2(package: &Package, origin: &Origin) -> Result<Object, NoOldForm> {
    let packaging = match package.packaging() {
        Packaging::V2 => Packaging::V2,
        Packaging::V3 => Packaging::V3,
        Packaging::V4
            if package.upgrades_from().is_empty() && package.downgrades_to().is_empty() =>
        {
            Packaging::V3
        }
        _ => return Err(NoOldForm),
    };
    let definition = definition(package, origin);
    let mut shown = chosen(&definition, LISTED.iter().chain(&DESCRIBED));
    shown.insert("packagingVersion".to_owned(), packaging.as_str().into());
    defaults(&mut shown);
    if package.packaging() == Packaging::V4 {
        shown.remove("command");
    }
    Ok(shown)
}

/// A package as it stands in the list of those installed.
pub fn installed(package: &Package, origin: &Origin) -> Object {
    let definition = definition(package, origin);
    let mut details = chosen(&definition, LISTED.iter());
    defaults(&mut details);
    let mut shown = Object::new();
    shown.insert("packageDefinition".to_owned(), Value::Object(details));
    if let Some(resource) = definition.resource() {
        let resource = chosen(resource, ["assets", "images"].iter());
        shown.insert("resourceDefinition".to_owned(), Value::Object(resource));
    }
    shown
}

/// A package as a search shows it.
pub fn found(found: &Found<'_>, origin: &Origin) -> Value {
    let current = found.current;
    let mut versions = Object::new();
    for entry in found.revisions {
        versions.insert(entry.package.version().to_owned(), entry.package.release().into());
    }
    let mut shown = json!({
        "name": current.name(),
        "currentVersion": current.version(),
        "versions": versions,
        "description": current.description(),
        "framework": current.framework().unwrap_or(false),
        "tags": current.tags(),
    });
    if let Some(object) = shown.as_object_mut() {
        if let Some(selected) = current.selected() {
            object.insert("selected".to_owned(), selected.into());
        }
        if let Some(images) = current.images() {
            let mut images = images.clone();
            resource::rewrite_images(&mut images, origin);
            object.insert("images".to_owned(), images);
        }
    }
    shown
}

fn chosen<'a>(from: &Object, fields: impl Iterator<Item = &'a &'a str>) -> Object {
    let field = |name: &&str| Some(((*name).to_owned(), from.get(*name)?.clone()));
    fields.filter_map(field).collect()
}

/// Flags that are shown even where the definition leaves them out.
fn defaults(shown: &mut Object) {
    for flag in ["selected", "framework"] {
        if shown.get(flag).is_none_or(Value::is_null) {
            shown.insert(flag.to_owned(), false.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(more: &Value) -> Package {
        let mut value = json!({
            "packagingVersion": "4.0", "name": "n", "version": "1", "releaseVersion": 3,
            "maintainer": "m", "description": "d", "tags": ["t"], "lastUpdated": 5,
            "resource": {"images": {"icon-small": "http://i"}, "cli": {"binaries": {}}},
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Package::from_slice(value.to_string().as_bytes()).unwrap()
    }

    fn origin() -> Origin {
        Origin { scheme: "https".into(), host: "h".into(), prefix: "/p".into() }
    }

    const URL: &str = "https://h/p/package/resource?url=http%3A%2F%2Fi";

    #[test]
    fn the_older_form_is_flat_and_leaves_out_what_came_later() {
        let shown = version_2(&package(&json!({})), &origin()).unwrap();
        let expected = json!({
            "packagingVersion": "3.0", "name": "n", "version": "1", "maintainer": "m",
            "description": "d", "tags": ["t"], "selected": false, "framework": false,
            "resource": {"images": {"icon-small": URL}, "cli": {"binaries": {}}},
        });
        assert_eq!(Value::Object(shown), expected);
        for newer in [json!({"upgradesFrom": ["*"]}), json!({"packagingVersion": "5.0"})] {
            assert_eq!(version_2(&package(&newer), &origin()), Err(NoOldForm));
        }
    }

    #[test]
    fn installed_packages_show_no_programs() {
        let shown = installed(&package(&json!({"selected": true})), &origin());
        assert_eq!(shown["packageDefinition"]["selected"], true);
        assert_eq!(shown["packageDefinition"]["framework"], false);
        assert!(shown["packageDefinition"].get("lastUpdated").is_none());
        assert_eq!(shown["resourceDefinition"], json!({"images": {"icon-small": URL}}));
    }

    #[test]
    fn nulls_go() {
        let mut object = json!({"a": null, "b": {"c": null, "d": [{"e": null}, null]}});
        drop_nulls(object.as_object_mut().unwrap());
        assert_eq!(object, json!({"b": {"d": [{}, null]}}));
    }
}
