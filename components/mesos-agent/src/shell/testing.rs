//! Stand-ins for tests: containers without processes, a master without decisions.
#![allow(clippy::unwrap_used)]

use super::runtime::{BoxFuture, Runtime};
use crate::core::ContainerEnd;
use http_body_util::BodyExt;
use http_kit::{Reply, Request, Response, Routes, ServeConfig, serve};
use libprocess::{
    Inbound, Outbox, OutboxConfig, Upid,
    server::{Inlet, InletConfig},
};
use mesos_containerizer::{ContainerConfig, ResourceLimits};
use mesos_fetcher::FetchRequest;
use mesos_messages::{content, json::JsonMessage, v1};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

/// Containers that are only remembered. Outlives the agents that use it, as processes do.
pub(crate) struct FakeRuntime {
    containers: Mutex<BTreeMap<String, Fake>>,
    launches: mpsc::Sender<ContainerConfig>,
    /// What `recover` waits for.
    pub(crate) gate: watch::Sender<bool>,
    pub(crate) statistics: Mutex<Option<v1::ResourceStatistics>>,
    pub(crate) status: Mutex<Option<v1::ContainerStatus>>,
}

struct Fake {
    end: watch::Sender<Option<ContainerEnd>>,
}

impl FakeRuntime {
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<ContainerConfig>) {
        let (launches, launched) = mpsc::channel(64);
        let runtime = Self {
            containers: Mutex::default(),
            launches,
            gate: watch::Sender::new(true),
            statistics: Mutex::default(),
            status: Mutex::default(),
        };
        (Arc::new(runtime), launched)
    }

    /// Lets a container end.
    pub(crate) fn end(&self, id: &str, end: ContainerEnd) {
        if let Some(fake) = self.containers.lock().unwrap().get(id) {
            fake.end.send_replace(Some(end));
        }
    }

    pub(crate) fn is_gone(&self, id: &str) -> bool {
        !self.containers.lock().unwrap().contains_key(id)
    }
}

impl Runtime for FakeRuntime {
    fn recover(&self, known: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async move {
            self.gate.subscribe().wait_for(|open| *open).await.unwrap();
            let mut containers = self.containers.lock().unwrap();
            containers.retain(|id, _| known.contains(id));
            Ok(containers.keys().cloned().collect())
        })
    }

    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { Err(format!("{} URIs cannot be fetched", request.uris.len())) })
    }

    fn launch(&self, container: ContainerConfig) -> BoxFuture<'_, Result<u32, String>> {
        Box::pin(async move {
            let fake = Fake { end: watch::Sender::new(None) };
            self.containers.lock().unwrap().insert(container.container_id.value.clone(), fake);
            self.launches.send(container).await.map_err(|error| error.to_string())?;
            Ok(4711)
        })
    }

    fn wait(&self, id: String) -> BoxFuture<'_, ContainerEnd> {
        Box::pin(async move {
            let end = self.containers.lock().unwrap().get(&id).map(|fake| fake.end.subscribe());
            let Some(mut end) = end else { return ContainerEnd::default() };
            let ended = end.wait_for(Option::is_some).await;
            ended.map(|end| end.clone().unwrap_or_default()).unwrap_or_default()
        })
    }

    fn destroy(&self, id: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.end(&id, ContainerEnd { status: Some(9), ..Default::default() });
            Ok(())
        })
    }

    fn release(&self, id: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.containers.lock().unwrap().remove(&id);
        })
    }

    fn update(&self, _: String, _: ResourceLimits) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn usage(&self, _: String) -> BoxFuture<'_, Option<v1::ResourceStatistics>> {
        Box::pin(async { self.statistics.lock().unwrap().clone() })
    }

    fn status(&self, _: &str) -> Option<v1::ContainerStatus> {
        self.status.lock().unwrap().clone()
    }

    fn launcher(&self) -> &'static str {
        "posix"
    }
}

/// Something that speaks libprocess: a master, a scheduler, a v0 executor.
pub(crate) struct Peer {
    pub(crate) upid: Upid,
    outbox: Outbox,
    inbox: mpsc::Receiver<Inbound>,
    stop: CancellationToken,
}

impl Peer {
    pub(crate) async fn start(id: &str, address: SocketAddr) -> Self {
        let listener = bind(address).await;
        let upid = Upid::new(id, listener.local_addr().unwrap());
        let (sender, inbox) = mpsc::channel(256);
        let (exits, _) = mpsc::channel(16);
        let inlet = Inlet::new(InletConfig::default(), |_| true, sender);
        let routes = Routes::new(id).intercept(Arc::new(move |request: Request, peer| {
            if !inlet.claims(request.method(), request.headers()) {
                return Err(request);
            }
            let inlet = inlet.clone();
            Ok(Reply::detached(async move {
                let (parts, body) = request.into_parts();
                let (head, body) = inlet.receive(&parts, body, peer.ip()).await.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                Response::from_parts(head, body.into())
            }))
        }));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::new(routes), ServeConfig::default(), stop.clone()));
        Self { upid, outbox: Outbox::new(OutboxConfig::default(), exits), inbox, stop }
    }

    pub(crate) async fn master() -> Self {
        Self::start("master", SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) fn send<M: JsonMessage>(&self, to: &Upid, message: &M) {
        self.outbox.send(&self.upid, to, M::NAME, message.encode_to_vec()).unwrap();
    }

    /// The next message of this type; others before it are passed over.
    pub(crate) async fn receive<M: JsonMessage>(&mut self) -> (Upid, M) {
        let receive = async {
            loop {
                let message = self.inbox.recv().await.unwrap();
                if message.name == M::NAME {
                    return (message.from, content::decode_protobuf(&message.body).unwrap());
                }
            }
        };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, receive).await.unwrap_or_else(|_| {
            panic!("no {} came", M::NAME);
        })
    }

    /// Whether no message of this type comes for a while.
    pub(crate) async fn quiet<M: JsonMessage>(&mut self, wait: Duration) -> bool {
        let receive = async {
            while let Some(message) = self.inbox.recv().await {
                if message.name == M::NAME {
                    return;
                }
            }
        };
        tokio::time::timeout(wait, receive).await.is_err()
    }

    /// Dies: all its connections break.
    pub(crate) fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.upid.address
    }
}

/// A port that was in use a moment ago may need a moment.
async fn bind(address: SocketAddr) -> TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} stays taken");
}
