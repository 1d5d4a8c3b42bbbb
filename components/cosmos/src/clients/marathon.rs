//! Marathon, over its public API.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_kit::Client;
use serde_json::{Value, json};
use universe::{Object, Package, label};

use super::{Authorization, Outgoing, Peer, excerpt, expect_ok, json_of, parse, path_of};
use crate::error::{Failure, json_decoding};
use crate::fields::absolute;

/// An app as Marathon shows it.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) id: String,
    json: Object,
}

/// A deployment under way.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    /// The apps that it concerns.
    pub(crate) apps: Vec<String>,
}

// === impl App ===

impl App {
    fn new(json: Object) -> Option<App> {
        let id = absolute(json.get("id")?.as_str()?);
        Some(App { id, json })
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.json.get("labels")?.get(name)?.as_str()
    }

    pub(crate) fn env(&self) -> Object {
        self.json.get("env").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The instances, where they were asked for.
    pub(crate) fn tasks(&self) -> &[Value] {
        self.json.get("tasks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn package_name(&self) -> Option<&str> {
        self.label(label::NAME)
    }

    pub(crate) fn package_version(&self) -> Option<&str> {
        self.label(label::VERSION)
    }

    pub(crate) fn package_source(&self) -> Option<&str> {
        self.label(label::SOURCE)
    }

    /// The package that the app was made of. A label that does not hold one counts as none.
    pub(crate) fn package(&self) -> Option<Package> {
        let found = label::decode_definition(self.label(label::DEFINITION)?);
        found.inspect_err(|error| tracing::warn!(app = %self.id, %error, "not a package")).ok()
    }

    /// The options that the app was made with, as the user gave them.
    pub(crate) fn options(&self) -> Option<Object> {
        let found = label::decode_options(self.label(label::OPTIONS)?);
        found
            .inspect_err(|error| tracing::warn!(app = %self.id, %error, "no options"))
            .ok()
            .flatten()
    }
}

/// Marathon.
#[derive(Clone, Debug)]
pub(crate) struct Marathon(Peer);

// === impl Marathon ===

impl Marathon {
    pub(crate) fn new(base: &str, client: Client) -> Marathon {
        Marathon(Peer::new("marathon", base, client))
    }

    /// The apps that are installed packages, perhaps only those of one.
    pub(crate) async fn packages(
        &self,
        name: Option<&str>,
        by: Authorization<'_>,
    ) -> Result<Vec<App>, Failure> {
        // Marathon leaves the others out: there may be very many. A name that could mean
        // something in a selector is not put into one.
        let plain = |name: &&str| {
            let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
            !name.is_empty() && name.bytes().all(fits)
        };
        let selector = match name.filter(plain) {
            Some(name) => format!("{}%3D%3D{name}", label::NAME),
            None => label::NAME.to_owned(),
        };
        let found = self.0.get(&format!("v2/apps?label={selector}"), by).await?;
        let apps = found.get("apps").and_then(Value::as_array);
        let apps = apps.ok_or_else(|| undecoded("MarathonAppsResponse", "apps is missing"))?;
        let objects = apps.iter().filter_map(Value::as_object).cloned();
        Ok(objects.filter_map(App::new).collect())
    }

    /// One app, if there is such a one.
    pub(crate) async fn find(
        &self,
        id: &str,
        by: Authorization<'_>,
    ) -> Result<Option<App>, Failure> {
        let path = app_path(id);
        let response = self.0.send(Outgoing::new(Method::GET, path.clone(), by)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        expect_ok(&Method::GET, &path, &response)?;
        let app = json_of(&response)?.get("app").and_then(Value::as_object).cloned();
        let app = app.and_then(App::new);
        app.map(Some).ok_or_else(|| undecoded("MarathonAppResponse", "app is missing"))
    }

    pub(crate) async fn app(&self, id: &str, by: Authorization<'_>) -> Result<App, Failure> {
        self.find(id, by).await?.ok_or_else(|| Failure::marathon_app_not_found(id))
    }

    /// Creates an app; answers its id.
    pub(crate) async fn create(
        &self,
        app: Object,
        by: Authorization<'_>,
    ) -> Result<String, Failure> {
        let call = Outgoing::new(Method::POST, "v2/apps".to_owned(), by).json(&Value::Object(app));
        let response = self.0.send(call).await?;
        match response.status() {
            StatusCode::CONFLICT => Err(Failure::service_already_started()),
            status if status.is_client_error() => Err(refused(status, response.body())),
            status if status.is_server_error() => {
                tracing::warn!(%status, body = excerpt(response.body()), "Marathon failed");
                Err(Failure::marathon_bad_gateway(status))
            }
            _ => {
                let id = parse(response.body())?;
                let id = id.get("id").and_then(Value::as_str).map(absolute);
                id.ok_or_else(|| undecoded("MarathonApp", "id is missing"))
            }
        }
    }

    /// Replaces an app; answers the deployment's id.
    pub(crate) async fn replace(
        &self,
        id: &str,
        app: Object,
        by: Authorization<'_>,
    ) -> Result<String, Failure> {
        let path = format!("{}?force=true&partialUpdate=false", app_path(id));
        let call = Outgoing::new(Method::PUT, path, by).json(&Value::Object(app));
        let response = self.0.send(call).await?;
        match response.status() {
            StatusCode::OK => deployment_id(&response),
            // It was deleted meanwhile, and must not come back through us.
            StatusCode::CREATED => {
                let status = self.delete(id, true, by).await?;
                tracing::warn!(app = id, %status, "an app vanished while it was changed");
                Err(Failure::marathon_app_not_found(id))
            }
            _ => Err(Failure::unhandled(excerpt(response.body()))),
        }
    }

    /// Changes an app's environment, whatever is being deployed.
    pub(crate) async fn set_env(
        &self,
        id: &str,
        env: Object,
        by: Authorization<'_>,
    ) -> Result<Response<Bytes>, Failure> {
        let path = format!("{}?force=true", app_path(id));
        self.0.send(Outgoing::new(Method::PUT, path, by).json(&json!({ "env": env }))).await
    }

    pub(crate) async fn delete(
        &self,
        id: &str,
        force: bool,
        by: Authorization<'_>,
    ) -> Result<StatusCode, Failure> {
        let path = app_path(id) + if force { "?force=true" } else { "" };
        Ok(self.0.send(Outgoing::new(Method::DELETE, path, by)).await?.status())
    }

    /// The deployments under way.
    pub(crate) async fn deployments(
        &self,
        by: Authorization<'_>,
    ) -> Result<Vec<Deployment>, Failure> {
        let found = self.0.get("v2/deployments", by).await?;
        let all = found.as_array().ok_or_else(|| undecoded("List", "expected a list"))?;
        let apps = |one: &Value| -> Vec<String> {
            let apps = one.get("affectedApps").and_then(Value::as_array).into_iter().flatten();
            apps.filter_map(Value::as_str).map(absolute).collect()
        };
        let deployment = |one: &Value| {
            let id = one.get("id")?.as_str()?.to_owned();
            Some(Deployment { id, apps: apps(one) })
        };
        Ok(all.iter().filter_map(deployment).collect())
    }
}

/// The id of the deployment that an answer announces.
pub(crate) fn deployment_id(response: &Response<Bytes>) -> Result<String, Failure> {
    let found = parse(response.body())?;
    let id = found.get("deploymentId").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| undecoded("MarathonUpdateResponse", "deploymentId is missing"))
}

fn app_path(id: &str) -> String {
    format!("v2/apps{}", path_of(&absolute(id)))
}

/// A refusal in Marathon's own words.
fn refused(status: StatusCode, body: &[u8]) -> Failure {
    tracing::warn!(%status, body = excerpt(body), "Marathon refused");
    let Ok(Value::Object(error)) = serde_json::from_slice(body) else {
        return Failure::marathon_generic(status);
    };
    let details = error.get("details").filter(|details| !details.is_null());
    let objects = |list: &Vec<Value>| list.iter().all(Value::is_object);
    let good = details.is_none_or(|details| details.as_array().is_some_and(objects));
    match (error.get("message").and_then(Value::as_str), good) {
        (Some(message), true) => Failure::marathon_bad_response(message, details.cloned()),
        _ => Failure::marathon_generic(status),
    }
}

fn undecoded(kind: &str, reason: &str) -> Failure {
    json_decoding(&format!("com.mesosphere.cosmos.thirdparty.marathon.model.{kind}"), reason, "")
}
