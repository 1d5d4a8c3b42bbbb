//! Writes to single apps.

use super::draft::Draft;
use crate::{App, ModelError, PathId, roles::Roles, update::AppUpdate};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

// === impl Draft ===

impl Draft<'_> {
    pub(super) fn create_app(&mut self, update: &AppUpdate) -> Result<(), ModelError> {
        let Some(id) = resolve(update.id.as_deref(), &PathId::root()) else {
            // Says what is wrong with the id.
            update.create(None, self.settings)?;
            return Err(ModelError::invalid("/id", "not defined"));
        };
        let app = self.new_app(&id, update, &PathId::root())?;
        if self.from.app(&id).is_some() {
            return Err(ModelError::taken(format!("An app with id [{id}] already exists.")));
        }
        self.created = true;
        self.put_app(app);
        Ok(())
    }

    pub(super) fn update_app(
        &mut self,
        id: &PathId,
        update: &AppUpdate,
        partial: bool,
        create: bool,
    ) -> Result<(), ModelError> {
        let app = match self.root.app(id).cloned() {
            None if !create => return Err(ModelError::no_app(id, None)),
            None => self.new_app(id, update, &PathId::root())?,
            Some(current) => self.changed_app(&current, update, partial)?,
        };
        self.put_app(app);
        Ok(())
    }

    pub(super) fn update_apps(
        &mut self,
        updates: &[AppUpdate],
        partial: bool,
        create: bool,
    ) -> Result<(), ModelError> {
        for update in updates {
            let id = resolve(update.id.as_deref(), &PathId::root()).ok_or_else(|| {
                let text = "requirement failed: App Update must have app id set";
                ModelError::Unprocessable(text.to_owned())
            })?;
            self.update_app(&id, update, partial, create)?;
        }
        Ok(())
    }

    pub(super) fn restore_app(&mut self, id: &PathId, app: &Arc<App>) -> Result<(), ModelError> {
        self.from.app(id).ok_or_else(|| ModelError::no_app(id, None))?;
        self.put_app(App { id: id.clone(), ..App::clone(app) });
        Ok(())
    }

    pub(super) fn delete_app(&mut self, id: &PathId) -> Result<(), ModelError> {
        self.from.app(id).ok_or_else(|| ModelError::no_app(id, None))?;
        self.remove_app(id);
        Ok(())
    }

    pub(super) fn scale_apps(&mut self, to: &BTreeMap<PathId, u32>) -> Result<(), ModelError> {
        for (id, instances) in to {
            let app = self.from.app(id).ok_or_else(|| ModelError::no_app(id, None))?;
            self.scale(app, *instances)?;
        }
        Ok(())
    }

    pub(super) fn scale(&mut self, app: &App, instances: u32) -> Result<(), ModelError> {
        let app = App { instances, ..app.clone() };
        self.check_app(&app)?;
        self.put_app(app);
        Ok(())
    }

    /// An app from nothing but the update. `base`: what its dependencies are relative to.
    pub(super) fn new_app(
        &self,
        id: &PathId,
        update: &AppUpdate,
        base: &PathId,
    ) -> Result<App, ModelError> {
        let roles = Roles::of(id, &self.root, self.settings);
        let mut update = absolute(update, base);
        if update.role.is_none() {
            update.to_mut().role = Some(roles.default.clone());
        }
        let app = update.create(Some(id), self.settings)?;
        roles.check(&app, self.force)?;
        Ok(app)
    }

    fn changed_app(
        &self,
        current: &App,
        update: &AppUpdate,
        partial: bool,
    ) -> Result<App, ModelError> {
        if !partial {
            return self.new_app(&current.id, update, &PathId::root());
        }
        let app = absolute(update, &PathId::root()).merge(current, self.settings)?;
        Roles::of(&current.id, &self.root, self.settings).check(&app, self.force)?;
        Ok(app)
    }
}

/// None for an absent id and for a text that is none.
pub(super) fn resolve(id: Option<&str>, base: &PathId) -> Option<PathId> {
    id.and_then(|id| PathId::resolve(id, base).ok())
}

/// The update with dependencies that mean the same wherever they are read; what is no path stays
/// as it is and is found later.
fn absolute<'a>(update: &'a AppUpdate, base: &PathId) -> Cow<'a, AppUpdate> {
    let Some(dependencies) = update.dependencies.as_ref().filter(|all| !all.is_empty()) else {
        return Cow::Borrowed(update);
    };
    let resolved = dependencies.iter().map(|text| match PathId::resolve(text, base) {
        Ok(id) => id.to_string(),
        Err(_) => text.clone(),
    });
    Cow::Owned(AppUpdate { dependencies: Some(resolved.collect()), ..update.clone() })
}
