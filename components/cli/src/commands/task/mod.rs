//! `dais task`: tasks of the cluster, their logs and their files.

mod download;
mod files;
mod find;
mod list;
pub(super) mod log;
mod ls;

pub(crate) use files::read_piece;
pub use list::List;

use crate::context::Context;
use clap::Subcommand;

/// The commands of `task` that need no more than the cluster's APIs.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Download files from the sandbox of a given task.
    Download(download::Download),
    /// Print the tasks in the cluster.
    List(List),
    /// Print the task log. By default, the 10 most recent lines of stdout are printed.
    Log(log::LogArguments),
    /// Print the list of files in the task's sandbox.
    Ls(ls::Ls),
}

pub(super) async fn run(
    command: Option<TaskCommand>,
    list: List,
    context: &mut Context,
) -> anyhow::Result<()> {
    if !matches!(command, None | Some(TaskCommand::List(_))) {
        super::no_list(&list, "task")?;
    }
    match command {
        Some(TaskCommand::Download(download)) => download.run(context).await,
        Some(TaskCommand::List(own)) => own.and(list).run(context).await,
        Some(TaskCommand::Log(log)) => log.run(context).await,
        Some(TaskCommand::Ls(ls)) => ls.run(context).await,
        None => {
            super::deprecated(context, "tasks", "task")?;
            list.run(context).await
        }
    }
}

/// The rows of every list of tasks, out of any value, for the fuzzer.
pub(super) fn show(state: &serde_json::Value) -> crate::table::Table {
    list::table(&find::Filter::all().tasks(state))
}
