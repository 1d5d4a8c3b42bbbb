//! `/service/<name>/…`: services that run on the cluster.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use proxy::{Decision, Path};
use smallvec::SmallVec;

use super::forward::target;
use super::location::Mapped;
use super::{Ask, Gateway, Inner};
use crate::access::{Caller, Denial};
use crate::cluster::{Failure, Resolution, Service};
use crate::routes::To;

/// Names of services have no more segments.
const DEPTH: usize = 10;

const MARATHON: &str = "/service/marathon";

/// Whether it is `/service/<one segment>`: those are redirected to the form with a slash. Names
/// with other characters are not, as in the original.
pub(super) fn lacks_slash(path: &Path) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    path.strip_prefix("/service")
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(good))
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn to_service(&self, ask: Ask, caller: Caller) -> Decision {
        let segments: SmallVec<[Cow<'_, str>; DEPTH]> = match ask.route.to {
            To::Marathon => [Cow::Borrowed("marathon")].into_iter().collect(),
            _ => ask.path.segments().skip(1).take(DEPTH).collect(),
        };
        let resolution = self.0.cluster.service(&segments);
        drop(segments);
        self.0.resolved(&ask, &caller, resolution).unwrap_or_else(|mut pending| {
            let this = self.clone();
            Decision::Later(Box::pin(async move {
                // Each answer may name another source to be asked; there are three.
                for _ in 0..DEPTH {
                    match this.0.resolved(&ask, &caller, pending.await) {
                        Ok(decision) => return decision,
                        Err(next) => pending = next,
                    }
                }
                this.0.failed(&ask, Failure::MesosDns)
            }))
        })
    }
}

type Pending = std::pin::Pin<Box<dyn Future<Output = Resolution> + Send>>;

// === impl Inner ===

impl Inner {
    /// What a look-up leads to, or what has to be waited for. Who may not see the service may
    /// not see either whether it is there.
    fn resolved(
        &self,
        ask: &Ask,
        caller: &Caller,
        resolution: Resolution,
    ) -> Result<Decision, Pending> {
        Ok(match resolution {
            Resolution::Later(pending) => return Err(pending),
            Resolution::Found(service) => match self.gate.permit(caller, &service.rid) {
                Ok(()) => self.to_found(ask, caller, service),
                Err(denial) => self.deny(ask, caller, denial),
            },
            Resolution::Missing => match self.may_ask(ask, caller) {
                Ok(()) => self.original(ask, StatusCode::NOT_FOUND, "service not found."),
                Err(denial) => self.deny(ask, caller, denial),
            },
            Resolution::Failed(failure) => match self.may_ask(ask, caller) {
                Ok(()) => self.failed(ask, failure),
                Err(denial) => self.deny(ask, caller, denial),
            },
        })
    }

    /// Whether the caller may use some service that the path could mean.
    fn may_ask(&self, ask: &Ask, caller: &Caller) -> Result<(), Denial> {
        let mut rid = String::from("dcos:adminrouter:service");
        let names: SmallVec<[Cow<'_, str>; DEPTH]> = match ask.route.to {
            To::Marathon => [Cow::Borrowed("marathon")].into_iter().collect(),
            _ => ask.path.segments().skip(1).take(DEPTH).collect(),
        };
        let mut outcome = self.gate.permit(caller, &rid);
        for (index, name) in names.iter().enumerate() {
            if outcome != Err(Denial::Forbidden) {
                break;
            }
            rid.push(if index == 0 { ':' } else { '/' });
            identity::push_part(&mut rid, name);
            outcome = self.gate.permit(caller, &rid);
        }
        outcome
    }

    fn failed(&self, ask: &Ask, failure: Failure) -> Decision {
        let text = match failure {
            Failure::Marathon => "invalid Marathon svcapps cache",
            Failure::Mesos => "invalid Mesos state cache",
            Failure::MesosDns => "MesosDNS request has failed",
            Failure::Framework => "the framework of this service is not connected",
        };
        self.original(ask, StatusCode::SERVICE_UNAVAILABLE, text)
    }

    fn to_found(&self, ask: &Ask, caller: &Caller, service: Arc<Service>) -> Decision {
        let path = ask.path.as_str();
        let (prefix, rest) = match ask.route.to {
            To::Marathon => {
                let rest = ask.path.strip_prefix(ask.route.pattern.base()).unwrap_or_default();
                (Bytes::from_static(MARATHON.as_bytes()), rest)
            }
            _ => {
                let rest = ask.path.after(1 + service.depth).unwrap_or_default();
                (ask.path.as_bytes().slice(..path.len() - rest.len()), rest)
            }
        };
        let target = match (service.rewrite, &ask.route.to) {
            (true, _) => target(ask, &service.base, if rest.is_empty() { "/" } else { rest }),
            (false, To::Marathon) => target(ask, MARATHON, rest),
            (false, _) => target(ask, &service.base, path),
        };
        let mut forward = self.forward(ask, caller, Arc::clone(&service.upstream), target);
        if !service.buffering {
            forward.limits = self.service_limits(false);
        }
        forward.response = Some(Arc::new(Mapped::service(service, prefix, Arc::clone(&ask.head))));
        Decision::Forward(Box::new(forward))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_segment_gets_a_slash() {
        for (path, expected) in [
            ("/service/a", true),
            ("/service/a-b.c1", true),
            ("/service/a_b", false),
            ("/service/a/", false),
            ("/service/a/b", false),
            ("/service/", false),
            ("/service/%C3%A4", false),
            ("/services/a", false),
        ] {
            let path = Path::parse(path.as_bytes()).unwrap();
            assert_eq!(lacks_slash(&path), expected, "{path}");
        }
    }
}
