//! One revision of a package: the fields that are looked at often, and the whole definition as
//! it was written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Object;
use crate::check::{self, Fields, Wrong};
use crate::resource;

/// The generations of the package format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packaging {
    V2,
    V3,
    V4,
    V5,
}

impl Packaging {
    fn parse(text: &str) -> Option<Packaging> {
        [Packaging::V2, Packaging::V3, Packaging::V4, Packaging::V5]
            .into_iter()
            .find(|packaging| packaging.as_str() == text)
    }

    /// As it stands in `packagingVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Packaging::V2 => "2.0",
            Packaging::V3 => "3.0",
            Packaging::V4 => "4.0",
            Packaging::V5 => "5.0",
        }
    }

    /// The number in media types.
    pub fn number(self) -> u32 {
        match self {
            Packaging::V2 => 2,
            Packaging::V3 => 3,
            Packaging::V4 => 4,
            Packaging::V5 => 5,
        }
    }
}

/// The service that installs a package in Cosmos's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    pub package_name: String,
    pub min_package_version: Option<String>,
}

/// Why a definition is not taken: which package, which release, which field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PackageFault {
    /// Its place in the document, from 0.
    pub index: usize,
    pub package: Option<String>,
    pub release: Option<u64>,
    /// Empty where the definition as a whole is at fault.
    pub field: String,
    pub reason: String,
}

impl fmt::Display for PackageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.package {
            Some(package) => write!(f, "package [{package}]")?,
            None => write!(f, "package number {}", self.index)?,
        }
        if let Some(release) = self.release {
            write!(f, " release {release}")?;
        }
        match self.field.as_str() {
            "" => write!(f, ": {}", self.reason),
            field => write!(f, ": {field}: {}", self.reason),
        }
    }
}

/// A revision of a package. The definition stays in the form it came in and is read again when
/// it is asked for: of a repository's 1,200 revisions hardly any ever is.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    source: Arc<[u8]>,
    range: Range<usize>,
    head: Head,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    packaging: Packaging,
    name: String,
    version: String,
    release: u64,
    maintainer: String,
    description: String,
    tags: Vec<String>,
    selected: Option<bool>,
    framework: Option<bool>,
    min_dcos_release: Option<String>,
    upgrades_from: Vec<String>,
    downgrades_to: Vec<String>,
    manager: Option<Manager>,
    images: Option<Value>,
    urls: Vec<String>,
    has_template: bool,
}

// === impl Package ===

impl Package {
    /// Reads the definition at `range` of `source`.
    pub fn read(
        source: &Arc<[u8]>,
        range: Range<usize>,
        index: usize,
    ) -> Result<Package, PackageFault> {
        let fault = |reason: String| PackageFault {
            index,
            package: None,
            release: None,
            field: String::new(),
            reason,
        };
        let bytes = source.get(range.clone()).unwrap_or_default();
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
        let Value::Object(object) = value else {
            return Err(fault("expected an object".to_owned()));
        };
        let head = Head::read(&object).map_err(|wrong| PackageFault {
            package: object.get("name").and_then(Value::as_str).map(str::to_owned),
            release: object.get("releaseVersion").and_then(Value::as_u64),
            field: wrong.field,
            ..fault(wrong.reason)
        })?;
        Ok(Package { source: Arc::clone(source), range, head })
    }

    /// Reads a definition that stands alone.
    pub fn from_slice(bytes: &[u8]) -> Result<Package, PackageFault> {
        Package::read(&Arc::from(bytes), 0..bytes.len(), 0)
    }

    /// The definition as it was written.
    pub fn bytes(&self) -> &[u8] {
        self.source.get(self.range.clone()).unwrap_or_default()
    }

    /// The whole definition.
    pub fn definition(&self) -> Object {
        // It was read before: there is nothing that could fail.
        serde_json::from_slice(self.bytes()).unwrap_or_default()
    }

