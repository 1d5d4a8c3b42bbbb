//! `dais task log`: the end of tasks' output, and what is added to it.

use super::files::Sandbox;
use super::find::{Filter, Task};
use crate::context::Context;
use anyhow::bail;
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks at growing files.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks for tasks that have come or gone.
const SEARCH: Duration = Duration::from_secs(2);
/// So often in a row the file of a task that is over may not be readable.
const MISSES: u32 = 25;

#[derive(Debug, Args)]
pub struct LogArguments {
    /// A part of the tasks' ids, or a pattern with * and ?; all that fit are printed.
    task: String,
    /// The file in the sandbox.
    #[arg(default_value = "stdout")]
    file: String,
    /// Tasks that are over as well.
    #[arg(long)]
    all: bool,
    /// Only tasks that are over.
    #[arg(long)]
    completed: bool,
    /// Go on printing what is added, of tasks that start later too.
    #[arg(short, long)]
    follow: bool,
    /// Print the last N lines.
    #[arg(long, default_value_t = 10, allow_negative_numbers = true)]
    lines: i64,
    /// Accepted for the dcos CLI's sake; there is one format.
    #[arg(short, long, hide = true)]
    output: Option<String>,
}

/// What to print of which tasks.
#[derive(Debug)]
pub(in crate::commands) struct Log {
    filter: Filter,
    file: String,
    lines: usize,
    follow: bool,
    /// Of which task the last lines were.
    last: Option<String>,
    /// Tasks that are over and printed whole.
    over: BTreeSet<String>,
}

/// A file that is being read.
struct Reader {
    sandbox: Sandbox,
    path: String,
    offset: u64,
    active: bool,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
    /// So often in a row nothing could be read.
    missed: u32,
}

// === impl LogArguments ===

impl LogArguments {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let filter = Filter {
            active: !self.completed,
            completed: self.all || self.completed,
            id: Some(self.task),
            ..Filter::default()
        };
        Log::new(filter, self.file, self.lines, self.follow).run(context).await
    }
}

// === impl Reader ===

impl Reader {
    fn of(sandbox: Sandbox, path: String, offset: u64, active: bool) -> Reader {
        Reader { sandbox, path, offset, active, begun: Vec::new(), missed: 0 }
    }
}

// === impl Log ===

impl Log {
    /// The log of exactly these tasks.
    pub(in crate::commands) fn of(ids: Vec<String>, file: String, lines: i64, follow: bool) -> Log {
        let filter = Filter { active: true, completed: true, ids: Some(ids), ..Filter::default() };
        Log::new(filter, file, lines, follow)
    }

    fn new(filter: Filter, file: String, lines: i64, follow: bool) -> Log {
        // A negative number means the same: older scripts give one.
        let lines = usize::try_from(lines.unsigned_abs()).unwrap_or(usize::MAX);
        Log { filter, file, lines, follow, last: None, over: BTreeSet::new() }
    }

    pub(in crate::commands) async fn run(mut self, context: &mut Context) -> anyhow::Result<()> {
        let tasks = self.filter.find_some(context).await?;
        let several = tasks.len() > 1;
        let mut readers = BTreeMap::new();
        let mut failed = false;
        for task in &tasks {
            match self.begin(context, task, several).await {
                Ok(reader) => {
                    readers.insert(task.id.clone(), reader);
                }
                Err(error) if several => {
                    failed = true;
                    context.io.note(format!("{}: {error:#}", task.id))?;
                }
                Err(error) => return Err(error),
            }
        }
        if self.follow {
            context.io.flush()?;
            return self.go_on(context, readers, several).await;
        }
        if failed {
            bail!("could not log all matched tasks");
        }
        Ok(())
    }

    /// Prints the end of a task's file.
    async fn begin(
        &mut self,
        context: &mut Context,
        task: &Task,
        several: bool,
    ) -> anyhow::Result<Reader> {
        let sandbox = Sandbox::of(context, task).await?;
        let path = sandbox.file(&self.file);
        let Some((mut offset, end)) = sandbox.tail(&path, self.lines).await? else {
            bail!("no file '{}' in the sandbox of {}", self.file, task.id);
        };
        if several && !self.follow {
            context.io.line(format!("===> {} <===", task.id))?;
        }
        let mut reader = Reader::of(sandbox, path, offset, task.active);
        while offset < end {
            let data = reader.sandbox.read(&reader.path, offset).await?.unwrap_or_default();
            if data.is_empty() {
                break;
            }
            offset += data.len() as u64;
            reader.offset = offset;
            if several && self.follow {
                self.print(context, &task.id, &mut reader, &data)?;
            } else {
                context.io.bytes(&data)?;
            }
        }
        Ok(reader)
    }

