//! `/cache/master/…`: answers of the leading master, kept for 5 s.
//!
//! Each user has answers of their own: a master that judges by itself shows different things to
//! different users. Whoever asks for what is being fetched waits for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use http_body_util::Full;
use proxy::{Address, Decision, Response};
use rustc_hash::FxHashMap;

use super::forward::target;
use super::{Ask, Gateway, Inner, respond};
use crate::access::Caller;
use crate::cluster::{Known, Leader};

/// How long an answer is the answer.
const FRESH: Duration = Duration::from_secs(5);
/// Answers that are kept at once; the oldest go first.
const MOST: usize = 128;
/// Bytes of all that are kept.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A target of the leading master, as a user sees it.
type Key = (Bytes, Bytes, Bytes);

/// What is kept. The lock is held for look-ups only.
#[derive(Default)]
pub(crate) struct Cache {
    kept: Mutex<FxHashMap<Key, Arc<Slot>>>,
}

/// The place of one answer. Its lock is held while the answer is fetched.
#[derive(Default)]
struct Slot {
    answer: tokio::sync::Mutex<Option<(Instant, Answer)>>,
    /// For what goes first; the time is that of the last fetch, in bytes and moments.
    size: Mutex<(Option<Instant>, usize)>,
}

/// An answer of the master's.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    body: Bytes,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn to_cache(&self, ask: Ask, caller: &Caller) -> Decision {
        let Known::Found(leader) = self.0.cluster.leader() else {
            return self.0.unavailable(&ask, "the leading master");
        };
        let rest = ask.path.strip_prefix(ask.route.pattern.base()).unwrap_or_default();
        let onward = target(&ask, ask.route.becomes.unwrap_or_default(), rest);
        if *ask.head.method() != Method::GET {
            // Nothing of that can be kept.
            let upstream = Arc::clone(&leader.upstream);
            return Decision::Forward(Box::new(self.0.forward(&ask, caller, upstream, onward)));
        }
        let (this, caller) = (self.clone(), caller.clone());
        Decision::Later(Box::pin(async move { this.cached(ask, caller, leader, onward).await }))
    }

    async fn cached(
        &self,
        ask: Ask,
        caller: Caller,
        leader: Arc<Leader>,
        onward: Bytes,
    ) -> Decision {
        let inner = &*self.0;
        let user = asker(&ask, &caller);
        let accept = Bytes::copy_from_slice(ask.head.header("accept").unwrap_or_default());
        let slot = inner.cache.slot((user, onward.clone(), accept));
        let bypass = ask.head.header("cache-control").is_some_and(|value| !value.is_empty());
        let mut held = slot.answer.lock().await;
        let status = match &*held {
            _ if bypass => "BYPASS",
            Some((since, answer)) if since.elapsed() < FRESH => {
                return respond(inner.kept_answer(&ask, answer, &caller, "HIT"), ask.id);
            }
            Some(_) => "EXPIRED",
            None => "MISS",
        };
        let fetched = inner.fetch(&ask, &caller, &leader, &onward).await;
        let Some(answer) = fetched else {
            drop(held);
            drop(slot);
            inner.cache.trim();
            return inner.unavailable(&ask, "the leading master");
        };
        if answer.status == StatusCode::OK {
            slot.note(answer.body.len());
            *held = Some((Instant::now(), answer.clone()));
        }
        drop(held);
        drop(slot);
        inner.cache.trim();
        respond(inner.kept_answer(&ask, &answer, &caller, status), ask.id)
    }
}

// === impl Inner ===

