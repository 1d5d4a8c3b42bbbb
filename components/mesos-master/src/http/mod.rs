//! The master's HTTP interface; every path also answers below `/master`.
//!
//! Reads take a snapshot from the owner of the state and never stop it. What
//! would change what is not there yet (quota, weights, reservations, volumes,
//! maintenance, draining) answers 501 and says so.
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use http_body_util::BodyExt;
use http_kit::{
    Authentication, Credentials, Reply, Response, Routes,
    auth::CredentialsError,
    files::{self, VirtualFiles},
    permissions::Caller,
    respond,
    routes::Intercept,
    version::BuildInfo,
};
use libprocess::server::Inlet;
use mesos_messages::v1;

use crate::{
    handle::{MasterHandle, Stopped},
    model::Snapshot,
};

mod classic;
mod flags;
mod metrics;
mod operator;
mod pages;
mod permissions;
mod plans;
mod render;
pub mod scheduler;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

pub use permissions::TABLE as PERMISSIONS;

/// The id of the actor that answers all paths naming no other.
pub const ACTOR: &str = "master";
/// What endpoints that only tell ask credentials for.
pub const READONLY: &str = "mesos-master-readonly";
/// What endpoints that may change something ask credentials for.
pub const READWRITE: &str = "mesos-master-readwrite";
/// What the scheduler API asks credentials for.
pub const SCHEDULER: &str = "mesos-master-scheduler";
/// Largest body of a form.
const FORM_LIMIT: usize = 1 << 20;

/// What every handler can reach.
#[derive(Clone)]
pub struct HttpState {
    pub handle: MasterHandle,
    /// Where the master listens.
    pub address: SocketAddr,
    /// The files it shows.
    pub files: VirtualFiles,
    authentication: Authentication,
    build: BuildInfo,
    flags: BTreeMap<&'static str, String>,
    reads: Arc<render::Reads>,
    /// The roles of each scheduler's stream.
    schedulers: Arc<scheduler::Roles>,
}

impl HttpState {
    /// Reads the credentials file, if the configuration names one.
    pub fn new(handle: MasterHandle, address: SocketAddr) -> Result<HttpState, CredentialsError> {
        let config = Arc::clone(handle.config());
        let credentials = match &config.credentials {
            Some(path) => Credentials::load(path)?,
            None => Credentials::default(),
        };
        let credentials = Arc::new(credentials);
        let mut authentication = Authentication::default();
        for (closed, realm) in [
            (config.authenticate_http_readonly, READONLY),
            (config.authenticate_http_readwrite, READWRITE),
            (config.authenticate_http_frameworks, SCHEDULER),
        ] {
            if closed {
                authentication = authentication.require(realm, Arc::clone(&credentials));
            }
        }
        let files = VirtualFiles::default();
        if let Some(log) = &config.log_file {
            files.attach("/master/log", log);
        }
        Ok(HttpState {
            handle,
            address,
            files,
            authentication,
            build: BuildInfo::of_program(&config.version),
            flags: flags::flags(&config, address.port()),
            reads: Arc::default(),
            schedulers: Arc::default(),
        })
    }
}

impl HttpState {
    /// The principal of a framework, whose permission to remove it is asked for; empty where
    /// there is none, or nothing is judged.
    async fn principal_of(&self, framework: &str, caller: &Caller) -> Result<String, Response> {
        if caller.is_free() {
            return Ok(String::new());
        }
        let snapshot = self.snapshot().await.map_err(|_| stopped())?;
        let mut frameworks = snapshot.frameworks.iter().map(|view| &view.framework);
        let found = frameworks.find(|known| &*known.id == framework);
        Ok(found.and_then(|known| known.info.principal.clone()).unwrap_or_default())
    }
}

impl HttpState {
    /// The state now.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Stopped> {
        self.reads.snapshot(&self.handle).await
    }
}

/// All endpoints; what is a libprocess message goes to `inlet` first.
pub fn routes(state: &Arc<HttpState>, inlet: Inlet) -> Routes {
    plain_routes(state).intercept(intercept(inlet))
}

/// All endpoints.
fn plain_routes(state: &Arc<HttpState>) -> Routes {
    let mut routes = Routes::new(ACTOR)
        .authenticate(state.authentication.clone())
        .guard(state.handle.config().guard.clone(), &PERMISSIONS);
    routes.add(scheduler::endpoint(Arc::clone(state)));
    routes.add(operator::endpoint(state));
    classic::endpoints(state).into_iter().for_each(|endpoint| routes.add(endpoint));
    files::endpoints(&state.files, READONLY).into_iter().for_each(|endpoint| routes.add(endpoint));
    pages::add(&mut routes, state);
    routes.add(metrics::snapshot(state));
    let counters: metrics::Counters = Arc::new(routes.counters());
    routes.add(metrics::text(state, counters));
    pages::add_help(&mut routes);
    routes
}

/// Hands libprocess messages over; what was received is delivered even when the
/// sender closes right behind it.
fn intercept(inlet: Inlet) -> Intercept {
    Arc::new(move |request, peer| {
        if !inlet.claims(request.method(), request.headers()) {
            return Err(request);
        }
        let inlet = inlet.clone();
        Ok(Reply::detached(async move {
            let (parts, body) = request.into_parts();
            let answer = inlet.receive(&parts, body, peer.ip()).await;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map(|all| all.to_bytes()).unwrap_or_default();
            Response::from_parts(head, body.into())
        }))
    })
}

/// The answer while the master stops.
fn stopped() -> Response {
    respond::unavailable("The master is stopping")
}

/// The answer to a write that is not there yet.
fn unsupported(what: &str) -> Response {
    respond::not_implemented(format!("This master does not support changing {what} yet"))
}

fn capability_names(info: &v1::MasterInfo) -> impl Iterator<Item = &'static str> {
    info.capabilities
        .iter()
        .filter_map(|c| v1::master_info::capability::Type::try_from(c.r#type?).ok())
        .map(|capability| capability.as_str_name())
}
