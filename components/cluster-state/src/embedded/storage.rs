//! The file: tables, opening, reading, and reopening after a failed flush.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};

use crate::{Entry, StateError, Version};

/// Key to version and value.
pub(super) const ENTRIES: TableDefinition<'static, &str, (u64, &[u8])> =
    TableDefinition::new("entries");
/// Numbers about the store itself: the format, the last revision, election tokens.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
pub(super) const REVISION: &str = "revision";

const FORMAT: &str = "format";
const KNOWN_FORMAT: u64 = 1;
/// The state is small; redb's default of 1 GiB is for databases.
const CACHE_BYTES: usize = 4 << 20;
/// How long a reopening waits for readers to let go of the old handle.
const READERS_PATIENCE: Duration = Duration::from_secs(5);

/// The open file. It is empty for the moment between a failed flush and the
/// reopening: redb refuses every use of a handle that saw an I/O error.
#[derive(Debug)]
pub(super) struct Storage {
    path: PathBuf,
    database: Mutex<Option<Arc<Database>>>,
}

impl Storage {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(StateError::storage)?;
        }
        make_private(path).map_err(StateError::storage)?;
        let database = create(path)?;
        Ok(Storage { path: path.to_owned(), database: Mutex::new(Some(Arc::new(database))) })
    }

    pub(super) fn database(&self) -> Result<Arc<Database>, StateError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StateError::Closed)
    }

    /// Replaces the handle after an I/O error, as soon as the readers are done with it.
    pub(super) fn reopen(&self) -> Result<(), StateError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut old) = slot.take() {
            let begun = std::time::Instant::now();
            while let Err(still_read) = Arc::try_unwrap(old) {
                if begun.elapsed() > READERS_PATIENCE {
                    *slot = Some(still_read);
                    return Err(StateError::Locked { path: self.path.clone() });
                }
                old = still_read;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        *slot = Some(Arc::new(create(&self.path)?));
        Ok(())
    }

    pub(super) fn get(&self, key: String) -> Result<Option<Entry>, StateError> {
        let transaction = self.database()?.begin_read().map_err(StateError::storage)?;
        let table = transaction.open_table(ENTRIES).map_err(StateError::storage)?;
        let found = table.get(key.as_str()).map_err(StateError::storage)?;
        Ok(found.map(|guard| entry(key, guard.value())))
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Entry>, StateError> {
        let transaction = self.database()?.begin_read().map_err(StateError::storage)?;
        let table = transaction.open_table(ENTRIES).map_err(StateError::storage)?;
        let mut entries = Vec::new();
        for item in table.range(prefix..).map_err(StateError::storage)? {
            let (key, value) = item.map_err(StateError::storage)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            entries.push(entry(key.value().to_owned(), value.value()));
        }
        Ok(entries)
    }

    pub(super) fn revision(&self) -> Result<u64, StateError> {
        let transaction = self.database()?.begin_read().map_err(StateError::storage)?;
        let table = transaction.open_table(META).map_err(StateError::storage)?;
        let found = table.get(REVISION).map_err(StateError::storage)?;
        Ok(found.map_or(0, |guard| guard.value()))
    }
}

fn entry(key: String, (version, value): (u64, &[u8])) -> Entry {
    Entry { key, value: Bytes::copy_from_slice(value), version: Version(version) }
}

/// Makes the file one that only its owner reads: the state holds what services are told in
/// their environment, passwords among it.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    // One of an earlier version may be open to everybody.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<Database, StateError> {
    let database =
        Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StateError::Locked { path: path.to_owned() },
            other => StateError::storage(other),
        })?;
    match read_format(&database)? {
        Some(KNOWN_FORMAT) => Ok(database),
        Some(found) => {
            Err(StateError::UnknownFormat { path: path.to_owned(), found, known: KNOWN_FORMAT })
        }
        None => {
            initialise(&database).map_err(StateError::storage)?;
            Ok(database)
        }
    }
}

fn read_format(database: &Database) -> Result<Option<u64>, StateError> {
    let transaction = database.begin_read().map_err(StateError::storage)?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(other) => return Err(StateError::storage(other)),
    };
    let found = table.get(FORMAT).map_err(StateError::storage)?;
    Ok(found.map(|guard| guard.value()))
}

/// Both tables and the format appear in one transaction, so that readers may
/// rely on all three.
fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(META)?.insert(FORMAT, KNOWN_FORMAT)?;
    transaction.commit()?;
    Ok(())
}