impl Inner {
    /// Asks the master, as the user who asked.
    async fn fetch(
        &self,
        ask: &Ask,
        caller: &Caller,
        leader: &Leader,
        onward: &Bytes,
    ) -> Option<Answer> {
        let authority = match &leader.upstream.address {
            Address::Tcp(address) => address.to_string(),
            Address::Name(name, port) => format!("{name}:{port}"),
            Address::Unix(_) => return None,
        };
        let scheme = match leader.upstream.protocol {
            proxy::Protocol::Tls { .. } => "https",
            _ => "http",
        };
        let onward = std::str::from_utf8(onward).ok()?;
        let mut request = http::Request::get(format!("{scheme}://{authority}{onward}"));
        request = request.header(USER_AGENT, "Master Admin Router");
        let by_header = || HeaderValue::from_bytes(ask.head.header("authorization")?).ok();
        if let Some(token) = caller.authorization.clone().or_else(by_header) {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(accept) = ask.head.header("accept") {
            request = request.header(http::header::ACCEPT, accept);
        }
        let request = request.header("x-forwarded-for", self.forwarded_for(ask));
        let request = request.body(Full::default()).ok()?;
        let (head, body) = self.client.fetch(request).await.ok()?.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).cloned();
        Some(Answer { status: head.status, kind, body })
    }

    fn kept_answer(
        &self,
        ask: &Ask,
        answer: &Answer,
        caller: &Caller,
        status: &'static str,
    ) -> Response {
        let kind = answer.kind.clone();
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let body = answer.body.clone();
        let mut response = self.pages.answer(Some(&ask.head), &ask.peer, answer.status, kind, body);
        let name = http::HeaderName::from_static("x-cache-status");
        response.headers.push((name, HeaderValue::from_static(status)));
        response.user = caller.user();
        response
    }
}

// === impl Cache ===

impl Cache {
    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients that leave before the answer leave their places behind.
        if kept.len() >= 2 * MOST {
            trim(&mut kept);
        }
        Arc::clone(kept.entry(key).or_default())
    }

    fn trim(&self) {
        trim(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// As whom the master is asked. Where the gateway identifies nobody, the master goes by what the
/// request itself brings.
fn asker(ask: &Ask, caller: &Caller) -> Bytes {
    match caller.user() {
        Some(user) => Bytes::from(format!("user {user}")),
        None => Bytes::copy_from_slice(ask.head.header("authorization").unwrap_or_default()),
    }
}

/// Lets go what is old, and the oldest of what is too much. What is being fetched right now ends
/// for those who wait for it.
fn trim(kept: &mut FxHashMap<Key, Arc<Slot>>) {
    let fresh = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() < FRESH);
    kept.retain(|_, slot| Arc::strong_count(slot) > 1 || fresh(slot.noted().0));
    let mut sizes: Vec<_> = kept.iter().map(|(key, slot)| (slot.noted(), key.clone())).collect();
    sizes.sort_by_key(|((since, _), _)| std::cmp::Reverse(*since));
    let mut bytes = 0;
    for (index, ((_, size), key)) in sizes.into_iter().enumerate() {
        bytes += size;
        if index >= MOST || bytes > MOST_BYTES {
            kept.remove(&key);
        }
    }
}

// === impl Slot ===

impl Slot {
    fn note(&self, size: usize) {
        let mut noted = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (Some(Instant::now()), size);
    }

    fn noted(&self) -> (Option<Instant>, usize) {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (Bytes::from_static(b"u"), Bytes::copy_from_slice(name.as_bytes()), Bytes::new())
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let cache = Cache::default();
        for index in 0..MOST + 50 {
            cache.slot(key(&index.to_string())).note(10);
        }
        cache.trim();
        assert_eq!(cache.kept.lock().unwrap().len(), MOST);
        for index in 0..4 {
            cache.slot(key(&format!("large {index}"))).note(MOST_BYTES / 2);
        }
        cache.trim();
        let kept = cache.kept.lock().unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.contains_key(&key("large 3")), "the newest stays");
    }

    #[test]
    fn places_that_nobody_came_back_to_are_bounded() {
        let cache = Cache::default();
        for index in 0..10 * MOST {
            cache.slot(key(&index.to_string()));
        }
        assert!(cache.kept.lock().unwrap().len() <= 2 * MOST);
    }

    #[test]
    fn what_nobody_fetched_is_let_go() {
        let cache = Cache::default();
        let waiting = cache.slot(key("a"));
        cache.slot(key("b"));
        cache.trim();
        assert_eq!(cache.kept.lock().unwrap().len(), 1);
        assert!(Arc::ptr_eq(&waiting, &cache.slot(key("a"))));
    }
}
