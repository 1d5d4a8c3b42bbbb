//! Which app a task of Marathon's belongs to: its id says so.

/// The app of a task, with slashes: `/prod/web` of `prod_web.instance-<uuid>._app.1`. None for
/// ids that Marathon does not make.
pub(super) fn app(task: &str) -> Option<String> {
    let instance = task.split_once("._app").map_or(task, |(instance, _)| instance);
    let (path, last) = instance.rsplit_once('.')?;
    let uuid = ["instance-", "marathon-"].iter().find_map(|prefix| last.strip_prefix(prefix));
    uuid::Uuid::try_parse(uuid.unwrap_or(last)).ok()?;
    // Segments of apps have no `_`, so nothing is lost.
    (!path.is_empty() && !path.contains('/')).then(|| format!("/{}", path.replace('_', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tasks_name_their_app() {
        let uuid = "00000000-0000-0000-0000-000000000007";
        for (task, expected) in [
            (format!("web.instance-{uuid}._app.1"), Some("/web")),
            (format!("prod_web.api.instance-{uuid}._app.12"), Some("/prod/web.api")),
            (format!("prod_web.instance-{uuid}"), Some("/prod/web")),
            (format!("prod_web.marathon-{uuid}"), Some("/prod/web")),
            (format!("prod_web.{uuid}"), Some("/prod/web")),
            (format!("../x.{uuid}"), None),
            (format!(".instance-{uuid}"), None),
            ("web.7".to_owned(), None),
            ("web".to_owned(), None),
        ] {
            assert_eq!(app(&task).as_deref(), expected, "{task}");
        }
    }
}