    pub fn packaging(&self) -> Packaging {
        self.head.packaging
    }

    pub fn name(&self) -> &str {
        &self.head.name
    }

    pub fn version(&self) -> &str {
        &self.head.version
    }

    pub fn release(&self) -> u64 {
        self.head.release
    }

    pub fn maintainer(&self) -> &str {
        &self.head.maintainer
    }

    pub fn description(&self) -> &str {
        &self.head.description
    }

    pub fn tags(&self) -> &[String] {
        &self.head.tags
    }

    pub fn selected(&self) -> Option<bool> {
        self.head.selected
    }

    pub fn framework(&self) -> Option<bool> {
        self.head.framework
    }

    pub fn min_dcos_release(&self) -> Option<&str> {
        self.head.min_dcos_release.as_deref()
    }

    pub fn manager(&self) -> Option<&Manager> {
        self.head.manager.as_ref()
    }

    /// `resource.images`.
    pub fn images(&self) -> Option<&Value> {
        self.head.images.as_ref()
    }

    /// The URLs of assets, images and programs.
    pub fn urls(&self) -> &[String] {
        &self.head.urls
    }

    /// Whether there is something to run; a package may also be a client program alone.
    pub fn has_template(&self) -> bool {
        self.head.has_template
    }

    /// Versions, or `*`, that this revision can replace.
    pub fn upgrades_from(&self) -> &[String] {
        &self.head.upgrades_from
    }

    /// Versions, or `*`, that can replace this revision.
    pub fn downgrades_to(&self) -> &[String] {
        &self.head.downgrades_to
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Package").field(&self.head).finish()
    }
}

impl Head {
    fn read(object: &Object) -> Result<Head, Wrong> {
        let fields = Fields::new(object);
        let packaging = packaging(&fields)?;
        check::rest(&fields, packaging)?;
        let own = |texts: Option<Vec<&str>>| -> Vec<String> {
            texts.unwrap_or_default().into_iter().map(str::to_owned).collect()
        };
        let updates = |field| match packaging {
            Packaging::V4 | Packaging::V5 => fields.texts(field).map(own),
            _ => Ok(Vec::new()),
        };
        let resource = object.get("resource").and_then(Value::as_object);
        Ok(Head {
            packaging,
            name: fields.required_text("name")?.to_owned(),
            version: fields.required_text("version")?.to_owned(),
            release: fields.release()?,
            maintainer: fields.required_text("maintainer")?.to_owned(),
            description: fields.required_text("description")?.to_owned(),
            tags: tags(&fields)?,
            selected: fields.flag("selected")?,
            framework: fields.flag("framework")?,
            min_dcos_release: match packaging {
                Packaging::V2 => None,
                _ => fields.text("minDcosReleaseVersion")?.map(str::to_owned),
            },
            upgrades_from: updates("upgradesFrom")?,
            downgrades_to: updates("downgradesTo")?,
            manager: match packaging {
                Packaging::V5 => manager(&fields)?,
                _ => None,
            },
            images: resource.and_then(|resource| resource.get("images")).cloned(),
            urls: resource.map(resource::urls).unwrap_or_default(),
            has_template: object.get("marathon").is_some_and(Value::is_object),
        })
    }
}

fn packaging(fields: &Fields<'_>) -> Result<Packaging, Wrong> {
    let text = fields.required_text("packagingVersion")?;
    let known = "Expected one of [2.0, 3.0, 4.0, 5.0] for packaging version, but found";
    Packaging::parse(text)
        .ok_or_else(|| fields.wrong("packagingVersion", format!("{known} [{text}]")))
}

fn tags(fields: &Fields<'_>) -> Result<Vec<String>, Wrong> {
    let tags = fields.texts("tags")?.ok_or_else(|| fields.wrong("tags", "is missing"))?;
    let bad = |tag: &&str| tag.is_empty() || tag.chars().any(|c| c.is_ascii_whitespace());
    if let Some(tag) = tags.iter().copied().find(bad) {
        let text = format!("Value '{tag}' does not conform to expected format ^[^\\s]+$");
        return Err(fields.wrong("tags", text));
    }
    Ok(tags.into_iter().map(str::to_owned).collect())
}

