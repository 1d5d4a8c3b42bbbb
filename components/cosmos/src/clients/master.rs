//! The Mesos master: which frameworks there are, and ending one.

use http::Method;
use http_kit::Client;
use serde_json::Value;

use super::{Authorization, Outgoing, Peer, expect_ok, path_of};
use crate::error::Failure;

/// The leading master.
#[derive(Clone, Debug)]
pub(crate) struct Master(Peer);

// === impl Master ===

impl Master {
    pub(crate) fn new(base: &str, client: Client) -> Master {
        Master(Peer::new("mesos", base, client))
    }

    /// The ids of the frameworks of that name.
    pub(crate) async fn frameworks(
        &self,
        name: &str,
        by: Authorization<'_>,
    ) -> Result<Vec<String>, Failure> {
        let found = self.0.get("master/frameworks", by).await?;
        let all = found.get("frameworks").and_then(Value::as_array).into_iter().flatten();
        let named = all.filter(|one| one.get("name").and_then(Value::as_str) == Some(name));
        Ok(named.filter_map(|one| Some(one.get("id")?.as_str()?.to_owned())).collect())
    }

    /// Ends a framework and all its tasks.
    pub(crate) async fn tear_down(&self, id: &str, by: Authorization<'_>) -> Result<(), Failure> {
        let path = "master/teardown";
        let form = format!("frameworkId={}", path_of(id));
        let call = Outgoing::new(Method::POST, path.to_owned(), by).form(form);
        expect_ok(&Method::POST, path, &self.0.send(call).await?)
    }
}
