//! `dais security group`: groups of users.

use super::permission::{self, Change, Who};
use super::user::members;
use super::{Iam, List, Show, actions, group_path, print_fields, print_list, segment};
use crate::context::Context;
use crate::json::text;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

#[derive(Debug, Subcommand)]
pub enum Group {
    /// List the groups.
    List(List),
    /// Show a group, its members and permissions.
    Show(Show),
    /// Create a group.
    Create {
        gid: String,
        #[arg(short, long, default_value = "", hide_default_value = true)]
        description: String,
    },
    /// Change a group.
    Update {
        gid: String,
        #[arg(short, long)]
        description: String,
    },
    /// Delete groups; their members stay.
    Delete {
        #[arg(required = true)]
        gids: Vec<String>,
    },
    /// Add users to a group.
    #[command(visible_alias = "add-user", alias = "add_user")]
    Add(Members),
    /// Take users out of a group.
    #[command(visible_alias = "remove-user", alias = "remove_user")]
    Remove(Members),
    /// Allow a group something.
    #[command(hide = true)]
    Grant(Change),
    /// Take back what a group was allowed.
    #[command(hide = true)]
    Revoke(Change),
}

#[derive(Debug, Args)]
pub struct Members {
    gid: String,
    #[arg(required = true)]
    uids: Vec<String>,
}

// === impl Group ===

impl Group {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let iam = Iam::of(context)?;
        match self {
            Group::List(how) => {
                let groups = iam.list("/groups").await?;
                let columns = [("GID", "/gid"), ("DESCRIPTION", "/description")];
                print_list(context, &how, groups, "/gid", &columns)
            }
            Group::Show(show) => show_group(context, &iam, &show).await,
            Group::Create { gid, description } => {
                iam.put(&group_path(&gid), &json!({ "description": description })).await
            }
            Group::Update { gid, description } => {
                iam.patch(&group_path(&gid), &json!({ "description": description })).await
            }
            Group::Delete { gids } => {
                for gid in gids {
                    iam.delete(&group_path(&gid)).await?;
                }
                Ok(())
            }
            Group::Add(Members { gid, uids }) => {
                for uid in uids {
                    iam.put(&member_path(&gid, &uid), &Value::Null).await?;
                }
                Ok(())
            }
            Group::Remove(Members { gid, uids }) => {
                for uid in uids {
                    iam.delete(&member_path(&gid, &uid)).await?;
                }
                Ok(())
            }
            Group::Grant(change) => permission::grant(&iam, Who::Group, &change).await,
            Group::Revoke(change) => permission::revoke(&iam, Who::Group, &change).await,
        }
    }
}

fn member_path(gid: &str, uid: &str) -> String {
    format!("{}/users/{}", group_path(gid), segment(uid))
}

async fn show_group(context: &mut Context, iam: &Iam, show: &Show) -> anyhow::Result<()> {
    let path = group_path(&show.id);
    let group = iam.get(&path).await?;
    let members = members(iam, &show.id).await?;
    let permissions = iam.list(&format!("{path}/permissions")).await?;
    if show.json {
        let mut all = group.as_object().cloned().unwrap_or_else(Map::new);
        all.insert("users".to_owned(), Value::Array(members));
        all.insert("permissions".to_owned(), Value::Array(permissions));
        return Ok(context.io.json(&Value::Object(all))?);
    }
    let uids: Vec<&str> = members.iter().map(|user| text(user, "/uid")).collect();
    let fields = [
        ("gid", text(&group, "/gid").to_owned()),
        ("description", text(&group, "/description").to_owned()),
        ("members", uids.join(", ")),
    ];
    print_fields(context, &fields)?;
    for permission in &permissions {
        context.io.line(format!("may: {} on {}", actions(permission), text(permission, "/rid")))?;
    }
    Ok(())
}
