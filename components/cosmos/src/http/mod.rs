//! The API's outside: paths, media types, bodies, errors.

mod metrics;
mod negotiate;
pub(crate) mod permissions;
mod route;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_kit::negotiate::accepts_gzip;
use http_kit::origin::is_foreign_write;
use http_kit::permissions::Caller;
use http_kit::{Params, Reply, Request, Response, Service, gzip, respond};
use serde_json::Value;
use universe::{MediaType, Object, describe};

use self::metrics::Counters;
pub(crate) use self::negotiate::{Session, Types};
use self::permissions::TABLE;
use self::route::{Route, find};
use crate::Cosmos;
use crate::error::Failure;
use crate::handlers::{self, Answer};
use crate::repositories::Listed;

/// The media type of every error.
pub(crate) const ERROR: &str = "vnd.dcos.package.error";
/// The largest body of a request.
const MAX_BODY: usize = 5 * 1024 * 1024;

/// Answers requests.
pub(crate) struct Api {
    cosmos: Arc<Cosmos>,
    counters: Arc<Counters>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(cosmos: Arc<Cosmos>) -> Api {
        Api { cosmos, counters: Arc::new(Counters::new()) }
    }
}

impl Service for Api {
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        let Some(found) = find(request.method(), request.uri().path()) else {
            return Reply::Now(respond::status(StatusCode::NOT_FOUND));
        };
        let (route, name, prefix) = (found.route, found.name, found.prefix.to_owned());
        let (cosmos, counters) = (Arc::clone(&self.cosmos), Arc::clone(&self.counters));
        let judged = judge(&cosmos, name, &request, peer);
        // What was asked for is done even when the client leaves: an install that stops half
        // way would leave nobody knowing.
        Reply::detached(async move {
            let (gzip, started) = (accepts_gzip(request.headers()), Instant::now());
            let response = match (judged, route) {
                (Err(failure), _) => Err(failure),
                (Ok(()), Route::Resource) => {
                    handlers::resource(&cosmos, request.into_parts().0.uri).await
                }
                (Ok(()), Route::Call(call)) => answer(&cosmos, call, prefix, request).await,
                (Ok(()), Route::Metrics) => metrics(&cosmos, &counters).await,
                (Ok(()), Route::Health) => Ok(respond::json("{\"healthy\":true}")),
            };
            let response = response.unwrap_or_else(|failure| {
                tracing::info!(kind = failure.kind, message = %failure.message, "refused");
                error(&failure)
            });
            counters.count(name, response.status(), started.elapsed());
            if gzip && gzip::applies(&response) { gzip::compress(response).await } else { response }
        })
    }
}

/// Whether whoever asks may make this call.
fn judge(cosmos: &Cosmos, name: &str, request: &Request, peer: SocketAddr) -> Result<(), Failure> {
    let (method, headers) = (request.method(), request.headers());
    if is_foreign_write(method, headers, &[]) {
        return Err(Failure::foreign());
    }
    if TABLE.is_public(method, name) {
        return Ok(());
    }
    let caller = Caller::of_request(&cosmos.config.guard, headers, peer);
    let judged = caller.and_then(|caller| TABLE.judge_door(method, name, &caller));
    judged.map_err(Failure::refused)
}

async fn metrics(cosmos: &Cosmos, counters: &Counters) -> Result<Response, Failure> {
    let with_status = |listed: Listed| {
        let status = cosmos.repositories.status(&listed.uri);
        (listed, status)
    };
    let all: Vec<_> = cosmos.repositories.list().await?.into_iter().map(with_status).collect();
    Ok(counters.answer(&all))
}

async fn answer(
    cosmos: &Arc<Cosmos>,
    call: handlers::Call,
    prefix: String,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let types = call.types();
    let checked = negotiate::head(&head, &types, prefix);
    let body = match types.requests.is_empty() {
        true => Ok(Value::Null),
        false => match http_kit::read_body(body, MAX_BODY).await {
            Ok(bytes) => negotiate::body(&bytes),
            Err(refused) => return Ok(refused),
        },
    };
    // A call's fields are errors of the body, told together with those of the head.
    let query = Params::of(&head.uri);
    let prepared = body.and_then(|body| call.read(body, &query));
    let (session, response_type, request) = negotiate::together(checked, prepared)?;
    let answer = handlers::run(cosmos, &session, request).await?;
    render(answer, &types.responses, response_type)
}

/// Puts an answer into the form that the client asked for.
fn render(answer: Answer, types: &[MediaType], chosen: usize) -> Result<Response, Failure> {
    let media = types.get(chosen).ok_or_else(|| Failure::unhandled("no such media type"))?;
    let body = match answer {
        Answer::Plain(body) => body,
        Answer::Forms(forms) => {
            let form = forms.into_iter().nth(chosen);
            form.unwrap_or_else(|| Err(Failure::unhandled("no such form")))?
        }
    };
    Ok(json(StatusCode::OK, media, body))
}

fn json(status: StatusCode, media: &MediaType, mut body: Object) -> Response {
    describe::drop_nulls(&mut body);
    let kind = HeaderValue::from_str(&media.to_string());
    let kind = kind.unwrap_or(HeaderValue::from_static("application/json"));
    respond::with_body(status, kind, Value::Object(body).to_string())
}

fn error(failure: &Failure) -> Response {
    let mut response = json(failure.status, &MediaType::vendor(ERROR, 1), failure.body());
    if let Some((name, value)) = &failure.header {
        response.headers_mut().insert(name, value.clone());
    }
    debug_assert!(response.headers().contains_key(CONTENT_TYPE));
    response
}
