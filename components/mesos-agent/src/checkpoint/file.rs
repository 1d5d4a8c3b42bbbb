//! The formats of checkpoint files: messages behind their sizes, plain texts.

use prost::Message;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Sizes above this are damage, not messages.
const MAX_MESSAGE: usize = 64 << 20;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl FileError {
    pub(super) fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A message behind its size, in four bytes, little end first.
pub(super) fn encode(message: &impl Message) -> Vec<u8> {
    let size = message.encoded_len();
    let mut bytes = Vec::with_capacity(size + 4);
    bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    // A vector grows: encoding into it cannot fail.
    let _ = message.encode(&mut bytes);
    bytes
}

type Parts<'a> = (&'a [u8], &'a [u8]);

/// The bytes of one message, and what follows it. None where the rest is shorter than it says.
fn split(bytes: &[u8]) -> Result<Option<Parts<'_>>, String> {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_le_bytes(*size) as usize;
    if size > MAX_MESSAGE {
        return Err(format!("a message of {size} bytes is announced"));
    }
    Ok(rest.split_at_checked(size))
}

/// Reads the only message of a file.
pub(super) fn read_message<M: Message + Default>(path: &Path) -> Result<M, FileError> {
    let bytes = fs::read(path).map_err(|error| FileError::new(path, error))?;
    match split(&bytes).map_err(|reason| FileError::new(path, reason))? {
        Some((message, [])) => M::decode(message).map_err(|error| FileError::new(path, error)),
        Some(_) => Err(FileError::new(path, "something follows the message")),
        None => Err(FileError::new(path, "the message is cut off")),
    }
}

/// Reads all messages of a file that is appended to, and the length of what is whole: a process
/// that died may have left half a message at the end.
pub(super) fn read_records<M: Message + Default>(path: &Path) -> Result<(Vec<M>, u64), FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(FileError::new(path, error)),
    };
    let mut messages = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((message, next)) = split(rest).map_err(|reason| FileError::new(path, reason))? {
        messages.push(M::decode(message).map_err(|error| FileError::new(path, error))?);
        rest = next;
    }
    Ok((messages, (bytes.len() - rest.len()) as u64))
}

/// A text, or none if the file does not exist.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_messages::v1;

    #[test]
    fn damage_is_named_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.info");
        let message = v1::TaskId { value: "t".into() };
        let whole = encode(&message);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_message::<v1::TaskId>(&path).unwrap(), message);
        for damage in [&whole[..whole.len() - 1], &[9, 0, 0][..], &[255; 8], b"\x02\0\0\0\x0a\xff"]
        {
            fs::write(&path, damage).unwrap();
            let error = read_message::<v1::TaskId>(&path).unwrap_err();
            assert!(error.to_string().contains("x.info"), "{error}");
        }
    }

    #[test]
    fn half_a_record_at_the_end_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task.updates");
        let record = encode(&v1::TaskId { value: "t".into() });
        let mut bytes = record.repeat(2);
        bytes.extend_from_slice(&record[..5]);
        fs::write(&path, bytes).unwrap();
        let (records, length) = read_records::<v1::TaskId>(&path).unwrap();
        assert_eq!((records.len(), length), (2, 2 * record.len() as u64));
        assert_eq!(read_records::<v1::TaskId>(&dir.path().join("none")).unwrap().1, 0);
    }
}