fn manager(fields: &Fields<'_>) -> Result<Option<Manager>, Wrong> {
    let Some(manager) = fields.object("manager")? else { return Ok(None) };
    Ok(Some(Manager {
        package_name: manager.required_text("packageName")?.to_owned(),
        min_package_version: manager.text("minPackageVersion")?.map(str::to_owned),
    }))
}

/// Looks into a definition. Null counts as absent.
pub trait Definition {
    /// A string.
    fn text(&self, field: &str) -> Option<&str>;
    /// `config`.
    fn config(&self) -> Option<&Object>;
    /// `resource`.
    fn resource(&self) -> Option<&Object>;
    /// The template, decoded. What is not UTF-8 is replaced, as the original does.
    fn template(&self) -> Option<String>;
}

impl Definition for Object {
    fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    fn config(&self) -> Option<&Object> {
        self.get("config").and_then(Value::as_object)
    }

    fn resource(&self) -> Option<&Object> {
        self.get("resource").and_then(Value::as_object)
    }

    fn template(&self) -> Option<String> {
        let text = self.get("marathon")?.get("v2AppMustacheTemplate")?.as_str()?;
        let bytes = STANDARD.decode(text).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(change: impl Fn(&mut Object)) -> Result<Package, String> {
        let mut value = json!({
            "packagingVersion": "4.0", "name": "n", "version": "1", "releaseVersion": 3,
            "maintainer": "m", "description": "d", "tags": ["t"],
            "own": {"z": 1, "a": 2},
            "marathon": {"v2AppMustacheTemplate": "e30="},
        });
        change(value.as_object_mut().unwrap());
        Package::from_slice(value.to_string().as_bytes()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn unknown_fields_and_order_stay() {
        let package = read(|_| {}).unwrap();
        assert_eq!(package.definition()["own"].to_string(), r#"{"z":1,"a":2}"#);
        assert_eq!(package.definition().template().unwrap(), "{}");
    }

    #[test]
    fn faults_name_package_release_and_field() {
        let cases: [(&str, Value, &str); 12] = [
            ("version", Value::Null, "package [n] release 3: version: is missing"),
            ("tags", json!(["a b"]), "package [n] release 3: tags: Value 'a b'"),
            ("tags", json!([1]), "tags[0]: expected a string, found an integer"),
            ("selected", json!("yes"), "selected: expected a boolean, found a string"),
            ("releaseVersion", json!(-1), "release version, but found [-1]"),
            ("packagingVersion", json!("6.0"), "but found [6.0]"),
            ("marathon", json!({"v2AppMustacheTemplate": "?"}), "is not base64"),
            ("licenses", json!([{"name": "x"}]), "licenses[0].url: is missing"),
            ("minDcosReleaseVersion", json!("1.x"), "'1.x' is not a release"),
            (
                "resource",
                json!({"assets": {"uris": {"a": 1}}}),
                "resource.assets.uris.a: expected a string",
            ),
            (
                "resource",
                json!({"cli": {"binaries": {"linux": {"x86-64": {"kind": "zip"}}}}}),
                "resource.cli.binaries.linux.x86-64.url: is missing",
            ),
            ("config", json!([]), "config: expected an object, found a list"),
        ];
        for (field, value, expected) in cases {
            let error = read(|object| {
                object.insert(field.to_owned(), value.clone());
            });
            let error = error.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_package_of_the_second_generation_needs_a_template() {
        let without = |object: &mut Object| {
            object.insert("packagingVersion".into(), json!("2.0"));
            object.remove("marathon");
        };
        assert!(read(without).unwrap_err().contains("marathon: is missing"));
    }
}
