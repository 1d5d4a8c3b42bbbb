//! Trying ways: connections, questions to the name server, requests.

use super::ways::{Probe, Way};
use crate::context::Context;
use crate::json::{list, some_text};
use crate::server::{Server, path};
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use http_kit::Client;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a way may take before it counts as one that does not work.
const PATIENCE: Duration = Duration::from_secs(3);
/// Ways tried at once.
const AT_ONCE: usize = 32;

/// What came of trying a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) works: bool,
    pub(super) said: String,
}

/// What ways are tried with.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    names: Result<Server, String>,
    gateway: Option<Server>,
    client: Client,
}

// === impl Probes ===

impl Probes {
    pub(super) fn new(context: &mut Context) -> anyhow::Result<Probes> {
        let names = context.names().map_err(|error| error.to_string());
        let gateway = match context.cluster()?.front() {
            Some(url) => Some(context.server("the gateway", &url)?),
            None => None,
        };
        Ok(Probes { names, gateway, client: context.client()? })
    }

    /// What came of each, in their order.
    pub(super) async fn all(&self, ways: &[Way]) -> Vec<Found> {
        let mut found: Vec<Option<Found>> = vec![None; ways.len()];
        let mut waiting = ways.iter().enumerate();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && let Some((index, way)) = waiting.next()
            {
                let (probes, probe) = (self.clone(), way.probe.clone());
                running.spawn(async move { (index, probes.one(&probe).await) });
            }
            let Some(ended) = running.join_next().await else { break };
            if let Ok((index, one)) = ended
                && let Some(place) = found.get_mut(index)
            {
                *place = Some(one);
            }
        }
        let missing = || Found { works: false, said: "it could not be tried".to_owned() };
        found.into_iter().map(|one| one.unwrap_or_else(missing)).collect()
    }

    async fn one(&self, probe: &Probe) -> Found {
        let tried = timeout(PATIENCE, self.attempt(probe)).await;
        match tried.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
            Ok(said) => Found { works: true, said },
            Err(said) => Found { works: false, said },
        }
    }

    async fn attempt(&self, probe: &Probe) -> Result<String, String> {
        match probe {
            Probe::Connect(address) => connect(address).await,
            Probe::Hosts(name) => Ok(self.hosts(name).await?.join(", ")),
            Probe::Services(name) => self.services(name).await,
            Probe::Virtual { name, port } => {
                let hosts = self.hosts(name).await?;
                let host = hosts.first().ok_or("it has no address")?;
                let said = connect(&format!("{host}:{port}")).await;
                said.map(|said| format!("{host}: {said}")).map_err(|said| format!("{host}: {said}"))
            }
            Probe::Get { url, host } => self.get(url, host.as_deref()).await,
        }
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        self.names.as_ref()?.get(path).await.map_err(|error| first_line(&error.to_string()))
    }

    async fn hosts(&self, name: &str) -> Result<Vec<String>, String> {
        let answer = self.ask(&format!("/v1/hosts/{}", path(name))).await?;
        let hosts = list(&answer, "").iter().filter_map(|one| some_text(one, "/ip"));
        let hosts: Vec<String> = hosts.map(str::to_owned).collect();
        if hosts.is_empty() { Err("there is no such name".to_owned()) } else { Ok(hosts) }
    }

    async fn services(&self, name: &str) -> Result<String, String> {
        let answer = self.ask(&format!("/v1/services/{}", path(name))).await?;
        let places = list(&answer, "").iter().filter_map(|one| {
            Some(format!("{}:{}", some_text(one, "/ip")?, some_text(one, "/port")?))
        });
        let places: Vec<String> = places.collect();
        if places.is_empty() {
            return Err("there is no such name".to_owned());
        }
        Ok(places.join(", "))
    }

    /// Any answer of the service itself is one; a gateway's own page about a missing one is not.
    async fn get(&self, url: &str, host: Option<&str>) -> Result<String, String> {
        let answer = match (host, &self.gateway) {
            (None, Some(gateway)) => {
                let below = url.strip_prefix(gateway.base()).unwrap_or("/");
                let answer = gateway.ask(Method::GET, below, None).await;
                answer.map_err(|error| first_line(&error.to_string()))?
            }
            _ => {
                let mut request = Request::new(Full::default());
                *request.uri_mut() = url.parse().map_err(|_| "it is not a URL".to_owned())?;
                if let Some(host) = host {
                    let host = HeaderValue::from_str(host).map_err(|error| error.to_string())?;
                    request.headers_mut().insert(header::HOST, host);
                }
                self.client.fetch(request).await.map_err(|error| error.to_string())?
            }
        };
        let status = answer.status();
        match status.is_server_error() || status.as_u16() == 404 {
            true => Err(status.to_string()),
            false => Ok(status.to_string()),
        }
    }
}

async fn connect(address: &str) -> Result<String, String> {
    match TcpStream::connect(address).await {
        Ok(_) => Ok("connected".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
