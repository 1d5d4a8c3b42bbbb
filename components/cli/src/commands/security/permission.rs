//! `dais security permission`: who may do what with which resource.

use super::{Iam, acl_path, actions, segment};
use crate::context::Context;
use crate::failure::{Refused, usage};
use crate::json::{list, text};
use crate::table::Table;
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Permission {
    /// List who may do what: of all resources, or of one.
    List(ListPermissions),
    /// Allow a user or a group something.
    Grant(Grant),
    /// Take back what a user or a group was allowed.
    Revoke(Grant),
    /// Forget a resource, and everything that was allowed with it.
    Delete { rid: String },
}

#[derive(Debug, Args)]
pub struct ListPermissions {
    /// The resource, such as dcos:adminrouter:service:marathon.
    rid: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Grant {
    /// The resource, such as dcos:adminrouter:service:marathon.
    rid: String,
    /// What is allowed; "full" is everything.
    action: Action,
    /// The user or service account.
    #[arg(long, value_name = "UID")]
    user: Option<String>,
    /// The group.
    #[arg(long, value_name = "GID")]
    group: Option<String>,
    /// What the resource is, where it is named for the first time.
    #[arg(short, long, default_value = "", hide_default_value = true)]
    description: String,
}

/// The same, with who it is about in front, as the enterprise CLI has it.
#[derive(Debug, Args)]
pub struct Change {
    id: String,
    rid: String,
    action: Action,
    #[arg(short, long, default_value = "", hide_default_value = true)]
    description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    Create,
    Read,
    Update,
    Delete,
    Full,
}

/// What kind of id it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    User,
    Group,
}

// === impl Permission ===

impl Permission {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let iam = Iam::of(context)?;
        match self {
            Permission::List(list) => list.run(context, &iam).await,
            Permission::Grant(change) => {
                let (who, change) = change.split()?;
                grant(&iam, who, &change).await
            }
            Permission::Revoke(change) => {
                let (who, change) = change.split()?;
                revoke(&iam, who, &change).await
            }
            Permission::Delete { rid } => iam.delete(&acl_path(&rid)).await,
        }
    }
}

impl Grant {
    fn split(self) -> anyhow::Result<(Who, Change)> {
        let (who, id) = match (self.user, self.group) {
            (Some(uid), None) => (Who::User, uid),
            (None, Some(gid)) => (Who::Group, gid),
            _ => return Err(usage("give either --user or --group")),
        };
        let Grant { rid, action, description, .. } = self;
        Ok((who, Change { id, rid, action, description }))
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Read => "read",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Full => "full",
        }
    }
}

fn place(who: Who, change: &Change) -> String {
    let kind = match who {
        Who::User => "users",
        Who::Group => "groups",
    };
    let (id, action) = (segment(&change.id), change.action.name());
    format!("{}/{kind}/{id}/{action}", acl_path(&change.rid))
}

/// Allows something; a resource that nobody has named before is made first.
pub(super) async fn grant(iam: &Iam, who: Who, change: &Change) -> anyhow::Result<()> {
    let place = place(who, change);
    let Err(error) = iam.put(&place, &Value::Null).await else { return Ok(()) };
    let is = |code: &str| {
        error.downcast_ref::<Refused>().is_some_and(|refused| refused.kind.as_deref() == Some(code))
    };
    if !is("ERR_UNKNOWN_RESOURCE_ID") {
        return Err(error);
    }
    let made = iam.put(&acl_path(&change.rid), &json!({ "description": change.description })).await;
    if let Err(error) = made {
        // Somebody else may have made it meanwhile.
        let refused = error.downcast_ref::<Refused>();
        if refused.is_none_or(|refused| refused.kind.as_deref() != Some("ERR_ACL_EXISTS")) {
            return Err(error);
        }
    }
    iam.put(&place, &Value::Null).await
}

pub(super) async fn revoke(iam: &Iam, who: Who, change: &Change) -> anyhow::Result<()> {
    iam.delete(&place(who, change)).await
}

// === impl ListPermissions ===

impl ListPermissions {
    async fn run(self, context: &mut Context, iam: &Iam) -> anyhow::Result<()> {
        let rids = match &self.rid {
            Some(rid) => vec![rid.clone()],
            None => {
                let acls = iam.list("/acls").await?;
                acls.iter().map(|acl| text(acl, "/rid").to_owned()).collect()
            }
        };
        let mut all = Vec::new();
        for rid in rids {
            let path = format!("{}/permissions", acl_path(&rid));
            let granted = iam.get(&path).await.with_context(|| format!("resource {rid}"))?;
            all.push((rid, granted));
        }
        if self.json {
            let items = all.into_iter().map(|(rid, granted)| {
                json!({
                    "rid": rid,
                    "users": list(&granted, "/users"),
                    "groups": list(&granted, "/groups"),
                })
            });
            return Ok(context.io.json(&Value::Array(items.collect()))?);
        }
        let mut table = Table::new(["RESOURCE", "WHO", "ID", "ACTIONS"]);
        for (rid, granted) in &all {
            for (kind, pointer, id) in [("user", "/users", "/uid"), ("group", "/groups", "/gid")] {
                for one in list(granted, pointer) {
                    let id = text(one, id).to_owned();
                    table.row([rid.clone(), kind.to_owned(), id, actions(one)]);
                }
            }
        }
        Ok(context.io.table(&table)?)
    }
}
