//! `/v2/apps`: apps and their versions.

use http::Method;
use http_kit::respond;
use marathon_model::{App, AppUpdate, PathId, change::Change, selector::LabelSelectors};
use serde_json::json;

use super::{
    Answer, Api, Changed, Context, Problem, created, document, known_id, name_deployment, new_id,
    now, pieces, version,
};
use crate::render::{
    app::{self, AppWriter, Apps, Embed, Filter},
    pieces::Source,
};

impl Api {
    pub(super) async fn apps(&self, context: Context) -> Answer {
        match context.method {
            Method::POST => self.create_app(context).await,
            Method::PUT => {
                let partial = context.query.flag("partialUpdate", true);
                self.update_apps(&context, partial, true).await
            }
            Method::PATCH => self.update_apps(&context, true, false).await,
            _ => self.list_apps(&context),
        }
    }

    fn list_apps(&self, context: &Context) -> Answer {
        let filter = filter(context)?;
        let embed = Embed::resolve(context.query.embeds()).of_list();
        let apps = Apps::new(self.view(), Some("apps"), PathId::root(), embed, now());
        Ok(pieces(apps.filtered(visible(context, filter)), context))
    }

    async fn create_app(&self, context: Context) -> Answer {
        let update = AppUpdate::parse_new_bytes(&context.body)?;
        // Without an id that can be read nothing comes of it.
        if let Some(id) = named(&update) {
            context.judge().may(&id)?;
        }
        let force = context.query.flag("force", false);
        let changed = self.change(&context.query, Change::CreateApp(update), force).await?;
        let Changed::Deployed(deployed) = changed else { return Ok(changed.response(None)) };
        let Some(app) = deployed.app else { return Ok(Changed::Deployed(deployed).response(None)) };
        let mut response = respond::json(created_app(&app, &deployed.id));
        name_deployment(&mut response, &deployed.id);
        created(&mut response, &app.id);
        self.posted(&context, app);
        Ok(response)
    }

    async fn update_apps(&self, context: &Context, partial: bool, create: bool) -> Answer {
        let updates = AppUpdate::parse_list_bytes(&context.body)?;
        if partial && updates.iter().any(|update| update.version.is_some()) {
            let text = "An app can be set back to one of its versions only on its own: \
                        PUT /v2/apps/{id}.";
            return Err(Problem::unprocessable(text));
        }
        let view = self.view();
        for id in updates.iter().filter_map(named) {
            context.judge().may_put(view.root.app(&id).is_some(), &id)?;
        }
        let change = Change::UpdateApps { updates, partial, create };
        let force = context.query.flag("force", false);
        Ok(self.change(&context.query, change, force).await?.response(None))
    }

    pub(super) async fn app(&self, id: &str, context: Context) -> Answer {
        match context.method {
            Method::PUT => {
                let partial = context.query.flag("partialUpdate", true);
                self.update_app(id, context, partial, true).await
            }
            Method::PATCH => self.update_app(id, context, true, false).await,
            Method::DELETE => self.delete_app(id, &context).await,
            _ => self.show_app(id, &context),
        }
    }

    fn show_app(&self, id: &str, context: &Context) -> Answer {
        let view = self.view();
        let app = known_id(id).and_then(|id| view.root.app(&id).cloned());
        let app = app.ok_or_else(|| Problem::no_app(id))?;
        let embed = Embed::resolve(context.query.embeds()).of_one();
        let app = AppWriter::new(&view, app, embed, now());
        Ok(pieces(Wrapped { begun: false, inner: app }, context))
    }

    /// Every app below a group, in a list of that name.
    pub(super) fn apps_below(&self, id: &str, context: &Context, name: &'static str) -> Answer {
        let view = self.view();
        let group = known_id(id).filter(|id| view.root.group(id).is_some());
        let group = group.ok_or_else(|| Problem::no_group(id))?;
        let embed = Embed::resolve(context.query.embeds()).of_one();
        let apps = Apps::new(view, Some(name), group, embed, now());
        Ok(pieces(apps.filtered(visible(context, None)), context))
    }

