//! What is too long for one line of the policy stream: cut, and put together again.
//!
//! All pieces have the same version, each but the last says that there is `more`. Nothing of
//! them counts before the last one is there.

use crate::SnapshotError;
use crate::wire::{Change, Everything, Line, Permission, UserEntry};

/// How long a line may become before it is cut, nearly: a piece holds one record at least.
pub const PIECE: usize = 4 * 1024 * 1024;
/// More pieces than that are a mistake or an attack.
const MOST_PIECES: usize = 4096;
/// What JSON puts around a name.
const AROUND: usize = 48;

/// Puts the pieces of lines together.
#[derive(Debug, Default)]
pub struct Pieces {
    held: Option<Line>,
    count: usize,
}

// === impl Pieces ===

impl Pieces {
    /// Takes a line as it came, and gives one that is whole. After an error the stream has to be
    /// begun anew.
    pub fn take(&mut self, line: Line) -> Result<Option<Line>, SnapshotError> {
        let more = line.more;
        let mut whole = match self.held.take() {
            None => {
                self.count = 0;
                line
            }
            Some(held) => join(held, line)?,
        };
        self.count += 1;
        whole.more = false;
        if !more {
            return Ok(Some(whole));
        }
        if self.count >= MOST_PIECES || (whole.snapshot.is_none() && whole.changes.is_none()) {
            return Err(SnapshotError::Pieces);
        }
        self.held = Some(whole);
        Ok(None)
    }
}

fn join(mut held: Line, next: Line) -> Result<Line, SnapshotError> {
    if held.version != next.version {
        return Err(SnapshotError::Pieces);
    }
    match (&mut held.snapshot, &mut held.changes, next.snapshot, next.changes) {
        (Some(all), None, Some(more), None) => {
            all.users.extend(more.users);
            all.permissions.extend(more.permissions);
        }
        (None, Some(all), None, Some(more)) => all.extend(more),
        _ => return Err(SnapshotError::Pieces),
    }
    Ok(held)
}

// === impl Line ===

impl Line {
    /// The line with its newline, or several lines where it would be too long.
    pub fn encoded(&self) -> Vec<Vec<u8>> {
        if self.weight() <= PIECE {
            return vec![self.to_bytes()];
        }
        self.clone().cut(PIECE).iter().map(Line::to_bytes).collect()
    }

    /// The line in pieces of about `limit` bytes.
    pub fn cut(self, limit: usize) -> Vec<Line> {
        let version = self.version;
        let mut lines = match (self.snapshot, self.changes) {
            (Some(all), None) => cut_snapshot(version, all, limit),
            (None, Some(changes)) => {
                let parts = cut_list(changes, limit, change);
                parts.into_iter().map(|part| Line::changes(version, part)).collect()
            }
            (snapshot, changes) => vec![Line { version, snapshot, changes, more: false }],
        };
        let last = lines.len().saturating_sub(1);
        lines.iter_mut().take(last).for_each(|line| line.more = true);
        lines
    }

    /// About how many bytes it has.
    fn weight(&self) -> usize {
        let all = self.snapshot.iter().map(|all| {
            let users: usize = all.users.iter().map(|(uid, entry)| user(uid, entry)).sum();
            users + all.permissions.iter().map(permission).sum::<usize>()
        });
        let changes = self.changes.iter().flatten().map(change);
        all.chain(changes).sum()
    }
}

fn cut_snapshot(version: u64, all: Everything, limit: usize) -> Vec<Line> {
    let Everything { keys, users, permissions } = all;
    let users = cut_list(users.into_iter().collect(), limit, |(uid, entry)| user(uid, entry));
    let users = users
        .into_iter()
        .map(|part| Everything { users: part.into_iter().collect(), ..Everything::default() });
    let permissions = cut_list(permissions, limit, permission);
    let permissions = permissions
        .into_iter()
        .map(|part| Everything { permissions: part, ..Everything::default() });
    // The first has the keys, also where there is nothing else.
    let first = Everything { keys, ..Everything::default() };
    let parts = std::iter::once(first).chain(users).chain(permissions);
    parts.map(|part| Line::snapshot(version, part)).collect()
}

fn cut_list<T>(list: Vec<T>, limit: usize, weight: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut left = 0;
    for item in list {
        let weight = weight(&item);
        match parts.last_mut() {
            Some(part) if weight <= left => {
                part.push(item);
                left -= weight;
            }
            _ => {
                left = limit.saturating_sub(weight);
                parts.push(vec![item]);
            }
        }
    }
    parts
}

fn user(uid: &str, entry: &UserEntry) -> usize {
    AROUND + uid.len() + entry.groups.iter().map(|gid| gid.len() + 3).sum::<usize>()
}

fn permission(permission: &Permission) -> usize {
    let subjects = permission.users.keys().chain(permission.groups.keys());
    AROUND + permission.rid.len() + subjects.map(|id| AROUND + id.len()).sum::<usize>()
}

fn change(change: &Change) -> usize {
    match change {
        Change::UserSet { uid, user: entry } => AROUND + user(uid, entry),
        Change::UserRemoved { uid } => AROUND + uid.len(),
        Change::MemberSet { gid, uid } | Change::MemberRemoved { gid, uid } => {
            AROUND + gid.len() + uid.len()
        }
        Change::GroupRemoved { gid } => AROUND + gid.len(),
        Change::PermissionSet { permission: all } => AROUND + permission(all),
        Change::PermissionRemoved { rid } => AROUND + rid.len(),
        Change::KeysSet { keys } => AROUND + keys.to_string().len(),
    }
}
