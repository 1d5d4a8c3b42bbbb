//! Files in the sandboxes of tasks, as agents give them.

use super::find::Task;
use crate::context::Context;
use crate::json::{list, shown, text};
use crate::server::{Server, query};
use anyhow::{Context as _, bail};
use http::Method;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::fmt;

/// What one read gives at most; agents give no more at once.
const PIECE: u64 = 64 * 1024;

/// A sandbox on an agent.
#[derive(Debug)]
pub(super) struct Sandbox {
    agent: Server,
    path: String,
}

/// A piece of a file.
#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(deserialize_with = "raw")]
    data: Vec<u8>,
    /// Where it begins; the file's length when none was asked for.
    offset: u64,
}

/// A file or folder in a sandbox.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) mode: String,
    pub(super) links: String,
    pub(super) uid: String,
    pub(super) gid: String,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Its path on the agent.
    pub(super) path: String,
}

// === impl Sandbox ===

impl Sandbox {
    /// The sandbox of a task.
    pub(super) async fn of(context: &mut Context, task: &Task) -> anyhow::Result<Sandbox> {
        if task.agent.is_null() {
            bail!("the agent of task {} is gone, and its files with it", task.id);
        }
        let agent = context.agent(&task.agent_id, text(&task.agent, "/pid"))?;
        let path = path_of(&agent, task).await?;
        Ok(Sandbox { agent, path })
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> String {
        match name.trim_matches('/') {
            "" | "." => self.path.clone(),
            name => format!("{}/{name}", self.path),
        }
    }

    /// A file's length; nothing if there is no such file.
    pub(super) async fn length(&self, path: &str) -> anyhow::Result<Option<u64>> {
        Ok(self.piece(path, "-1", 0).await?.map(|piece| piece.offset))
    }

    /// What a file holds from an offset on; nothing if there is no such file.
    pub(super) async fn read(&self, path: &str, offset: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let piece = self.piece(path, &offset.to_string(), PIECE).await?;
        Ok(piece.map(|piece| piece.data))
    }

    /// Where the last `lines` lines of a file begin, and where it ends.
    pub(super) async fn tail(
        &self,
        path: &str,
        lines: usize,
    ) -> anyhow::Result<Option<(u64, u64)>> {
        let Some(end) = self.length(path).await? else { return Ok(None) };
        let mut start = end;
        let mut seen = 0;
        while start > 0 && lines > 0 {
            let from = start.saturating_sub(PIECE);
            let length = start - from;
            let piece = self.piece(path, &from.to_string(), length).await?;
            let data = piece.map(|piece| piece.data).unwrap_or_default();
            for (index, byte) in data.iter().enumerate().rev() {
                let at = from + index as u64;
                // The end of the last line is no beginning of another.
                if *byte == b'\n' && at + 1 < end {
                    seen += 1;
                    if seen == lines {
                        return Ok(Some((at + 1, end)));
                    }
                }
            }
            start = from;
        }
        Ok(Some((if lines == 0 { end } else { 0 }, end)))
    }

    async fn piece(&self, path: &str, offset: &str, length: u64) -> anyhow::Result<Option<Piece>> {
        let length = length.to_string();
        let length = (offset != "-1").then_some(length.as_str());
        let query = query(&[("path", Some(path)), ("offset", Some(offset)), ("length", length)]);
        let target = format!("/files/read{query}");
        match self.agent.call(Method::GET, &target, None, None, None).await {
            Ok(answer) => Ok(Some(
                serde_json::from_slice(answer.body()).context("the agent answered no piece")?,
            )),
            Err(error) if crate::failure::is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is in a folder; nothing if there is no such folder.
    pub(super) async fn browse(&self, path: &str) -> anyhow::Result<Option<Vec<Entry>>> {
        let query = query(&[("path", Some(path))]);
        let found = self.agent.find(&format!("/files/browse{query}")).await?;
        Ok(found.map(|found| list(&found, "").iter().map(Entry::of).collect()))
    }

    /// A whole file, piece by piece, into `write`.
    pub(super) async fn download(
        &self,
        path: &str,
        mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut offset = 0;
        loop {
            let Some(data) = self.read(path, offset).await? else {
                bail!("{path} is gone from the agent")
            };
            if data.is_empty() {
                return Ok(());
            }
            write(&data)?;
            offset += data.len() as u64;
        }
    }
}

/// Reads bytes as an agent's piece of a file, for the fuzzer.
pub(crate) fn read_piece(data: &[u8]) {
    let _ = serde_json::from_slice::<Piece>(data);
}

/// Where a task's sandbox is: by its container when the task is over, else the latest run.
async fn path_of(agent: &Server, task: &Task) -> anyhow::Result<String> {
    let runs = format!("/frameworks/{}/executors/{}/runs", task.framework, task.executor);
    let (path, nested) = match task.container() {
        // A later run of the same executor must not be taken for this one.
        Some((own, parent)) if !task.active => {
            let run = format!("{runs}/{}", parent.unwrap_or(own));
            let known = agent.get("/files/debug").await?;
            let path = known_as(&known, &task.agent_id, &run);
            let path =
                path.with_context(|| format!("the agent of task {} shows no files", task.id))?;
            (path, parent.is_some())
        }
        container => {
            let nested = container.is_some_and(|(_, parent)| parent.is_some());
            (format!("{runs}/latest"), nested)
        }
    };
    Ok(if nested { format!("{path}/tasks/{}", task.id) } else { path })
}

/// Under which name an agent shows a run, out of all it shows with where that is.
fn known_as(known: &Value, agent: &str, run: &str) -> Option<String> {
    let known = || known.as_object().into_iter().flatten();
    let own = known().find(|(name, place)| name.ends_with(run) || shown(place).ends_with(run));
    // A folder above all of them may be shown too.
    let above = || known().find(|(_, place)| shown(place).ends_with("/slaves"));
    match own {
        Some((name, _)) => Some(name.clone()),
        None => above().map(|(name, _)| format!("{name}/{agent}{run}")),
    }
}

// === impl Entry ===

impl Entry {
    fn of(value: &Value) -> Entry {
        let number = |pointer| value.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
        // Sizes and times of files are whole and well below what a float holds exactly.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let (size, modified) = (number("/size") as u64, number("/mtime") as i64);
        Entry {
            mode: text(value, "/mode").to_owned(),
            links: value.pointer("/nlink").map(shown).unwrap_or_default(),
            uid: value.pointer("/uid").map(shown).unwrap_or_default(),
            gid: value.pointer("/gid").map(shown).unwrap_or_default(),
            size,
            modified,
            path: text(value, "/path").to_owned(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mode.starts_with('d')
    }
}

/// The bytes of a JSON string, UTF-8 or not: files hold what they hold.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Vec<u8>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string")
        }
        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            Ok(text.as_bytes().to_vec())
        }
    }
    deserializer.deserialize_bytes(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_through() {
        let piece: Piece = serde_json::from_slice(b"{\"data\":\"a\xff\\n\",\"offset\":3}").unwrap();
        assert_eq!((piece.data.as_slice(), piece.offset), (&b"a\xff\n"[..], 3));
    }

    #[test]
    fn runs_are_found_by_name_by_place_or_below_a_folder() {
        let run = "/frameworks/F/executors/E/runs/C";
        let known =
            |name: &str, place: &str| known_as(&serde_json::json!({ name: place }), "S0", run);
        let whole = format!("/work/slaves/S0{run}");
        assert_eq!(known(&whole, "/elsewhere").as_deref(), Some(whole.as_str()));
        assert_eq!(known("/short", &whole).as_deref(), Some("/short"));
        assert_eq!(known("/all", "/work/slaves"), Some(format!("/all/S0{run}")));
        assert_eq!(known("/other", "/work/other"), None);
    }

    #[test]
    fn entries_have_the_last_part_of_their_path_as_name() {
        let value = serde_json::json!({"mode": "drwxr-xr-x", "nlink": 2, "uid": "root",
            "gid": "root", "size": 4096, "mtime": 1600000000.0, "path": "/a/b/dir"});
        let entry = Entry::of(&value);
        assert_eq!((entry.name(), entry.is_folder(), entry.size), ("dir", true, 4096));
    }
}
