//! From a request to what becomes of it: asks the policy, waits for it, reads bodies for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::deadline::Watch;
use crate::exchange::{Failure, Filled, Length, Source};
use crate::worker::Context;
use crate::{Decision, Forward, Limits, Peer, Refusal, RequestHead, Response};

/// What becomes of a request, once the policy has said its last word.
pub(crate) enum Verdict {
    /// With the body, if the policy had it read.
    Forward(Box<Forward>, Option<Bytes>),
    Respond(Response),
}

/// A policy that never comes to an end is none.
const MOST_STEPS: usize = 16;

/// How often it is asked again where its word is out of date.
const MOST_REPEATS: usize = 8;
/// Before it is.
const PAUSE: Duration = Duration::from_millis(1);

type Pending<'a> = Pin<Box<dyn Future<Output = Decision> + 'a>>;

/// Asks the policy until it has decided.
pub(crate) async fn settle<S: Source>(
    context: &Context,
    request: &Arc<RequestHead>,
    peer: &Peer,
    source: &mut S,
    watch: &Watch,
) -> Result<Verdict, Failure> {
    let mut decision = context.policy.decide(request, peer);
    let (mut body, mut repeats) = (None, 0);
    for _ in 0..MOST_STEPS {
        decision = match decision {
            Decision::Forward(forward) if forward.upstream.is_retired() => {
                if repeats >= MOST_REPEATS {
                    let upstream = Arc::clone(&forward.upstream.name);
                    return Err(Failure::Refused(Refusal::Unavailable { upstream }));
                }
                repeats += 1;
                wait(again(context, request, peer), source, watch).await?
            }
            Decision::Forward(forward) => return Ok(Verdict::Forward(forward, body)),
            Decision::Respond(response) => return Ok(Verdict::Respond(response)),
            Decision::Later(later) => wait(later, source, watch).await?,
            Decision::Read { limit, then } => {
                let bytes = match &body {
                    Some(bytes) => Bytes::clone(bytes),
                    None => read(source, limit, watch).await?,
                };
                body = Some(bytes.clone());
                wait(then(bytes), source, watch).await?
            }
        };
    }
    Err(Failure::Refused(Refusal::BadGateway {
        upstream: "the gateway".into(),
        reason: "its policy does not decide",
    }))
}

/// Who retires an upstream does so a moment before the policy knows of another one, or while it
/// decides. Nothing was sent yet, so it may decide anew.
fn again<'a>(context: &'a Context, request: &'a Arc<RequestHead>, peer: &'a Peer) -> Pending<'a> {
    Box::pin(async {
        tokio::time::sleep(PAUSE).await;
        context.policy.decide(request, peer)
    })
}

/// Waits for a decision, as long as the client does.
async fn wait<S: Source>(
    mut later: Pending<'_>,
    source: &mut S,
    watch: &Watch,
) -> Result<Decision, Failure> {
    watch.set(None);
    poll_fn(|cx| {
        if watch.aborted() {
            return Poll::Ready(Err(Failure::Gone));
        }
        match later.as_mut().poll(cx) {
            Poll::Ready(decision) => Poll::Ready(Ok(decision)),
            Poll::Pending => source.poll_gone(cx).map(|()| Err(Failure::Gone)),
        }
    })
    .await
}

async fn read<S: Source>(source: &mut S, limit: usize, watch: &Watch) -> Result<Bytes, Failure> {
    let too_large = || Failure::Refused(Refusal::BodyTooLarge { limit: limit as u64 });
    if matches!(source.length(), Length::Exact(length) if length > limit as u64) {
        return Err(too_large());
    }
    // Nothing says yet which route this is: its limits are the usual ones.
    let idle = Limits::default().request_idle;
    let mut body = Vec::new();
    watch.set(Some(idle));
    poll_fn(|cx| source.poll_invite(cx)).await?;
    loop {
        let filled = poll_fn(|cx| {
            if watch.aborted() {
                return Poll::Ready(Err(Failure::Gone));
            }
            if watch.expired() {
                let seconds = idle.as_secs();
                return Poll::Ready(Err(Failure::Refused(Refusal::RequestTimeout { seconds })));
            }
            source.poll_fill(cx).map_err(Failure::from)
        });
        if filled.await? == Filled::End {
            return Ok(body.into());
        }
        watch.set(Some(idle));
        let data = source.data();
        if body.len() + data.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(data);
        let count = data.len();
        source.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task;

    use http::{Method, Version};

    use super::*;
    use crate::exchange::SourceError;
    use crate::observe::Observer;
    use crate::{
        Address, HeaderEdits, Host, Metrics, Policy, Protocol, RouteId, Scheme, ServerConfig,
        Upgrade, Upstream,
    };

    /// Never learns that its upstream is retired.
    struct Stubborn(Arc<Upstream>);

    impl Policy for Stubborn {
        fn decide(&self, _: &Arc<RequestHead>, _: &Peer) -> Decision {
            Decision::Forward(Box::new(Forward {
                upstream: Arc::clone(&self.0),
                target: Bytes::from_static(b"/"),
                host: Host::Keep,
                route: RouteId(0),
                user: None,
                request: HeaderEdits::default(),
                response: None,
                limits: Arc::default(),
                upgrade: Upgrade::Strip,
                follow: None,
            }))
        }

        fn refuse(&self, _: Option<&RequestHead>, _: &Peer, _: &Refusal) -> Response {
            unreachable!("nothing is refused here")
        }
    }

    /// A request without a body, of a client that stays.
    struct Nothing;

    impl Source for Nothing {
        fn length(&self) -> Length {
            Length::None
        }

        fn poll_fill(&mut self, _: &mut task::Context<'_>) -> Poll<Result<Filled, SourceError>> {
            Poll::Ready(Ok(Filled::End))
        }

        fn data(&self) -> &[u8] {
            b""
        }

        fn consume(&mut self, _: usize) {}

        fn is_read(&self) -> bool {
            true
        }

        fn poll_gone(&mut self, _: &mut task::Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_policy_that_never_learns_is_refused() {
        let address = Address::Tcp("127.0.0.1:1".parse().unwrap());
        let upstream = Upstream::new("old", address, Protocol::Http1);
        upstream.retire();
        let config = Arc::new(ServerConfig::default());
        let observer = Observer::new(Metrics::new(Vec::new(), 1, None), 0, &config);
        let context: Rc<Context> = Context::new(0, Arc::new(Stubborn(upstream)), config, observer);
        let request = RequestHead::new(Method::GET, Version::HTTP_11, b"/", []);
        let request = Arc::new(request.unwrap());
        let address = "127.0.0.1:1".parse().unwrap();
        let peer = Peer { address, local: address, scheme: Scheme::Http, server_name: None };
        let watch = context.deadlines.watch();
        let settled = settle(&context, &request, &peer, &mut Nothing, &watch).await;
        let Err(Failure::Refused(refusal)) = settled else { panic!("it was let through") };
        assert_eq!(refusal, Refusal::Unavailable { upstream: "old".into() });
    }
}
