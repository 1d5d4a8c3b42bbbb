//! The list of repositories.

use serde_json::{Value, json};

use super::{Answer, object};
use crate::Cosmos;
use crate::error::{Failure, NameOrUri};
use crate::fields::{Decoded, Fields};
use crate::repositories::Listed;

/// A repository to add.
pub(crate) struct Add {
    new: Listed,
    index: Option<i64>,
}

/// A repository to remove.
pub(crate) struct Delete {
    name: Option<String>,
    uri: Option<String>,
}

// === impl Add ===

impl Add {
    pub(super) fn read(body: &Fields) -> Decoded<Add> {
        let new = Listed { name: body.required_text("name")?, uri: body.required_text("uri")? };
        Ok(Add { new, index: body.integer("index")? })
    }
}

// === impl Delete ===

impl Delete {
    pub(super) fn read(body: &Fields) -> Decoded<Delete> {
        Ok(Delete { name: body.text("name")?, uri: body.text("uri")? })
    }
}

/// The list; with `status` also how it goes with each. Not without being asked: clients of the
/// original may know no other fields.
pub(super) async fn list(cosmos: &Cosmos, status: bool) -> Result<Answer, Failure> {
    let list = cosmos.repositories.list().await?;
    if !status {
        return Ok(shown(&list));
    }
    let with_status = |Listed { name, uri }: &Listed| json!({"name": name, "uri": uri, "status": cosmos.repositories.status(uri)});
    let all: Vec<Value> = list.iter().map(with_status).collect();
    Ok(Answer::Plain(object(json!({ "repositories": all }))))
}

pub(super) async fn add(cosmos: &Cosmos, add: Add) -> Result<Answer, Failure> {
    Ok(shown(&cosmos.repositories.add(add.new, add.index).await?))
}

pub(super) async fn delete(cosmos: &Cosmos, delete: Delete) -> Result<Answer, Failure> {
    let wanted = NameOrUri { name: delete.name.as_deref(), uri: delete.uri.as_deref() };
    if wanted.name.is_none() && wanted.uri.is_none() {
        return Err(Failure::repo_name_or_uri_missing());
    }
    Ok(shown(&cosmos.repositories.delete(wanted).await?))
}

fn shown(list: &[Listed]) -> Answer {
    Answer::Plain(object(json!({ "repositories": list })))
}
