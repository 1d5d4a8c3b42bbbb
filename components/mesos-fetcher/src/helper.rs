//! The helper's side: fetches one container's URIs as the task's user.
//!
//! It becomes the user before it touches anything, so that whatever an archive or a server makes it
//! do, it does with the user's rights. What it does stands in the sandbox's `stderr`.

mod download;
mod extract;
mod place;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::ExitCode,
};

use nix::unistd::{Gid, Uid};

pub(crate) use download::http_size;
pub(crate) use extract::Extractor;

use crate::{
    job::{Action, Identity, Item, Job, Outcome},
    uri::{Format, Source, destination},
};

/// A job is text of this size at most.
const MAX_JOB_BYTES: u64 = 64 << 20;

/// What the product's binary runs as `fetcher-helper`; `args` are those after that word: none. The
/// job comes in by the standard input.
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = match read_job().and_then(|job| run(&job)) {
        Ok(()) => Outcome::Fetched,
        Err(reason) => Outcome::Failed(reason),
    };
    let text = serde_json::to_vec(&outcome).unwrap_or_default();
    let told = io::stdout().write_all(&text).is_ok();
    if told && outcome == Outcome::Fetched { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_job() -> Result<Job, String> {
    let mut text = Vec::new();
    io::stdin()
        .take(MAX_JOB_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| format!("Failed to read the job: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("Failed to read the job: {error}"))
}

fn run(job: &Job) -> Result<(), String> {
    if let Some(identity) = &job.identity {
        become_user(identity)?;
    }
    let _ = nix::unistd::setsid();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let sandbox: OwnedFd = File::open(&job.sandbox)
        .map_err(|error| format!("Failed to open '{}': {error}", job.sandbox.display()))?
        .into();
    let mut worker = Worker { job, log: place::open_log(&sandbox), sandbox };
    for item in &job.items {
        worker.fetch(item).map_err(|reason| {
            let reason = format!("Failed to fetch '{}': {reason}", item.uri);
            worker.say(&reason);
            reason
        })?;
    }
    if job.items.iter().any(|item| !matches!(item.action, Action::Download(_))) {
        worker.say(&format!("Successfully fetched all URIs into '{}'", job.sandbox.display()));
    }
    Ok(())
}

fn become_user(identity: &Identity) -> Result<(), String> {
    let failed = |error: nix::Error| format!("Failed to become user {}: {error}", identity.uid);
    let groups: Vec<Gid> = identity.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    nix::unistd::setgroups(&groups).map_err(failed)?;
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid).map_err(failed)?;
    let uid = Uid::from_raw(identity.uid);
    nix::unistd::setresuid(uid, uid, uid).map_err(failed)
}

struct Worker<'a> {
    job: &'a Job,
    sandbox: OwnedFd,
    log: Option<File>,
}

impl Worker<'_> {
    fn say(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{text}");
        }
    }

    fn fetch(&mut self, item: &Item) -> Result<(), String> {
        match &item.action {
            Action::Bypass => self.bypass(item),
            Action::Download(file) => {
                self.say(&format!("Downloading '{}' into the cache", item.uri));
                let file = File::options()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(file)
                    .map_err(|error| format!("the cache cannot be written: {error}"))?;
                self.download(&item.uri, &file).map(drop)
            }
            Action::Retrieve(file) => self.retrieve(item, file),
        }
    }

    fn bypass(&mut self, item: &Item) -> Result<(), String> {
        let path = destination(&item.uri, item.output_file.as_deref())?;
        self.say(&format!("Fetching '{}' to '{}'", item.uri, path.display()));
        let file = place::create(&self.sandbox, &path, 0o644)
            .map_err(|error| format!("'{}' cannot be created: {error}", path.display()))?;
        let mode = self.download(&item.uri, &file)?;
        self.finish(item, &path, &file, mode)
    }

    fn retrieve(&mut self, item: &Item, cached: &Path) -> Result<(), String> {
        let path = destination(&item.uri, item.output_file.as_deref())?;
        self.say(&format!("Fetching '{}' from the cache", item.uri));
        let failed = |error: io::Error| format!("the cache cannot be read: {error}");
        let cached = File::open(cached).map_err(failed)?;
        if item.extract && !item.executable && Format::of(&path).is_some() {
            return self.extract(item, &path, &cached);
        }
        let mut file = place::create(&self.sandbox, &path, 0o644)
            .map_err(|error| format!("'{}' cannot be created: {error}", path.display()))?;
        io::copy(&mut &cached, &mut file).map_err(failed)?;
        self.finish(item, &path, &file, None)
    }

    /// The permissions are those of a local file.
    fn download(&self, uri: &str, to: &File) -> Result<Option<u32>, String> {
        match Source::of(uri, self.job.frameworks_home.as_deref())? {
            Source::Local(path) => download::copy(&path, to).map(Some),
            Source::Http(url) => download::http(&url, to, self.job.stall_timeout_ms).map(|()| None),
        }
    }

    fn finish(
        &mut self,
        item: &Item,
        path: &Path,
        file: &File,
        mode: Option<u32>,
    ) -> Result<(), String> {
        let mode = mode.unwrap_or(0o644) | if item.executable { 0o111 } else { 0 };
        place::set_mode(file, mode)
            .map_err(|error| format!("'{}' cannot be given its mode: {error}", path.display()))?;
        if item.executable || !item.extract {
            return Ok(());
        }
        if Format::of(path).is_some() {
            let archive = place::open_file(&self.sandbox, path)
                .map_err(|error| format!("'{}' cannot be opened: {error}", path.display()))?;
            return self.extract(item, path, &archive);
        }
        self.say(&format!("Not extracting '{}': it has no suffix of an archive", path.display()));
        Ok(())
    }

    fn extract(&mut self, item: &Item, path: &Path, archive: &File) -> Result<(), String> {
        let mut extractor = Extractor::new(&self.sandbox, self.job.limits);
        let entries = extractor
            .extract(path, archive)
            .map_err(|error| format!("'{}' cannot be extracted: {error}", path.display()))?;
        self.say(&format!("Extracted '{}' ({entries} entries)", item.uri));
        Ok(())
    }
}
