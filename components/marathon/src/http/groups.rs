//! `/v2/groups`: groups, their versions, and what is in them.

use http::Method;
use http_kit::{guard::Refusal, respond};
use marathon_model::{GroupUpdate, ModelError, PathId, Violation, change::Change};
use serde_json::{Value, json};

use super::{
    Answer, Api, Context, Problem, apps::visible, document, known_id, new_id, now, pieces, version,
};
use crate::render::{
    app::{Apps, Embed},
    group::{GroupEmbed, Tree},
};

/// A tree with more apps is written apart from the runtime's threads.
const INLINE: usize = 200;

impl Api {
    pub(super) async fn group(&self, id: &str, context: Context) -> Answer {
        match context.method {
            Method::POST => self.create_group(id, &context).await,
            Method::PUT => self.update_group(id, &context).await,
            Method::PATCH => self.patch_group(id, &context).await,
            Method::DELETE => self.delete_group(id, &context).await,
            _ => self.show_group(id, &context).await,
        }
    }

    async fn show_group(&self, id: &str, context: &Context) -> Answer {
        let view = self.view();
        let embeds: Vec<&str> = context.query.embeds().collect();
        let embed = GroupEmbed::resolve(embeds.into_iter());
        let group = known_id(id).and_then(|id| view.root.group(&id).cloned());
        let group = group.ok_or_else(|| Problem::no_group(id))?;
        let large = view.root.apps_below(&group.id).nth(INLINE).is_some();
        let visible = context.visible();
        let write = move || {
            let tree = Tree::of(&view, &group.id, &visible);
            // What everybody is in, everybody may ask for.
            if !(group.id.is_root() || tree.is_shown(&group.id, &visible)) {
                return Err(Refusal::Forbidden);
            }
            let mut out = Vec::new();
            tree.write(&mut out, &view, &group, embed, now());
            Ok(out)
        };
        let out = if large {
            let written = tokio::task::spawn_blocking(write).await;
            written.map_err(|error| {
                Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            })?
        } else {
            write()
        };
        Ok(respond::json(out?))
    }

    pub(super) fn apps_in_group(&self, id: &str, context: &Context) -> Answer {
        // A group that does not exist has no apps: the original says no more.
        let group = known_id(id).ok_or_else(|| Problem::no_group(id))?;
        let embeds = context.query.embeds().filter(|embed| embed.starts_with("group.apps."));
        let embed = Embed::resolve(embeds);
        let apps = Apps::new(self.view(), None, group, embed, now());
        Ok(pieces(apps.filtered(visible(context, None)), context))
    }

    pub(super) async fn group_versions(&self, id: &str) -> Answer {
        let view = self.view();
        let group = known_id(id).filter(|id| view.root.group(id).is_some());
        let group = group.ok_or_else(|| Problem::no_group(id))?;
        Ok(document(&json!(self.store.group_versions(&group).await?)))
    }

    pub(super) async fn group_version(&self, id: &str, text: &str, context: &Context) -> Answer {
        let group = known_id(id).ok_or_else(|| Problem::no_group(id))?;
        let version = version(text)?;
        let view = self.view();
        let found = self.store.group_at(&view.root, &group, version).await?;
        let (apps, groups) = found.ok_or_else(|| Problem::no_group(id))?;
        let itself = groups.iter().find(|known| known.id == group).cloned();
        let itself = itself.ok_or_else(|| Problem::no_group(id))?;
        let embeds: Vec<&str> = context.query.embeds().collect();
        let embed = GroupEmbed::resolve(embeds.into_iter()).without_apps();
        let mut out = Vec::new();
        Tree::new(version, apps, groups).write(&mut out, &view, &itself, embed, now());
        Ok(respond::json(out))
    }

    async fn create_group(&self, id: &str, context: &Context) -> Answer {
        let id = new_id(id)?;
        let update = GroupUpdate::parse_bytes(&context.body)?;
        let location = effective(&id, &update)?;
        context.judge().may_put_group(&self.view().root, &location, &update)?;
        let force = context.query.flag("force", false);
        let change = Change::CreateGroup { id, update };
        Ok(self.change(&context.query, change, force).await?.response(Some(&location)))
    }

    async fn update_group(&self, id: &str, context: &Context) -> Answer {
        let id = new_id(id)?;
        let update = GroupUpdate::parse_bytes(&context.body)?;
        let group = effective(&id, &update)?;
        context.judge().may_put_group(&self.view().root, &group, &update)?;
        let change = match (update.version, update.scale_by) {
            (Some(version), _) => {
                let view = self.view();
                let found = self.store.group_at(&view.root, &group, version).await?;
                let (apps, groups) = found.ok_or_else(|| {
                    let text = format!("Group {group} not available in version {version}");
                    Problem::unprocessable(text)
                })?;
                Change::RestoreGroup { id: group, apps, groups }
            }
            (None, Some(factor)) => Change::ScaleGroup { id: group, factor },
            (None, None) => Change::UpdateGroup { id, update },
        };
        let force = context.query.flag("force", false);
        // The original answers 200 also when the group is new.
        Ok(self.change(&context.query, change, force).await?.response(None))
    }

    async fn patch_group(&self, id: &str, context: &Context) -> Answer {
        let id = known_id(id).ok_or_else(|| Problem::no_group(id))?;
        let body: Value = serde_json::from_slice(&context.body)
            .map_err(|error| ModelError::broken_json(error.to_string()))?;
        let enforce_role = match body.get("enforceRole") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(enforce)) => Some(*enforce),
            Some(_) => {
                let violation = Violation::new("/enforceRole", "error.expected.jsboolean");
                return Err(ModelError::wrong_shape(&[violation]).into());
            }
        };
        let change = Change::PatchGroup { id, enforce_role };
        match self.change(&context.query, change, false).await? {
            super::Changed::Impact(response) => Ok(response),
            _ => Ok(respond::ok()),
        }
    }

    async fn delete_group(&self, id: &str, context: &Context) -> Answer {
        let id = known_id(id).ok_or_else(|| Problem::no_group(id))?;
        let force = context.query.flag("force", false);
        Ok(self.change(&context.query, Change::DeleteGroup { id }, force).await?.response(None))
    }
}

/// The group that a body is about: its id is relative to the request's path.
fn effective(id: &PathId, update: &GroupUpdate) -> Result<PathId, Problem> {
    let Some(text) = &update.id else { return Ok(id.clone()) };
    PathId::resolve(text, id)
        .map_err(|error| ModelError::Invalid(vec![Violation::new("/id", error.message)]).into())
}
