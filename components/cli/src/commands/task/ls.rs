//! `dais task ls`.

use super::files::{Entry, Sandbox};
use super::find::Filter;
use crate::context::Context;
use crate::table::Table;
use crate::terminal::printable;
use anyhow::bail;
use clap::Args;

#[derive(Debug, Args)]
pub struct Ls {
    /// A part of the tasks' ids, or a pattern with * and ?; all that fit are listed.
    task: String,
    /// A folder in the sandbox.
    #[arg(default_value = ".")]
    path: String,
    /// Tasks that are over as well.
    #[arg(long)]
    all: bool,
    /// Only tasks that are over.
    #[arg(long)]
    completed: bool,
    /// Print all attributes of the files.
    #[arg(long)]
    long: bool,
}

// === impl Ls ===

impl Ls {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let filter = Filter {
            active: !self.completed,
            completed: self.all || self.completed,
            id: Some(self.task),
            ..Filter::default()
        };
        let tasks = filter.find_some(context).await?;
        for task in &tasks {
            let sandbox = Sandbox::of(context, task).await?;
            if tasks.len() > 1 {
                context.io.line(format!("===> {} <===", task.id))?;
            }
            let Some(entries) = sandbox.browse(&sandbox.file(&self.path)).await? else {
                bail!("cannot access '{}': no such file or directory", self.path);
            };
            if self.long {
                context.io.table(&table(&entries))?;
            } else {
                let names: Vec<&str> = entries.iter().map(Entry::name).collect();
                context.io.line(printable(&names.join("  ")))?;
            }
        }
        Ok(())
    }
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(["MODE", "LINKS", "UID", "GID", "SIZE", "DATE", "NAME"]);
    for entry in entries {
        table.row([
            entry.mode.clone(),
            entry.links.clone(),
            entry.uid.clone(),
            entry.gid.clone(),
            entry.size.to_string(),
            date(entry.modified),
            entry.name().to_owned(),
        ]);
    }
    table
}

/// Seconds since 1970 as a date and time in UTC.
fn date(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01 of the proleptic Gregorian calendar, in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600, rest % 3_600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_600_000_000), "2020-09-13 12:26 UTC");
        assert_eq!(date(-1), "1969-12-31 23:59 UTC");
    }
}
