//! Services that run on the cluster, each below `/service/<id>/` of the gateway; without a
//! gateway, where Marathon says that they run.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_kit::Client;
use serde_json::Value;
use universe::MediaType;

use super::marathon::{App, Marathon};
use super::{Authorization, Outgoing, Peer, expect_ok, json_of, path_of};
use crate::error::Failure;
use crate::fields::absolute;
use crate::http::Session;

/// As errors name whoever leads to services.
const NAME: &str = "adminRouter";

/// The way to running services.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    gateway: Option<String>,
    marathon: Marathon,
    /// For what is handed on to managers.
    client: Client,
    /// For questions, whose answers are short.
    asker: Client,
}

/// Where a service is.
struct Found<'a> {
    base: String,
    /// Who it is told asks: an app at an address of its own could be anybody's.
    by: Authorization<'a>,
}

// === impl Services ===

impl Services {
    pub(crate) fn new(
        gateway: Option<String>,
        marathon: Marathon,
        client: Client,
        asker: Client,
    ) -> Services {
        Services { gateway, marathon, client, asker }
    }

    /// Where a service is; none where there is no such service, or it does not run.
    async fn locate<'a>(
        &self,
        id: &str,
        by: Authorization<'a>,
    ) -> Result<Option<Found<'a>>, Failure> {
        let id = absolute(id);
        if let Some(gateway) = &self.gateway {
            let base = format!("{}/service{}", gateway.trim_end_matches('/'), path_of(&id));
            return Ok(Some(Found { base, by }));
        }
        let base = self.marathon.find(&id, by).await?.as_ref().and_then(address);
        Ok(base.map(|base| Found { base, by: None }))
    }

    async fn get(
        &self,
        id: &str,
        path: String,
        by: Authorization<'_>,
    ) -> Result<Response<Bytes>, Failure> {
        let Some(Found { base, by }) = self.locate(id, by).await? else { return Ok(no_service()) };
        let peer = Peer::new(NAME, &base, self.asker.clone());
        peer.send(Outgoing::new(Method::GET, path, by)).await
    }

    /// The framework ids that a service built with the SDK has.
    pub(crate) async fn framework_ids(
        &self,
        id: &str,
        version: &str,
        by: Authorization<'_>,
    ) -> Result<Vec<String>, Failure> {
        let path = format!("{}/state/frameworkId", path_of(version));
        let response = self.get(id, path.clone(), by).await?;
        expect_ok(&Method::GET, &path, &response)?;
        let found = json_of(&response)?;
        let ids = found.as_array().into_iter().flatten();
        Ok(ids.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Whether such a service's plan to deploy is complete; while it uninstalls itself, whether
    /// it has done so.
    pub(crate) async fn is_deployed(
        &self,
        id: &str,
        version: &str,
        by: Authorization<'_>,
    ) -> Result<bool, Failure> {
        let path = format!("{}/plans/deploy", path_of(version));
        Ok(self.get(id, path, by).await?.status() == StatusCode::OK)
    }

    /// Hands a request on to a package manager that runs as a service.
    pub(crate) async fn forward(
        &self,
        id: &str,
        path: &str,
        types: (&MediaType, &MediaType),
        body: &Value,
        session: &Session,
    ) -> Result<Response<Bytes>, Failure> {
        let by = session.authorization.as_ref();
        let Some(Found { base, by }) = self.locate(id, by).await? else { return Ok(no_service()) };
        let peer = Peer::new(NAME, &base, self.client.clone());
        let mut call = Outgoing::new(Method::POST, path.to_owned(), by).json(body);
        if let Some((kind, _)) = &mut call.body {
            *kind = value(&types.0.to_string());
        }
        let origin = &session.origin;
        let (host, port) = match origin.host.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (origin.host.as_str(), None),
        };
        call = call
            .header(http::header::ACCEPT, value(&types.1.to_string()))
            .header(HeaderName::from_static("x-forwarded-proto"), value(&origin.scheme))
            .header(HeaderName::from_static("x-forwarded-host"), value(host));
        if let Some(port) = port {
            call = call.header(HeaderName::from_static("x-forwarded-port"), value(port));
        }
        peer.send(call).await
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// What a gateway answers for a service that it does not know.
fn no_service() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The address of an instance that runs, as the gateway would choose it.
fn address(app: &App) -> Option<String> {
    let scheme = app.label("DCOS_SERVICE_SCHEME").unwrap_or("http");
    let index = app.label("DCOS_SERVICE_PORT_INDEX").and_then(|text| text.parse::<usize>().ok());
    let task = app.tasks().iter().find(|task| {
        task.get("state").and_then(Value::as_str).is_none_or(|state| state == "TASK_RUNNING")
    })?;
    let host = task.get("host")?.as_str()?;
    let port = task.get("ports")?.get(index.unwrap_or_default())?.as_u64()?;
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}:{port}"))
}
