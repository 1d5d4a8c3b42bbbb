//! `dais service endpoints`: every way to reach an app, each tried at once.

mod probe;
mod ways;

use crate::context::Context;
use crate::json::{list, marathon_id, some_text};
use crate::server::{Server, path};
use crate::table::{NOTHING, Table};
use anyhow::Context as _;
use clap::Args;
use probe::{Found, Probes};
use serde_json::{Value, json};
use ways::{Way, ways};

#[derive(Debug, Args)]
pub(super) struct Endpoints {
    /// The app's id.
    app_id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// List the ways without trying them.
    #[arg(long)]
    no_check: bool,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let marathon = context.marathon()?;
        let id = marathon_id(&self.app_id);
        let app = marathon.find(&format!("/v2/apps{}?embed=app.tasks", path(&id))).await?;
        let app = app.with_context(|| format!("there is no app {id}"))?;
        let app = app.pointer("/app").unwrap_or(&Value::Null);
        let framework = framework(&marathon).await?;
        let edges = edges(&marathon).await?;
        let gateway = context.cluster()?.front();
        let ways = ways(app, &framework, gateway.as_deref(), &edges);
        let found = match self.no_check {
            true => ways.iter().map(|_| None).collect(),
            false => {
                let probes = Probes::new(context)?;
                probes.all(&ways).await.into_iter().map(Some).collect::<Vec<_>>()
            }
        };
        if self.json {
            let rows = ways.iter().zip(&found).map(|(way, found)| as_json(way, found.as_ref()));
            return Ok(context.io.json(&rows.collect())?);
        }
        Ok(context.io.table(&table(&ways, &found))?)
    }
}

/// The name under which Marathon is registered: a part of every name.
async fn framework(marathon: &Server) -> anyhow::Result<String> {
    let info = marathon.get("/v2/info").await?;
    Ok(some_text(&info, "/name").unwrap_or("marathon").to_owned())
}

/// The apps that carry traffic from outside.
async fn edges(marathon: &Server) -> anyhow::Result<Vec<Value>> {
    let answer = marathon.get("/v2/apps?embed=apps.tasks").await?;
    Ok(list(&answer, "/apps").iter().filter(|app| ways::is_edge(app)).cloned().collect())
}

fn as_json(way: &Way, found: Option<&Found>) -> Value {
    let mut row = json!({"kind": way.kind.name(), "address": way.address});
    if let Some(through) = &way.through {
        row["through"] = json!(through);
    }
    if let Some(found) = found {
        row["works"] = json!(found.works);
        row["check"] = json!(found.said);
    }
    row
}

fn table(ways: &[Way], found: &[Option<Found>]) -> Table {
    let mut table = Table::new(["KIND", "ADDRESS", "THROUGH", "WORKS", "CHECK"]);
    for (way, found) in ways.iter().zip(found) {
        let (works, said) = match found {
            Some(Found { works, said }) => (if *works { "yes" } else { "no" }, said.as_str()),
            None => (NOTHING, NOTHING),
        };
        table.row([
            way.kind.name().to_owned(),
            way.address.clone(),
            way.through.clone().unwrap_or_else(|| NOTHING.to_owned()),
            works.to_owned(),
            said.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;
    use ways::Kind;

    fn one() -> Way {
        Way {
            kind: Kind::Task,
            address: "10.0.0.1:31000".to_owned(),
            through: None,
            probe: ways::Probe::Connect("10.0.0.1:31000".to_owned()),
        }
    }

    #[test]
    fn a_row_says_whether_it_works() {
        let found = Found { works: false, said: "connection refused".to_owned() };
        let shown = table(&[one(), one()], &[Some(found.clone()), None]).render(Style::of(false));
        let expected = "  \
  KIND  ADDRESS         THROUGH  WORKS  CHECK
  task  10.0.0.1:31000  ---      no     connection refused
  task  10.0.0.1:31000  ---      ---    ---
";
        assert_eq!(shown, expected);
        let row = as_json(&one(), Some(&found));
        assert_eq!(row["works"], json!(false));
        assert_eq!(row["kind"], json!("task"));
        assert!(as_json(&one(), None).get("works").is_none());
    }
}
