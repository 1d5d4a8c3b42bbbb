//! Whether a package's definition has the fields it must have, each of its type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Object;
use crate::package::Packaging;

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: String,
    pub(crate) reason: String,
}

/// The fields of one object, and where it is.
pub(crate) struct Fields<'a> {
    object: &'a Object,
    path: String,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Object) -> Fields<'a> {
        Fields { object, path: String::new() }
    }

    fn path_of(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    pub(crate) fn wrong(&self, field: &str, reason: impl Into<String>) -> Wrong {
        Wrong { field: self.path_of(field), reason: reason.into() }
    }

    /// A field that is there; null counts as absent, as in the original.
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        field: &str,
        expected: &str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Wrong> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let found = || self.wrong(field, format!("expected {expected}, found {}", name(value)));
        take(value).map(Some).ok_or_else(found)
    }

    fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, Wrong> {
        value.ok_or_else(|| self.wrong(field, "is missing"))
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&'a str>, Wrong> {
        self.typed(field, "a string", Value::as_str)
    }

    pub(crate) fn required_text(&self, field: &str) -> Result<&'a str, Wrong> {
        let value = self.text(field)?;
        self.required(field, value)
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>, Wrong> {
        self.typed(field, "a boolean", Value::as_bool)
    }

    fn integer(&self, field: &str) -> Result<Option<i64>, Wrong> {
        self.typed(field, "an integer", whole)
    }

    pub(crate) fn release(&self) -> Result<u64, Wrong> {
        let field = "releaseVersion";
        let value = self.required(field, self.integer(field)?)?;
        u64::try_from(value).map_err(|_| {
            let text = "Expected integer value >= 0 for release version, but found";
            self.wrong(field, format!("{text} [{value}]"))
        })
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<Fields<'a>>, Wrong> {
        let object = self.typed(field, "an object", Value::as_object)?;
        Ok(object.map(|object| Fields { object, path: self.path_of(field) }))
    }

    fn required_object(&self, field: &str) -> Result<Fields<'a>, Wrong> {
        let object = self.object(field)?;
        self.required(field, object)
    }

    fn list(&self, field: &str) -> Result<Option<&'a Vec<Value>>, Wrong> {
        self.typed(field, "a list", Value::as_array)
    }

    pub(crate) fn texts(&self, field: &str) -> Result<Option<Vec<&'a str>>, Wrong> {
        let Some(list) = self.list(field)? else { return Ok(None) };
        let text = |(at, value): (usize, &'a Value)| {
            let found = || format!("expected a string, found {}", name(value));
            let item = format!("{field}[{at}]");
            value.as_str().ok_or_else(|| self.wrong(&item, found()))
        };
        list.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// Checks each object of a list.
    fn each(
        &self,
        field: &str,
        check: impl Fn(Fields<'a>) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        for (at, value) in self.list(field)?.into_iter().flatten().enumerate() {
            let item = format!("{field}[{at}]");
            let found = || self.wrong(&item, format!("expected an object, found {}", name(value)));
            let object = value.as_object().ok_or_else(found)?;
            check(Fields { object, path: self.path_of(&item) })?;
        }
        Ok(())
    }

    /// Checks that every value is a string.
    fn all_texts(&self) -> Result<(), Wrong> {
        self.object.keys().try_for_each(|key| self.required_text(key).map(drop))
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An integer, also one written like `1.0`.
fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
    })
}

/// Checks everything that the package's head does not read.
pub(crate) fn rest(fields: &Fields<'_>, packaging: Packaging) -> Result<(), Wrong> {
    for field in ["scm", "website", "preInstallNotes", "postInstallNotes", "postUninstallNotes"] {
        fields.text(field)?;
    }
    fields.each("licenses", |license| {
        license.required_text("name")?;
        license.required_text("url").map(drop)
    })?;
    fields.object("config")?;
    match fields.object("marathon")? {
        Some(marathon) => template(&marathon)?,
        None if packaging == Packaging::V2 => return Err(fields.wrong("marathon", "is missing")),
        None => {}
    }
    if let Some(resource) = fields.object("resource")? {
        check_resource(&resource, packaging)?;
    }
    if packaging <= Packaging::V3
        && let Some(command) = fields.object("command")?
    {
        command.texts("pip")?.ok_or_else(|| command.wrong("pip", "is missing"))?;
    }
    if packaging >= Packaging::V3 {
        fields.integer("lastUpdated")?;
        fields.flag("hasKnownIssues")?;
        release_version(fields)?;
    }
    Ok(())
}

fn template(marathon: &Fields<'_>) -> Result<(), Wrong> {
    let field = "v2AppMustacheTemplate";
    let text = marathon.required_text(field)?;
    STANDARD
        .decode(text)
        .map(drop)
        .map_err(|error| marathon.wrong(field, format!("is not base64: {error}")))
}

fn release_version(fields: &Fields<'_>) -> Result<(), Wrong> {
    let field = "minDcosReleaseVersion";
    let Some(text) = fields.text(field)? else { return Ok(()) };
    let (numbers, suffix) = text.split_once('-').map_or((text, None), |(n, s)| (n, Some(s)));
    let number = |part: &str| {
        part == "0"
            || (!part.starts_with('0')
                && !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let good = numbers.split('.').all(number) && suffix.is_none_or(|suffix| !suffix.is_empty());
    if good {
        Ok(())
    } else {
        Err(fields.wrong(field, format!("'{text}' is not a release of DC/OS")))
    }
}

fn check_resource(resource: &Fields<'_>, packaging: Packaging) -> Result<(), Wrong> {
    if let Some(assets) = resource.object("assets")? {
        assets.object("uris")?.map_or(Ok(()), |uris| uris.all_texts())?;
        if let Some(container) = assets.object("container")? {
            container.required_object("docker")?.all_texts()?;
        }
    }
    if let Some(images) = resource.object("images")? {
        for icon in ["icon-small", "icon-medium", "icon-large"] {
            images.text(icon)?;
        }
        images.texts("screenshots")?;
    }
    if packaging == Packaging::V2 {
        return Ok(());
    }
    let Some(cli) = resource.object("cli")? else { return Ok(()) };
    let Some(binaries) = cli.object("binaries")? else { return Ok(()) };
    for platform in ["windows", "linux", "darwin"] {
        if let Some(platform) = binaries.object(platform)? {
            binary(&platform.required_object("x86-64")?)?;
        }
    }
    Ok(())
}

fn binary(binary: &Fields<'_>) -> Result<(), Wrong> {
    binary.required_text("kind")?;
    binary.required_text("url")?;
    let hashes = binary.list("contentHash")?;
    binary.required("contentHash", hashes)?;
    binary.each("contentHash", |hash| {
        hash.required_text("algo")?;
        hash.required_text("value").map(drop)
    })
}
