//! Frameworks: where their pages are, by id and by name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cluster_events::asking::host_and_port;
use proxy::{Address, Path, Scheme, Upstream};

use super::super::facts::FrameworkFact;
use super::super::name;
use super::super::snapshot::{Snapshot, Web};
use super::{Servers, Upstreams};
use crate::cluster::Service;

#[derive(Default)]
pub(super) struct Frameworks {
    known: HashMap<Arc<str>, Framework>,
    /// Those of each name (dotted), the one that is meant first.
    named: HashMap<Arc<str>, BTreeSet<Rank>>,
    /// The configured Marathon: its name leads to it, whoever else has that name.
    marathon: Option<Arc<str>>,
}

/// The order of frameworks with one name: not active, not connected, since when, then the id. The
/// oldest is meant, so that nobody takes a name by registering with it.
type Rank = (bool, bool, i64, Arc<str>);

struct Framework {
    fact: FrameworkFact,
    /// Its name, dotted.
    dotted: Arc<str>,
    upstream: Option<Arc<Upstream>>,
    /// As it is found by its name.
    web: Web,
}

/// Where pages are, of a `webui_url`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) scheme: Scheme,
    pub(super) address: Address,
    /// Without a slash at the end.
    pub(super) base: String,
}

// === impl Frameworks ===

impl Frameworks {
    /// Whether anything changed.
    pub(super) fn put(
        &mut self,
        fact: FrameworkFact,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) -> bool {
        let before = self.known.remove(&fact.id);
        if let Some(before) = before {
            if before.fact == fact {
                self.known.insert(Arc::clone(&fact.id), before);
                return false;
            }
            self.forget_name(&before, snapshot);
            self.insert(fact, before.upstream, servers, snapshot);
        } else {
            self.insert(fact, None, servers, snapshot);
        }
        true
    }

    /// `before` is its upstream until now.
    fn insert(
        &mut self,
        fact: FrameworkFact,
        before: Option<Arc<Upstream>>,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) {
        let own_name = Arc::clone(&fact.name);
        let segments = name::segments(&own_name);
        let dotted: Arc<str> = name::dotted(&segments).as_ref().into();
        let pages = fact.webui_url.as_deref().and_then(pages);
        // Where a scheduler was, anybody may listen once it is gone.
        let reachable = pages.as_ref().filter(|_| fact.is_connected);
        let upstream =
            reachable.map(|pages| upstream(pages, &fact, before.as_ref(), &servers.upstreams));
        if let Some(before) = before
            && upstream.as_ref().is_none_or(|now| !Arc::ptr_eq(now, &before))
        {
            servers.retire(before);
        }
        // Who may use it does not depend on whether it is asked for by its id.
        let rid: Arc<str> = match name::path(&segments) {
            nameless if nameless.is_empty() => name::rid(&fact.id).into(),
            path => name::rid(&path).into(),
        };
        let found = |segments: &[&str]| match (&pages, &upstream, fact.webui_url.as_deref()) {
            (Some(pages), Some(upstream), _) => Web::At(service(segments, &rid, pages, upstream)),
            (Some(_), None, _) => Web::Away,
            (_, _, Some("")) => Web::Ask { dotted: Arc::clone(&dotted), rid: Arc::clone(&rid) },
            _ => Web::Nowhere,
        };
        let (by_id, web) = (found(&[&fact.id]), found(&segments));
        snapshot.frameworks.insert(Arc::clone(&fact.id), by_id);
        self.named.entry(Arc::clone(&dotted)).or_default().insert(rank(&fact));
        let id = Arc::clone(&fact.id);
        self.known.insert(id, Framework { fact, dotted: Arc::clone(&dotted), upstream, web });
        self.publish(&dotted, snapshot);
    }

    pub(super) fn remove(
        &mut self,
        id: &str,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) -> bool {
        let Some(framework) = self.known.remove(id) else { return false };
        snapshot.frameworks.remove(id);
        self.forget_name(&framework, snapshot);
        if let Some(upstream) = framework.upstream {
            servers.retire(upstream);
        }
        true
    }

    pub(super) fn replace(
        &mut self,
        frameworks: Vec<FrameworkFact>,
        servers: &mut Servers,
        snapshot: &mut Snapshot,
    ) {
        let told: HashSet<Arc<str>> = frameworks.iter().map(|fact| Arc::clone(&fact.id)).collect();
        let gone = self.known.keys().filter(|id| !told.contains(*id));
        for id in gone.cloned().collect::<Vec<_>>() {
            self.remove(&id, servers, snapshot);
        }
        for framework in frameworks {
            self.put(framework, servers, snapshot);
        }
    }

