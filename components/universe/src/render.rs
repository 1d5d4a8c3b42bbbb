//! The Marathon app that a package becomes.

use serde_json::Value;

use crate::mustache::{self, Template, TemplateError};
use crate::package::Definition;
use crate::schema::{self, SchemaError};
use crate::{Object, Package, label, options};

/// Why a package cannot be rendered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RenderError {
    #[error("Options JSON failed validation")]
    Schema(Vec<Value>),
    #[error("the package's config.json is no schema: {0}")]
    UnusableSchema(String),
    #[error("No schema available to validate the provided options")]
    OptionsNotAllowed,
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Rendering(#[from] mustache::RenderError),
    #[error("Unable to parse the string as a JSON value")]
    NotJson { reason: String, text: String },
    #[error("Rendered Marathon JSON must be a JSON object")]
    NotAnObject,
    #[error("Unable to decode the JSON value as a scala.collection.immutable.Map")]
    Labels { reason: String, text: String },
}

/// Renders `package` from the repository at `source`: defaults and options checked against the
/// schema, the template filled in, the labels added by which the package is known later. None
/// where the package has nothing to run. `app_id` replaces the id of the template.
pub fn marathon_app(
    package: &Package,
    source: &str,
    user: Option<&Object>,
    app_id: Option<&str>,
) -> Result<Option<Object>, RenderError> {
    let definition = package.definition();
    let Some(template) = definition.template() else { return Ok(None) };
    let mut context = options::resolve(definition.config(), user);
    check(definition.config(), &context)?;
    if let Some(resource) = definition.resource() {
        let mut above = Object::new();
        above.insert("resource".to_owned(), Value::Object(resource.clone()));
        options::merge(&mut context, &above);
    }
    let text = Template::parse(&template)?.render(&context)?;
    let mut app = parse(text)?;
    add_labels(&mut app, package, source, user)?;
    if let Some(id) = app_id {
        app.insert("id".to_owned(), id.into());
    }
    Ok(Some(app))
}

/// Checks options with their defaults. Where there are none at all nothing is checked, as in
/// the original, not even what the schema requires.
fn check(config: Option<&Object>, options: &Object) -> Result<(), RenderError> {
    match config {
        _ if options.is_empty() => Ok(()),
        None => Err(RenderError::OptionsNotAllowed),
        Some(schema) => schema::validate(schema, options).map_err(|error| match error {
            SchemaError::Violations(violations) => RenderError::Schema(violations),
            SchemaError::Unusable(reason) => RenderError::UnusableSchema(reason),
        }),
    }
}

fn parse(text: String) -> Result<Object, RenderError> {
    match serde_json::from_str(&text) {
        Ok(Value::Object(app)) => Ok(app),
        Ok(_) => Err(RenderError::NotAnObject),
        Err(error) => Err(RenderError::NotJson { reason: error.to_string(), text }),
    }
}

