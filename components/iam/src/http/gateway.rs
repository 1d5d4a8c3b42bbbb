//! Whether a request comes from a gateway that may say whom it is from.
//!
//! Every program of this machine is on loopback too: a gateway shows a token of its own, which
//! nobody but the holder of its account's key has.

use http::HeaderMap;
use identity::Action;
use identity::wire::GATEWAY;

use crate::service::Iam;

/// What an account needs for that, in full.
const RID: &str = "dcos:iam:gateway";

/// Judges the gateway's token; whatever came in its place is taken out, so that nothing that is
/// made of the headers has it.
pub(super) fn is_proven(iam: &Iam, headers: &mut HeaderMap) -> bool {
    let given: Vec<_> = headers.get_all(GATEWAY).iter().cloned().collect();
    headers.remove(GATEWAY);
    let [value] = given.as_slice() else { return false };
    let Some(token) = value.to_str().ok().and_then(|value| value.strip_prefix("token=")) else {
        return false;
    };
    let snapshot = iam.feed.snapshot();
    let claims = snapshot.authenticate(token, iam.clock.now());
    let proven = claims.is_ok_and(|claims| snapshot.policy.allows(&claims.uid, RID, Action::Full));
    if !proven {
        tracing::debug!(
            "a gateway did not prove itself; what it says of the client is not believed"
        );
    }
    proven
}