    /// As which framework the configured Marathon runs its tasks; whether that is news.
    pub(super) fn marathon_is(&mut self, id: Option<&Arc<str>>, snapshot: &mut Snapshot) -> bool {
        if id.is_none() || id == self.marathon.as_ref() {
            return false;
        }
        let before = std::mem::replace(&mut self.marathon, id.cloned());
        for id in before.iter().chain(id) {
            if let Some(dotted) = self.known.get(id).map(|framework| Arc::clone(&framework.dotted))
            {
                self.publish(&dotted, snapshot);
            }
        }
        true
    }

    fn forget_name(&mut self, framework: &Framework, snapshot: &mut Snapshot) {
        if let Some(same) = self.named.get_mut(&framework.dotted) {
            same.remove(&rank(&framework.fact));
        }
        self.publish(&framework.dotted, snapshot);
    }

    fn publish(&mut self, dotted: &Arc<str>, snapshot: &mut Snapshot) {
        if dotted.is_empty() {
            return;
        }
        let first = self.named.get(dotted).and_then(BTreeSet::first).map(|(.., id)| id);
        let own = self.marathon.as_ref().and_then(|id| self.known.get(id));
        let meant = own.filter(|own| own.dotted == *dotted);
        match meant.or_else(|| first.and_then(|id| self.known.get(id))) {
            Some(framework) => {
                snapshot.named_frameworks.insert(Arc::clone(dotted), framework.web.clone());
            }
            None => {
                snapshot.named_frameworks.remove(dotted);
                if first.is_none() {
                    self.named.remove(dotted);
                }
            }
        }
    }
}

fn rank(fact: &FrameworkFact) -> Rank {
    (!fact.is_active, !fact.is_connected, fact.since, Arc::clone(&fact.id))
}

fn upstream(
    pages: &Pages,
    fact: &FrameworkFact,
    before: Option<&Arc<Upstream>>,
    upstreams: &Upstreams,
) -> Arc<Upstream> {
    let is_same = |before: &&Arc<Upstream>| {
        let is_tls = matches!(before.protocol, proxy::Protocol::Tls { .. });
        before.address == pages.address && is_tls == (pages.scheme == Scheme::Https)
    };
    let make = || upstreams.new_upstream(&fact.name, pages.scheme, pages.address.clone());
    before.filter(is_same).map_or_else(make, Arc::clone)
}

fn service(
    segments: &[&str],
    rid: &Arc<str>,
    pages: &Pages,
    upstream: &Arc<Upstream>,
) -> Arc<Service> {
    Arc::new(Service {
        path: name::path(segments).into(),
        rid: Arc::clone(rid),
        depth: segments.len(),
        upstream: Arc::clone(upstream),
        scheme: pages.scheme,
        base: pages.base.as_str().into(),
        rewrite: true,
        buffering: true,
    })
}

/// Reads a `webui_url`; none for what is no URL of a web page.
pub(super) fn pages(url: &str) -> Option<Pages> {
    let uri: http::Uri = url.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let (host, port) = host_and_port(&uri)?;
    let path = Path::parse(uri.path().as_bytes()).ok()?;
    let base = path.as_str().trim_end_matches('/').to_owned();
    Some(Pages { scheme, address: crate::origin::address(host, port), base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_pages() {
        for (url, expected) in [
            ("http://10.0.0.1:8080", Some(("10.0.0.1:8080", ""))),
            ("http://10.0.0.1:8080/", Some(("10.0.0.1:8080", ""))),
            ("http://10.0.0.1/ui/", Some(("10.0.0.1:80", "/ui"))),
            ("https://[::1]:8443/a/b?c=d", Some(("[::1]:8443", "/a/b"))),
            ("http://10.0.0.1/a/../b", Some(("10.0.0.1:80", "/b"))),
            ("http://10.0.0.1/../b", None),
            ("http://user@10.0.0.1/", None),
            ("ftp://10.0.0.1", None),
            ("10.0.0.1:8080", None),
            ("/relative", None),
            ("", None),
            ("http://10.0.0.1:0/", None),
            ("http://10.0.0.1:99999/", None),
        ] {
            let found = pages(url);
            let found = found.map(|pages| match pages.address {
                Address::Tcp(address) => (address.to_string(), pages.base),
                other => panic!("{other:?}"),
            });
            let expected = expected.map(|(host, base)| (host.to_owned(), base.to_owned()));
            assert_eq!(found, expected, "{url}");
        }
        let named = pages("http://marathon.mesos:8080").unwrap();
        assert_eq!(named.address, Address::Name("marathon.mesos".into(), 8080));
    }
}
