//! Follows the stream of virtual addresses: lines of JSON, everything in the first one.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::asking::{Ask, AskError, Backoff, Server};
use http_body_util::BodyExt;
use http_kit::guard::{Lines, TooLong};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use crate::names::{Names, VIPS};
use crate::zone::Zones;

const PATH: &str = "/v1/vips/stream";
/// Something comes at least every five seconds.
const PATIENCE: Duration = Duration::from_secs(16);

/// One name and its address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Vip {
    /// As in `web.marathon`.
    name: Box<str>,
    ip: IpAddr,
}

/// What a line says; several fields never come together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// All there are.
    vips: Option<Vec<Vip>>,
    put: Option<Vip>,
    gone: Option<Box<str>>,
}

#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("it was closed")]
    Closed,
    #[error("it broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {PATIENCE:?}")]
    Silent,
    #[error("a line cannot be read: {0}")]
    Line(#[from] serde_json::Error),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("nobody listens any more")]
    Unheard,
}

/// Follows until nobody listens. What was told stays when the stream ends.
pub(super) async fn run(ask: Arc<Ask>, server: Server, to: Sender<Told>) {
    let mut backoff = Backoff::default();
    loop {
        let mut has_begun = false;
        match follow(&ask, &server, &to, &mut has_begun).await {
            Err(End::Unheard) => return,
            Err(end) if has_begun => {
                backoff.reset();
                tracing::warn!(%server, reason = %end, "the stream of virtual addresses ended");
            }
            Err(end) => tracing::info!(%server, reason = %end, "no stream of virtual addresses"),
            Ok(never) => match never {},
        }
        sleep(backoff.pause()).await;
    }
}

async fn follow(
    ask: &Ask,
    server: &Server,
    to: &Sender<Told>,
    has_begun: &mut bool,
) -> Result<Infallible, End> {
    let request = |server: &Server| http::Request::get(server.url(PATH)).body(Default::default());
    let (_, mut stream) = ask.stream(server.clone(), request).await?;
    let mut lines = Lines::default();
    loop {
        let frame = timeout(PATIENCE, stream.frame()).await.map_err(|_| End::Silent)?;
        let Ok(piece) = frame.ok_or(End::Closed)??.into_data() else { continue };
        let mut all = Vec::new();
        lines.push(&piece, |line| {
            all.push(serde_json::from_slice(line)?);
            Ok::<(), End>(())
        })?;
        for told in all {
            *has_begun = true;
            if told != Told::default() {
                to.send(told).await.map_err(|_| End::Unheard)?;
            }
        }
    }
}

/// Enters what was told; once everything was, names that are not there do not exist.
pub(super) fn enter(names: &mut Names, zones: &Zones, told: Told) {
    let is_all = told.vips.is_some();
    if let Some(all) = told.vips {
        names.set_vips(all.into_iter().map(|vip| (vip.name, vec![vip.ip])).collect());
    }
    if let Some(vip) = told.put {
        names.put_vip(&vip.name, vec![vip.ip]);
    }
    if let Some(name) = told.gone {
        names.put_vip(&name, Vec::new());
    }
    if is_all {
        zones.publish(names.changes());
        zones.set_ready(VIPS, true);
    }
}

/// Lines of a stream, for fuzzing: whatever comes, names stay names.
pub(crate) fn fuzz(data: &[u8]) {
    let mut names = Names::new(crate::names::Settings::default());
    let before = names.all().len();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(told) = serde_json::from_slice::<Told>(line) else { continue };
        if let Some(all) = told.vips {
            names.set_vips(all.into_iter().map(|vip| (vip.name, vec![vip.ip])).collect());
        }
        if let Some(vip) = told.put {
            names.put_vip(&vip.name, vec![vip.ip]);
        }
        if let Some(name) = told.gone {
            names.put_vip(&name, Vec::new());
        }
    }
    let changes = names.changes();
    assert!(changes.iter().all(|change| crate::names::labels::is_name(&change.name)));
    names.set_vips(Vec::new());
    assert_eq!(names.all().len(), before);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let read = |line: &str| serde_json::from_str::<Told>(line).unwrap();
        assert_eq!(read("{}"), Told::default());
        let vip = Vip { name: "web.marathon".into(), ip: "11.1.2.3".parse().unwrap() };
        let all = read(r#"{"vips":[{"name":"web.marathon","ip":"11.1.2.3","backends":[]}]}"#);
        assert_eq!(all.vips, Some(vec![vip.clone()]));
        assert_eq!(read(r#"{"put":{"name":"web.marathon","ip":"11.1.2.3"}}"#).put, Some(vip));
        assert_eq!(read(r#"{"gone":"web.marathon"}"#).gone.as_deref(), Some("web.marathon"));
        assert!(serde_json::from_str::<Told>(r#"{"put":{"name":"a"}}"#).is_err());
    }
}
