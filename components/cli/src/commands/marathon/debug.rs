//! `dais marathon debug`: why launches wait.

use crate::context::Context;
use crate::follow::reasons;
use crate::json::{count, flag, list, marathon_id, shown, some_text, text};
use crate::server::Server;
use crate::table::{NOTHING, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What an app asks for: its name in a table, the reason of a refusal, where the app says it.
const RESOURCES: [(&str, &str, &str); 6] = [
    ("ROLE", "UnfulfilledRole", "/acceptedResourceRoles"),
    ("CONSTRAINTS", "UnfulfilledConstraint", "/constraints"),
    ("CPUS", "InsufficientCpus", "/cpus"),
    ("MEM", "InsufficientMemory", "/mem"),
    ("DISK", "InsufficientDisk", "/disk"),
    ("PORTS", "InsufficientPorts", "/portDefinitions"),
];

#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Display detailed information for a queued instance launch: each offer, and what it lacked.
    Details(One),
    /// Print a list of currently queued instance launches.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Display summarized information for a queued instance launch.
    Summary(One),
}

#[derive(Debug, Args)]
pub struct One {
    app_id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

// === impl Debug ===

impl Debug {
    pub(super) async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        match self {
            Debug::List { json } => {
                let queue = marathon.get("/v2/queue").await?;
                if json {
                    return Ok(context.io.json(queue.pointer("/queue").unwrap_or(&json!([])))?);
                }
                Ok(context.io.table(&queue_table(list(&queue, "/queue")))?)
            }
            Debug::Summary(one) => {
                let item = one.find(marathon).await?;
                if one.json {
                    return Ok(context.io.json(&item)?);
                }
                context.io.table(&summary_table(&item))?;
                for reason in reasons(&item) {
                    context.io.line(format!("reason: {reason}"))?;
                }
                Ok(())
            }
            Debug::Details(one) => {
                let item = one.find(marathon).await?;
                if one.json {
                    return Ok(context.io.json(&item)?);
                }
                Ok(context.io.table(&details_table(&item))?)
            }
        }
    }
}

// === impl One ===

impl One {
    async fn find(&self, marathon: &Server) -> anyhow::Result<Value> {
        let id = marathon_id(&self.app_id);
        let queue = marathon.get("/v2/queue?embed=lastUnusedOffers").await?;
        let items = list(&queue, "/queue");
        let found = items.iter().find(|item| app_id(item) == id);
        if found.is_none() && items.is_empty() {
            bail!("no apps found in Marathon queue");
        }
        found.cloned().with_context(|| format!("couldn't find app {id} in Marathon queue"))
    }
}

fn app_id(item: &Value) -> &str {
    some_text(item, "/app/id").unwrap_or_else(|| text(item, "/pod/id"))
}

pub(super) fn queue_table(items: &[Value]) -> Table {
    let mut table = Table::new([
        "ID",
        "SINCE",
        "INSTANCES TO LAUNCH",
        "WAITING",
        "PROCESSED OFFERS",
        "UNUSED OFFERS",
        "LAST UNUSED OFFER",
        "LAST USED OFFER",
    ]);
    for item in items {
        let time = |pointer| some_text(item, pointer).unwrap_or(NOTHING).to_owned();
        table.row([
            app_id(item).to_owned(),
            text(item, "/since").to_owned(),
            count(item, "/count").to_string(),
            flag(item, "/delay/overdue").to_string(),
            count(item, "/processedOffersSummary/processedOffersCount").to_string(),
            count(item, "/processedOffersSummary/unusedOffersCount").to_string(),
            time("/processedOffersSummary/lastUnusedOfferAt"),
            time("/processedOffersSummary/lastUsedOfferAt"),
        ]);
    }
    table.sort();
    table
}

pub(super) fn summary_table(item: &Value) -> Table {
    let mut table = Table::new(["RESOURCE", "REQUESTED", "MATCHED", "PERCENTAGE"]);
    let app = item.get("app").cloned().unwrap_or_default();
    for (name, reason, pointer) in RESOURCES {
        let entry = list(item, "/processedOffersSummary/rejectSummaryLastOffers")
            .iter()
            .find(|entry| text(entry, "/reason") == reason)
            .cloned()
            .unwrap_or_default();
        let processed = count(&entry, "/processed");
        let matched = processed.saturating_sub(count(&entry, "/declined"));
        let percentage = if processed == 0 {
            NOTHING.to_owned()
        } else {
            // Counts of offers are small.
            #[expect(clippy::cast_precision_loss, reason = "a percentage of a few offers")]
            let share = matched as f64 * 100.0 / processed as f64;
            format!("{share:.2}%")
        };
        let requested = app.pointer(pointer).map(shown).filter(|text| !text.is_empty());
        let requested = match requested {
            Some(requested) if name == "ROLE" && requested == "[]" => "[*]".to_owned(),
            Some(requested) => requested,
            None if name == "ROLE" => "[*]".to_owned(),
            None => NOTHING.to_owned(),
        };
        table.row([name.to_owned(), requested, format!("{matched} / {processed}"), percentage]);
    }
    table
}

pub(super) fn details_table(item: &Value) -> Table {
    let mut table = Table::new([
        "HOSTNAME",
        "ROLE",
        "CONSTRAINTS",
        "CPUS",
        "MEM",
        "DISK",
        "PORTS",
        "SCARCE",
        "RECEIVED",
    ]);
    for offer in list(item, "/lastUnusedOffers") {
        let reasons: Vec<&str> = list(offer, "/reason").iter().filter_map(Value::as_str).collect();
        let ok = |reason: &str| if reasons.contains(&reason) { "-" } else { "ok" }.to_owned();
        let mut row = vec![text(offer, "/offer/hostname").to_owned()];
        row.extend(RESOURCES.map(|(_, reason, _)| ok(reason)));
        row.push(ok("DeclinedScarceResources"));
        row.push(text(offer, "/timestamp").to_owned());
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    fn item() -> Value {
        json!({"count": 1, "since": "2019-11-28T14:33:09.156Z", "delay": {"overdue": true},
            "app": {"id": "/test-app", "cpus": 8, "mem": 32, "acceptedResourceRoles": []},
            "processedOffersSummary": {"processedOffersCount": 90, "unusedOffersCount": 80,
                "lastUnusedOfferAt": "2019-11-28T14:33:07.631Z",
                "rejectSummaryLastOffers": [
                    {"reason": "UnfulfilledRole", "declined": 0, "processed": 3},
                    {"reason": "InsufficientCpus", "declined": 2, "processed": 3}]},
            "lastUnusedOffers": [{"offer": {"hostname": "a"}, "timestamp": "t",
                "reason": ["InsufficientCpus"]}]})
    }

    #[test]
    fn tables_have_the_columns_of_dcos() {
        let table = queue_table(&[item()]).render(Style::of(false));
        assert!(table.lines().nth(1).unwrap().starts_with("  /test-app  2019-11-28T14:33:09.156Z"));
        let table = summary_table(&item()).render(Style::of(false));
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["RESOURCE", "REQUESTED", "MATCHED", "PERCENTAGE"]);
        assert_eq!(rows[1], ["ROLE", "[*]", "3", "/", "3", "100.00%"]);
        assert_eq!(rows[3], ["CPUS", "8", "1", "/", "3", "33.33%"]);
        assert_eq!(rows[5], ["DISK", "---", "0", "/", "0", "---"]);
        let table = details_table(&item()).render(Style::of(false));
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["a", "ok", "ok", "-", "ok", "ok", "ok", "ok", "t"]);
    }
}
