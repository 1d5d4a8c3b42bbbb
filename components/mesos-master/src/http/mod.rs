//! The master's HTTP interface; every path also answers below `/master`.
use std::{net::SocketAddr, sync::Arc};

use http_body_util::BodyExt;
use http_kit::{
    Authentication, Credentials, Endpoint, Reply, Routes, auth::CredentialsError,
    files::VirtualFiles, routes::Intercept,
};
use libprocess::server::Inlet;

use crate::handle::MasterHandle;

pub mod scheduler;

/// The id of the actor that answers all paths naming no other.
pub const ACTOR: &str = "master";
/// What endpoints that only tell ask credentials for.
pub const READONLY: &str = "mesos-master-readonly";
/// What endpoints that may change something ask credentials for.
pub const READWRITE: &str = "mesos-master-readwrite";
/// What the scheduler API asks credentials for.
pub const SCHEDULER: &str = "mesos-master-scheduler";

/// What every handler can reach.
#[derive(Clone)]
pub struct HttpState {
    pub handle: MasterHandle,
    /// Where the master listens.
    pub address: SocketAddr,
    /// The files it shows.
    pub files: VirtualFiles,
    authentication: Authentication,
}

impl HttpState {
    /// Reads the credentials file, if the configuration names one.
    pub fn new(handle: MasterHandle, address: SocketAddr) -> Result<HttpState, CredentialsError> {
        let config = handle.config();
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
        Ok(HttpState { handle, address, files, authentication })
    }
}

/// All endpoints; what is a libprocess message goes to `inlet` first.
pub fn routes(state: &Arc<HttpState>, inlet: Inlet) -> Routes {
    let mut routes =
        Routes::new(ACTOR).authenticate(state.authentication.clone()).intercept(intercept(inlet));
    routes.add(scheduler::endpoint(Arc::clone(state)));
    routes.add(Endpoint::ready(ACTOR, "/health", |_| http_kit::respond::ok()).help("Is it alive"));
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
            http_kit::Response::from_parts(head, body.into())
        }))
    })
}