fn add_labels(
    app: &mut Object,
    package: &Package,
    source: &str,
    user: Option<&Object>,
) -> Result<(), RenderError> {
    let wrong = |reason: &str| RenderError::Labels {
        reason: reason.to_owned(),
        text: Value::Object(app.clone()).to_string(),
    };
    let mut labels = match app.get("labels") {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(labels)) if labels.values().all(Value::is_string) => labels.clone(),
        Some(Value::Object(_)) => return Err(wrong("labels: String value expected")),
        Some(_) => return Err(wrong("labels: expected an object")),
    };
    let empty = Object::new();
    for (name, value) in [
        (label::NAME, package.name().to_owned()),
        (label::VERSION, package.version().to_owned()),
        (label::SOURCE, source.to_owned()),
        (label::OPTIONS, label::encode_options(user.unwrap_or(&empty))),
        (label::DEFINITION, label::encode_definition(package)),
    ] {
        labels.insert(name.to_owned(), value.into());
    }
    app.insert("labels".to_owned(), Value::Object(labels));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn package(template: Option<&str>, more: Value) -> Package {
        let mut value = json!({
            "packagingVersion": "3.0", "name": "test", "version": "1.2.3", "releaseVersion": 0,
            "maintainer": "m", "description": "d", "tags": [],
        });
        let object = value.as_object_mut().unwrap();
        if let Some(template) = template {
            let encoded = STANDARD.encode(template);
            object.insert("marathon".into(), json!({"v2AppMustacheTemplate": encoded}));
        }
        object.extend(more.as_object().unwrap().clone());
        Package::from_slice(value.to_string().as_bytes()).unwrap()
    }

    fn render(package: &Package, options: Option<Value>) -> Result<Option<Object>, RenderError> {
        let options = options.map(|options| options.as_object().unwrap().clone());
        marathon_app(package, "http://r", options.as_ref(), None)
    }

    #[test]
    fn what_wins_over_what() {
        let template = r#"{"id": "{{opt.id}}", "uri": "{{resource.assets.uris.blob}}",
            "labels": {"DCOS_PACKAGE_NAME": "{{opt.name}}", "own": "{{opt.own}}"}}"#;
        let schema = json!({"properties": {"opt": {"properties": {
            "id": {"default": "default"}, "own": {"default": "kept"}}}}});
        let resource = json!({"assets": {"uris": {"blob": "http://a/blob"}}});
        let package = package(Some(template), json!({"config": schema, "resource": resource}));
        let options = json!({
            "opt": {"id": "mine", "name": "other"},
            "resource": {"assets": {"uris": {"blob": "mine"}}},
        });
        let object = options.as_object().unwrap();
        let app =
            marathon_app(&package, "http://r", Some(object), Some("/override")).unwrap().unwrap();
        assert_eq!(app["id"], "/override");
        assert_eq!(app["uri"], "http://a/blob");
        let labels = app["labels"].as_object().unwrap();
        assert_eq!(labels["own"], "kept");
        assert_eq!(labels[label::NAME], "test");
        assert_eq!(labels[label::VERSION], "1.2.3");
        assert_eq!(labels[label::SOURCE], "http://r");
        let stored = label::decode_options(labels[label::OPTIONS].as_str().unwrap()).unwrap();
        assert_eq!(stored.as_ref(), Some(object));
        let stored = label::decode_definition(labels[label::DEFINITION].as_str().unwrap()).unwrap();
        assert_eq!(stored, package);
    }

    #[test]
    fn a_package_without_template_renders_to_nothing() {
        assert_eq!(render(&package(None, json!({})), None), Ok(None));
    }

    #[test]
    fn options_need_a_schema_and_must_fit_it() {
        let plain = package(Some("{}"), json!({}));
        assert!(render(&plain, None).is_ok());
        assert_eq!(render(&plain, Some(json!({"a": 1}))), Err(RenderError::OptionsNotAllowed));
        let schema = json!({"required": ["b"], "properties": {"a": {"type": "integer"}}});
        let strict = package(Some("{}"), json!({"config": schema}));
        // Nothing at all is not checked.
        assert!(render(&strict, None).is_ok());
        assert!(render(&strict, Some(json!({"a": 1, "b": 2}))).is_ok());
        let Err(RenderError::Schema(violations)) = render(&strict, Some(json!({"a": "1"}))) else {
            panic!("not checked")
        };
        assert_eq!(violations.len(), 2);
    }

    #[test]
    fn the_text_must_be_an_object_with_textual_labels() {
        let error = |template| render(&package(Some(template), json!({})), None).unwrap_err();
        assert!(matches!(error(r#"{"id": "broken""#), RenderError::NotJson { .. }));
        assert_eq!(error(r#"["a"]"#), RenderError::NotAnObject);
        assert!(matches!(error(r#"{"labels": {"a": 0}}"#), RenderError::Labels { .. }));
        assert!(matches!(error(r#"{"labels": []}"#), RenderError::Labels { .. }));
        assert!(matches!(error("{{#a}}"), RenderError::Template(_)));
    }
}