    /// Prints what is added, until all tasks are over or nobody listens.
    async fn go_on(
        mut self,
        context: &mut Context,
        mut readers: BTreeMap<String, Reader>,
        mut several: bool,
    ) -> anyhow::Result<()> {
        let mut searched = Instant::now();
        loop {
            let mut quiet = true;
            let mut over = Vec::new();
            for (id, reader) in &mut readers {
                // An agent that restarts keeps the files.
                let Ok(Some(data)) = reader.sandbox.read(&reader.path, reader.offset).await else {
                    reader.missed += 1;
                    if !reader.active && reader.missed > MISSES {
                        over.push(id.clone());
                    }
                    continue;
                };
                reader.missed = 0;
                if data.is_empty() {
                    if !reader.active {
                        over.push(id.clone());
                    }
                    continue;
                }
                quiet = false;
                reader.offset += data.len() as u64;
                if several {
                    self.print(context, id, reader, &data)?;
                } else {
                    context.io.bytes(&data)?;
                }
            }
            for id in over {
                if let Some(reader) = readers.remove(&id) {
                    self.end(context, &id, &reader)?;
                    self.over.insert(id);
                }
            }
            context.io.flush()?;
            if quiet && !readers.values().any(|reader| reader.active) {
                return readers.iter().try_for_each(|(id, reader)| self.end(context, id, reader));
            }
            if quiet {
                sleep(PAUSE).await;
            }
            if searched.elapsed() >= SEARCH {
                self.search(context, &mut readers, &mut several).await?;
                searched = Instant::now();
            }
        }
    }

    /// Looks for tasks that have come or gone; a master that is away is asked again later.
    async fn search(
        &mut self,
        context: &mut Context,
        readers: &mut BTreeMap<String, Reader>,
        several: &mut bool,
    ) -> anyhow::Result<()> {
        let Ok(tasks) = self.filter.find(context).await else { return Ok(()) };
        for reader in readers.values_mut() {
            reader.active = false;
        }
        // What the master has forgotten need not be remembered here.
        self.over.retain(|id| tasks.iter().any(|task| task.id == *id));
        for task in &tasks {
            if self.over.contains(&task.id) {
                continue;
            }
            if let Some(reader) = readers.get_mut(&task.id) {
                reader.active = task.active;
                continue;
            }
            // Its file may not be there yet; then it is found the next time.
            let Ok(sandbox) = Sandbox::of(context, task).await else { continue };
            let path = sandbox.file(&self.file);
            readers.insert(task.id.clone(), Reader::of(sandbox, path, 0, task.active));
        }
        *several |= readers.len() > 1;
        Ok(())
    }

    /// Prints whole lines, under the name of their task.
    fn print(
        &mut self,
        context: &mut Context,
        id: &str,
        reader: &mut Reader,
        data: &[u8],
    ) -> anyhow::Result<()> {
        reader.begun.extend_from_slice(data);
        let Some(end) = reader.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let rest = reader.begun.split_off(end + 1);
        let lines = std::mem::replace(&mut reader.begun, rest);
        self.head(context, id)?;
        Ok(context.io.bytes(&lines)?)
    }

    fn head(&mut self, context: &mut Context, id: &str) -> anyhow::Result<()> {
        if self.last.as_deref() != Some(id) {
            context.io.line(format!("===> {id} <==="))?;
            self.last = Some(id.to_owned());
        }
        Ok(())
    }

    /// A last line without an end is printed too.
    fn end(&mut self, context: &mut Context, id: &str, reader: &Reader) -> anyhow::Result<()> {
        if !reader.begun.is_empty() {
            self.head(context, id)?;
            context.io.bytes(&reader.begun)?;
            context.io.line("")?;
        }
        Ok(())
    }
}