    async fn update_app(&self, id: &str, context: Context, partial: bool, create: bool) -> Answer {
        let id = new_id(id)?;
        let exists = self.view().root.app(&id).is_some();
        context.judge().may_put(exists, &id)?;
        let update = AppUpdate::parse_bytes(&context.body)?;
        let force = context.query.flag("force", false);
        // Only an app that is there can go back; in a whole new one the version means nothing.
        let back_to = if exists && partial { update.rollback()? } else { None };
        let change = match back_to {
            Some(version) => {
                let app = self.store.app_version(&id, version).await?;
                let app = app.ok_or_else(|| Problem::no_app(id.as_str()))?;
                Change::RestoreApp { id: id.clone(), app }
            }
            None => Change::UpdateApp { id: id.clone(), update, partial, create },
        };
        let changed = self.change(&context.query, change, force).await?;
        if let Changed::Deployed(deployed) = &changed {
            let app = deployed.app.clone().or_else(|| self.view().root.app(&id).cloned());
            app.into_iter().for_each(|app| self.posted(&context, app));
        }
        Ok(changed.response(Some(&id)))
    }

    async fn delete_app(&self, id: &str, context: &Context) -> Answer {
        let id = known_id(id).ok_or_else(|| Problem::no_app(id))?;
        // The original stops whatever works on it without being asked to.
        let force = context.query.flag("force", true);
        Ok(self.change(&context.query, Change::DeleteApp { id }, force).await?.response(None))
    }

    pub(super) async fn restart_app(&self, id: &str, context: Context) -> Answer {
        let id = known_id(id).ok_or_else(|| Problem::no_app(id))?;
        let force = context.query.flag("force", false);
        Ok(self.change(&context.query, Change::RestartApp { id }, force).await?.response(None))
    }

    pub(super) async fn app_versions(&self, id: &str) -> Answer {
        let view = self.view();
        let known = known_id(id).filter(|id| view.root.app(id).is_some());
        let id = known.ok_or_else(|| Problem::no_app(id))?;
        Ok(document(&json!({"versions": self.store.app_versions(&id).await?})))
    }

    pub(super) async fn app_version(&self, id: &str, text: &str) -> Answer {
        let known = known_id(id).ok_or_else(|| Problem::no_app(id))?;
        let version = version(text)?;
        let app = self.store.app_version(&known, version).await?;
        let app = app.ok_or_else(|| Problem::no_version(&known, version))?;
        let mut out = Vec::new();
        app::spec(&mut out, &app);
        Ok(respond::json(out))
    }
}

/// `{"app": ..}`.
struct Wrapped {
    begun: bool,
    inner: AppWriter,
}

impl Source for Wrapped {
    fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(b"{\"app\":");
        }
        let done = self.inner.write(out, limit);
        if done {
            out.push(b'}');
        }
        done
    }
}

/// The answer to a creation: nothing runs yet.
fn created_app(app: &App, deployment: &str) -> Vec<u8> {
    let mut out = Vec::new();
    app::spec(&mut out, app);
    out.pop();
    out.extend_from_slice(
        b",\"tasksStaged\":0,\"tasksRunning\":0,\"tasksHealthy\":0,\"tasksUnhealthy\":0,\
          \"deployments\":[",
    );
    app::identified(&mut out, deployment);
    out.extend_from_slice(b"]}");
    out
}

/// The id in a body, as it will be understood.
fn named(update: &AppUpdate) -> Option<PathId> {
    update.id.as_deref().and_then(|id| PathId::parse(id).ok())
}

/// Only what the caller may see.
pub(super) fn visible(context: &Context, filter: Option<Filter>) -> Option<Filter> {
    let visible = context.visible();
    if visible.is_all() {
        return filter;
    }
    let passes = move |app: &App| filter.as_ref().is_none_or(|passes| passes(app));
    Some(Box::new(move |app| visible.shows(&app.id) && passes(app)))
}

/// What a list is narrowed to.
fn filter(context: &Context) -> Result<Option<Filter>, Problem> {
    let query = &context.query;
    let lower = |name: &str| query.get(name).map(str::to_lowercase);
    let (cmd, id) = (lower("cmd"), lower("id"));
    let labels = query.get("label").map(LabelSelectors::parse).transpose()?;
    if cmd.is_none() && id.is_none() && labels.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(move |app: &App| {
        let has_cmd = |text: &String| {
            app.cmd.as_ref().is_some_and(|cmd| cmd.to_lowercase().contains(text.as_str()))
        };
        cmd.as_ref().is_none_or(has_cmd)
            && id.as_ref().is_none_or(|text| app.id.as_str().contains(text.as_str()))
            && labels.as_ref().is_none_or(|labels| labels.matches(&app.labels))
    })))
}
