//! Groups as a tree; they are kept flat.

use std::{collections::HashMap, sync::Arc};

use http_kit::json::{self, Object};
use marathon_core::View;
use marathon_model::{App, PathId, Timestamp, group::Group};

use crate::http::permissions::Visible;

use super::{
    app::{AppWriter, Embed},
    moment, value,
};

/// What is shown of a group, and of the apps in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupEmbed {
    groups: bool,
    apps: bool,
    app: Embed,
}

impl GroupEmbed {
    /// Without a wish everything but what belongs to apps.
    pub(crate) fn resolve<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Self {
        let app = Embed::resolve(values.clone().filter(|value| value.starts_with("group.apps.")));
        if values.clone().next().is_none() {
            return Self { groups: true, apps: true, app };
        }
        let asked = |name: &str| values.clone().any(|value| value == name);
        Self { groups: asked("group.groups"), apps: asked("group.apps"), app }
    }

    /// Without what belongs to apps as they are now.
    pub(crate) fn without_apps(self) -> Self {
        Self { app: Embed::default(), ..self }
    }
}

/// A group with everything below it.
pub(crate) struct Tree {
    apps: HashMap<PathId, Vec<Arc<App>>>,
    groups: HashMap<PathId, Vec<Arc<Group>>>,
    version: Timestamp,
}

impl Tree {
    /// The group as it is now.
    pub(crate) fn of(view: &View, id: &PathId, visible: &Visible) -> Self {
        let root = &view.root;
        let apps = root.apps_below(id).filter(|app| visible.shows(&app.id)).cloned();
        let mut tree = Self::new(root.version(), apps, root.groups_below(id).cloned());
        if !visible.is_all() {
            let groups: Vec<PathId> = tree.groups.keys().cloned().collect();
            for parent in groups {
                let children = tree.groups.remove(&parent).unwrap_or_default();
                let shown = children.into_iter().filter(|group| tree.is_shown(&group.id, visible));
                let shown = shown.collect();
                tree.groups.insert(parent, shown);
            }
        }
        tree
    }

    /// Whether a group may be shown: itself, or something in it.
    pub(crate) fn is_shown(&self, id: &PathId, visible: &Visible) -> bool {
        let groups = || self.groups.get(id).into_iter().flatten();
        visible.shows(id)
            || self.apps.get(id).is_some_and(|apps| !apps.is_empty())
            || groups().any(|group| self.is_shown(&group.id, visible))
    }

    /// A group put together from its parts.
    pub(crate) fn new(
        version: Timestamp,
        apps: impl IntoIterator<Item = Arc<App>>,
        groups: impl IntoIterator<Item = Arc<Group>>,
    ) -> Self {
        let mut tree = Self { apps: HashMap::new(), groups: HashMap::new(), version };
        for app in apps {
            let parent = app.id.parent().unwrap_or_else(PathId::root);
            tree.apps.entry(parent).or_default().push(app);
        }
        for group in groups {
            if let Some(parent) = group.id.parent() {
                tree.groups.entry(parent).or_default().push(group);
            }
        }
        tree
    }

    /// Appends a group of the tree.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        view: &View,
        group: &Group,
        embed: GroupEmbed,
        now: Timestamp,
    ) {
        let mut object = Object::new(out);
        object.string("id", group.id.as_str());
        let apps = self.apps.get(&group.id).filter(|_| embed.apps).into_iter().flatten();
        json::list(object.key("apps"), apps, |out, app| {
            AppWriter::new(view, app.clone(), embed.app, now).write_all(out);
        });
        object.key("pods").extend_from_slice(b"[]");
        let groups = self.groups.get(&group.id).filter(|_| embed.groups).into_iter().flatten();
        json::list(object.key("groups"), groups, |out, group| {
            self.write(out, view, group, embed, now);
        });
        json::list(object.key("dependencies"), &group.dependencies, value);
        moment(object.key("version"), self.version);
        if let Some(enforce) = group.enforce_role {
            object.boolean("enforceRole", enforce);
        }
        object.end();
    }
}
