//! LIST_FILES and READ_FILE.
use http_kit::{
    Response,
    files::{FileInfo, FilesError},
    respond,
};
use mesos_messages::v1::{
    self,
    master::{
        self,
        response::{self, Type},
    },
};

use super::{super::HttpState, Asked};

pub(super) async fn list(state: &HttpState, asked: &Asked) -> Response {
    let path = asked.call.list_files.as_ref().map_or("", |call| call.path.as_str());
    match state.files.browse(path, &asked.caller).await {
        Ok(entries) => {
            let file_infos = entries.into_iter().map(file_info).collect();
            asked.reply(master::Response {
                r#type: Some(Type::ListFiles as i32),
                list_files: Some(response::ListFiles { file_infos }),
                ..master::Response::default()
            })
        }
        Err(error) => refused(&error),
    }
}

pub(super) async fn read(state: &HttpState, asked: &Asked) -> Response {
    let Some(call) = &asked.call.read_file else {
        return respond::bad_request("Expecting 'read_file' to be present");
    };
    match state.files.read(&call.path, Some(call.offset), call.length, &asked.caller).await {
        Ok(piece) => asked.reply(master::Response {
            r#type: Some(Type::ReadFile as i32),
            read_file: Some(response::ReadFile { size: piece.size, data: piece.data.into() }),
            ..master::Response::default()
        }),
        Err(error) => refused(&error),
    }
}

fn file_info(entry: FileInfo) -> v1::FileInfo {
    v1::FileInfo {
        path: entry.path,
        nlink: Some(i32::try_from(entry.nlink).unwrap_or(i32::MAX)),
        size: Some(entry.size),
        mtime: Some(v1::TimeInfo { nanoseconds: entry.mtime.saturating_mul(1_000_000_000) }),
        mode: Some(entry.mode),
        uid: Some(entry.uid),
        gid: Some(entry.gid),
    }
}

fn refused(error: &FilesError) -> Response {
    match error {
        FilesError::Invalid(text) => respond::bad_request(text.clone()),
        FilesError::Forbidden => respond::forbidden(),
        FilesError::NotFound => respond::not_found(),
        FilesError::Io(text) => respond::internal_error(text.clone()),
    }
}
