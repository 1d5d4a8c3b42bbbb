//! What is about the service itself.

use http::{HeaderValue, Method, StatusCode, header};
use http_kit::{Response, respond};
use marathon_model::ModelError;
use serde_json::{Value, json};
use std::time::Duration;

use super::{Answer, Api, Context, Problem, document, route::Route};
use crate::render::metrics;

/// What clients that ask for features by version are told: the original's last one.
const VERSION: &str = "1.11.24";
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
/// A raised log level falls back after a day, if nobody says earlier.
const RAISED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

const HELP: &str = "\
Marathon's REST API, as Dais serves it:

GET POST PUT PATCH         /v2/apps
GET PUT PATCH DELETE       /v2/apps/{id}
POST                       /v2/apps/{id}/restart
GET DELETE                 /v2/apps/{id}/tasks
DELETE                     /v2/apps/{id}/tasks/{task}
GET                        /v2/apps/{id}/versions[/{version}]
GET POST PUT PATCH DELETE  /v2/groups[/{id}]
GET                        /v2/groups/{id}/apps
GET                        /v2/groups/{id}/versions[/{version}]
GET                        /v2/tasks
POST                       /v2/tasks/delete
GET                        /v2/queue
DELETE                     /v2/queue/{id}/delay
GET                        /v2/deployments
DELETE                     /v2/deployments/{id}
GET                        /v2/events
GET                        /v2/info
GET DELETE                 /v2/leader
GET                        /v2/plugins
GET                        /ping /metrics /metrics/prometheus /config /help
GET POST                   /logging

Every write takes dryRun=true and then tells what it would do.
";

impl Api {
    pub(super) fn system(&self, route: Route, context: &Context) -> Answer {
        match route {
            Route::Start => Ok(start()),
            Route::Ping => Ok(ping(context)),
            Route::Metrics => Ok(document(&metrics::json(&self.view(), &self.numbers.read()))),
            Route::Prometheus => self.prometheus(),
            Route::Logging if context.method == Method::POST => self.set_level(context),
            Route::Logging => Ok(document(&json!({"ROOT": self.level()}))),
            Route::Config => Ok(document(&self.flags())),
            Route::Help => Ok(respond::with_body(StatusCode::OK, PLAIN, HELP)),
            Route::Info => Ok(document(&self.info())),
            Route::Leader if context.method == Method::DELETE => Ok(self.abdicate(context)),
            Route::Leader => Ok(document(&json!({"leader": self.handle.info().leader}))),
            Route::Plugins => Ok(document(&json!({"plugins": []}))),
            Route::Pods => Err(Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "Pods are not implemented yet: only apps are.",
            )),
            _ => Err(Problem::not_found("URI not found")),
        }
    }

    fn prometheus(&self) -> Answer {
        if !self.handle.info().config.metrics_prometheus {
            return Err(Problem::not_found("Prometheus reporter is disabled"));
        }
        let text = metrics::prometheus(&self.view(), &self.numbers.read());
        Ok(respond::with_body(StatusCode::OK, PLAIN, text))
    }

    fn info(&self) -> Value {
        let view = self.view();
        let info = self.handle.info();
        let hostname = info.leader.rsplit_once(':').map_or(info.leader.as_str(), |(host, _)| host);
        let ui = view.master.as_ref().map(|master| format!("http://{master}/"));
        json!({
            "name": "marathon",
            "version": VERSION,
            "buildref": concat!("dais-", env!("CARGO_PKG_VERSION")),
            "elected": true,
            "leader": info.leader,
            "frameworkId": view.framework_id.as_deref(),
            "marathon_config": info.config.marathon_config(hostname, ui.as_deref()),
            "zookeeper_config": info.config.zookeeper_config(),
            "http_config": {
                "http_port": info.address.port(),
                "https_port": info.config.https_port,
            },
        })
    }

    /// The flags, by their names.
    fn flags(&self) -> Value {
        let info = self.info();
        let mut flags = serde_json::Map::new();
        for part in ["marathon_config", "zookeeper_config", "http_config"] {
            let values = info.get(part).and_then(Value::as_object).into_iter().flatten();
            flags.extend(values.map(|(name, value)| (name.clone(), value.clone())));
        }
        Value::Object(flags)
    }

    /// There is nobody to lead instead: the session with Mesos begins anew.
    fn abdicate(&self, context: &Context) -> Response {
        if !context.query.flag("dryRun", false) {
            self.handle.abdicate();
        }
        document(&json!({"message": "Leadership abdicated"}))
    }

    fn level(&self) -> &'static str {
        match self.handle.info().config.logging.level() {
            0 => "INFO",
            1 => "DEBUG",
            _ => "TRACE",
        }
    }

    /// Raises or lowers the level of everything: there is one logger.
    fn set_level(&self, context: &Context) -> Answer {
        let body: Value = serde_json::from_slice(&context.body)
            .map_err(|error| ModelError::broken_json(error.to_string()))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (logger, level) = (text("logger"), text("level").to_lowercase());
        if logger.is_empty() {
            return Err(ModelError::invalid("/logger", "must not be empty").into());
        }
        let verbosity = match level.as_str() {
            "off" | "error" | "warn" | "info" => 0,
            "debug" => 1,
            "trace" => 2,
            _ => {
                let text = "error.unknown.enum.literal";
                let violation = marathon_model::Violation::new("/level", text);
                return Err(ModelError::wrong_shape(&[violation]).into());
            }
        };
        let seconds = body.get("durationSeconds").and_then(Value::as_u64);
        let duration = seconds.map_or(RAISED_FOR, Duration::from_secs).min(RAISED_FOR);
        self.handle.info().config.logging.set(verbosity, duration);
        Ok(document(&body))
    }
}

/// To where the page will be.
fn start() -> Response {
    let mut response = respond::status(StatusCode::FOUND);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/ui/"));
    response
}

/// The answer in whatever form is accepted.
fn ping(context: &Context) -> Response {
    let accept = context.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accepted: Vec<&str> = accept
        .unwrap_or("*/*")
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .collect();
    let accepts = |kinds: &[&str]| accepted.iter().any(|range| kinds.contains(range));
    if accepts(&["*/*", "text/*", "text/plain"]) {
        respond::with_body(StatusCode::OK, PLAIN, "pong")
    } else if accepts(&["text/html"]) {
        respond::html("pong")
    } else if accepts(&["application/json", "application/*"]) {
        respond::json("\"pong\"")
    } else {
        respond::status(StatusCode::NO_CONTENT)
    }
}
