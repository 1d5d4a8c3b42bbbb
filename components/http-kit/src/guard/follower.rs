//! Keeps a guard's snapshot up to date from IAM's policy stream.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use http_body_util::{BodyExt, Full};
use identity::pieces::Pieces;
use identity::{Snapshot, SnapshotError, wire};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lines::TooLong;
use super::{Guard, Lines, Mode, PlainWay, TokenSource, TokenSourceConfig, check_way};
use crate::{Client, ClientConfig, ClientError};

/// Without a line for that long the connection is given up: three heartbeats.
const SILENCE: Duration = Duration::from_secs(3 * wire::HEARTBEAT_SECONDS);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a component knows who may do what.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    pub mode: Mode,
    /// Where IAM is, such as `http://127.0.0.1:8101`.
    pub iam: String,
    /// The file of the component's service account.
    pub account: PathBuf,
    /// Limits and what is trusted, for the connection to IAM.
    pub client: ClientConfig,
}

/// A guard that is kept up to date, and a token for calls to others.
#[derive(Debug)]
pub struct Following {
    pub guard: Guard,
    pub tokens: TokenSource,
    /// Ends after the cancellation.
    pub join: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("IAM answers {0}")]
    Status(StatusCode),
    #[error("the address of IAM is malformed")]
    Address,
    #[error(transparent)]
    Plain(#[from] PlainWay),
    #[error("the stream was silent for too long")]
    Silent,
    #[error("the stream ended")]
    Ended,
    #[error("the stream broke")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("the stream's content does not fit")]
    Content(#[from] SnapshotError),
}

/// Logs in with the service account and follows the stream, reconnecting whenever it breaks,
/// until `stop`. Must be called within a tokio runtime.
pub fn follow(config: FollowConfig, stop: CancellationToken) -> Following {
    let client = Client::new(config.client);
    let login = TokenSourceConfig {
        iam: Some(config.iam.clone()),
        account: config.account,
        client: client.clone(),
    };
    let (tokens, logins) = TokenSource::start(login, stop.clone());
    let guard = Guard::empty(config.mode);
    let follower = Follower {
        url: format!("{}{}", config.iam.trim_end_matches('/'), wire::PATH),
        client,
        tokens: tokens.clone(),
        guard: guard.clone(),
    };
    let join = tokio::spawn(async move {
        let _ = stop.run_until_cancelled(follower.run()).await;
        let _ = logins.await;
    });
    Following { guard, tokens, join }
}

struct Follower {
    url: String,
    client: Client,
    tokens: TokenSource,
    guard: Guard,
}

impl Follower {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.tokens.ready().await;
            let mut lines = 0_u64;
            let outcome = self.stream(&mut lines).await;
            if let Err(error) = outcome {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the policy stream is interrupted");
            }
            if lines > 0 {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn stream(&self, taken: &mut u64) -> Result<(), StreamError> {
        if !self.client.config().plain_iam {
            check_way(&self.url)?;
        }
        let mut request = http::Request::get(&self.url)
            .header(ACCEPT, wire::CONTENT_TYPE)
            .body(Full::<Bytes>::default())
            .map_err(|_| StreamError::Address)?;
        self.tokens.authorize(request.headers_mut());
        let sent = request.headers().clone();
        let response = self.client.send(request).await?;
        match response.status() {
            StatusCode::OK => {}
            status => {
                if status == StatusCode::UNAUTHORIZED {
                    self.tokens.refused(&sent);
                }
                return Err(StreamError::Status(status));
            }
        }
        let mut body = response.into_body();
        let mut lines = Lines::default();
        let mut snapshot: Option<Snapshot> = None;
        let mut pieces = Pieces::default();
        loop {
            let frame = timeout(SILENCE, body.frame()).await.map_err(|_| StreamError::Silent)?;
            let frame = frame.ok_or(StreamError::Ended)?.map_err(StreamError::Broken)?;
            let Ok(piece) = frame.into_data() else { continue };
            lines.push(&piece, |line| {
                let line = serde_json::from_slice(line).map_err(SnapshotError::Malformed)?;
                if let Some(line) = pieces.take(line)? {
                    self.take(&mut snapshot, line)?;
                }
                *taken += 1;
                Ok::<_, StreamError>(())
            })?;
        }
    }

    fn take(&self, held: &mut Option<Snapshot>, line: wire::Line) -> Result<(), StreamError> {
        let sign_of_life = line.snapshot.is_none() && line.changes.is_none();
        match held {
            None => *held = Some(Snapshot::from_line(line)?),
            Some(snapshot) => snapshot.apply_line(line)?,
        }
        match held {
            Some(snapshot) if !sign_of_life => self.guard.publish(snapshot.clone()),
            _ => self.guard.touch(),
        }
        Ok(())
    }
}
