//! `dais security user`: people.

use super::permission::{self, Change, Who};
use super::{
    Iam, List, NewPassword, Show, actions, group_path, print_fields, print_list, user_path,
};
use crate::context::Context;
use crate::failure::{Refused, usage};
use crate::json::{flag, list, text};
use crate::login::read_secret_file;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

#[derive(Debug, Subcommand)]
pub enum User {
    /// List the users.
    List(List),
    /// Show a user, their groups and permissions.
    Show(Show),
    /// Create a user.
    Create(Create),
    /// Change a user.
    Update(Update),
    /// Delete users.
    Delete {
        #[arg(required = true)]
        uids: Vec<String>,
    },
    /// Make all tokens of a user void: they have to log in again.
    RevokeTokens { uid: String },
    /// Allow a user something.
    #[command(hide = true)]
    Grant(Change),
    /// Take back what a user was allowed.
    #[command(hide = true)]
    Revoke(Change),
}

#[derive(Debug, Args)]
pub struct Create {
    uid: String,
    #[arg(short, long, default_value = "", hide_default_value = true)]
    description: String,
    #[command(flatten)]
    password: NewPassword,
    /// The user logs in with this OpenID Connect provider, and has no password here.
    #[arg(long, value_name = "ID", conflicts_with_all = ["password", "password_file"])]
    oidc_provider: Option<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    uid: String,
    #[arg(short, long)]
    description: Option<String>,
    #[command(flatten)]
    password: NewPassword,
    /// Ask for a new password.
    #[arg(long, conflicts_with_all = ["password", "password_file"])]
    ask_password: bool,
    /// A file with the password that the new one is to replace, for those who change their own.
    #[arg(long, value_name = "FILE")]
    old_password_file: Option<String>,
    /// Let the user in again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Let the user do nothing any more, from now on.
    #[arg(long)]
    disable: bool,
}

// === impl User ===

impl User {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let iam = Iam::of(context)?;
        match self {
            User::List(how) => {
                let users = iam.list("/users").await?;
                let columns = [
                    ("UID", "/uid"),
                    ("DESCRIPTION", "/description"),
                    ("TYPE", "/provider_type"),
                    ("PROVIDER", "/provider_id"),
                ];
                print_list(context, &how, users, "/uid", &columns)
            }
            User::Show(show) => show_user(context, &iam, &show).await,
            User::Create(create) => create.run(context, &iam).await,
            User::Update(update) => update.run(context, &iam).await,
            User::Delete { uids } => {
                for uid in uids {
                    iam.delete(&user_path(&uid)).await?;
                }
                Ok(())
            }
            User::RevokeTokens { uid } => iam.delete(&format!("{}/tokens", user_path(&uid))).await,
            User::Grant(change) => permission::grant(&iam, Who::User, &change).await,
            User::Revoke(change) => permission::revoke(&iam, Who::User, &change).await,
        }
    }
}

/// A user or a service account with everything about it.
pub(super) async fn show_user(context: &mut Context, iam: &Iam, show: &Show) -> anyhow::Result<()> {
    let path = user_path(&show.id);
    let user = iam.get(&path).await?;
    let groups = iam.list(&format!("{path}/groups")).await?;
    let permissions = iam.get(&format!("{path}/permissions")).await?;
    if show.json {
        let mut all = user.as_object().cloned().unwrap_or_else(Map::new);
        all.insert("groups".to_owned(), Value::Array(groups));
        all.insert("permissions".to_owned(), permissions);
        return Ok(context.io.json(&Value::Object(all))?);
    }
    let gids: Vec<&str> = groups.iter().map(|group| text(group, "/group/gid")).collect();
    let disabled = user.get("active").is_some() && !flag(&user, "/active");
    let kind = if flag(&user, "/is_service") { "service account" } else { "" };
    let provider = [text(&user, "/provider_type"), text(&user, "/provider_id")].join(" ");
    let fields = [
        ("uid", text(&user, "/uid").to_owned()),
        ("description", text(&user, "/description").to_owned()),
        ("kind", kind.to_owned()),
        ("provider", provider.trim_end().to_owned()),
        ("active", if disabled { "no" } else { "yes" }.to_owned()),
        ("groups", gids.join(", ")),
        ("public key", text(&user, "/public_key").trim_end().to_owned()),
    ];
    print_fields(context, &fields)?;
    for permission in list(&permissions, "/direct") {
        context.io.line(format!("may: {} on {}", actions(permission), text(permission, "/rid")))?;
    }
    for permission in list(&permissions, "/groups") {
        context.io.line(format!(
            "may: {} on {} (as a member of {})",
            actions(permission),
            text(permission, "/rid"),
            text(permission, "/gid")
        ))?;
    }
    Ok(())
}

/// Members of a group, by uid.
pub(super) async fn members(iam: &Iam, gid: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("{}/users", group_path(gid));
    let mut members = iam.list(&path).await?;
    // Service accounts are listed apart.
    for account in iam.list(&format!("{path}?type=service")).await? {
        if !members.contains(&account) {
            members.push(account);
        }
    }
    Ok(members.into_iter().filter_map(|member| member.get("user").cloned()).collect())
}

// === impl Create ===

impl Create {
    async fn run(self, context: &mut Context, iam: &Iam) -> anyhow::Result<()> {
        let mut body = json!({ "description": self.description });
        match &self.oidc_provider {
            Some(id) => {
                body["provider_type"] = "oidc".into();
                body["provider_id"] = id.as_str().into();
            }
            None => body["password"] = self.password.get(context)?.expose().into(),
        }
        iam.put(&user_path(&self.uid), &body).await
    }
}

// === impl Update ===

impl Update {
    async fn run(self, context: &mut Context, iam: &Iam) -> anyhow::Result<()> {
        let mut body = Map::new();
        if let Some(description) = &self.description {
            body.insert("description".to_owned(), description.as_str().into());
        }
        if self.ask_password || self.password.is_given() {
            let password = self.password.get(context)?;
            body.insert("password".to_owned(), password.expose().into());
        }
        if self.enable || self.disable {
            body.insert("active".to_owned(), self.enable.into());
        }
        if body.is_empty() {
            return Err(usage(
                "nothing is to be changed: --description, --password-file, --ask-password, \
                 --enable or --disable",
            ));
        }
        let path = user_path(&self.uid);
        let outcome = iam.patch(&path, &Value::Object(body.clone())).await;
        match outcome {
            Err(error) if body.contains_key("password") && wants_old_password(&error) => {
                let old = match &self.old_password_file {
                    Some(file) => read_secret_file(file)?.expose().trim_end().to_owned(),
                    None => context.io.secret("Old password: ")?.unwrap_or_default(),
                };
                body.insert("old_password".to_owned(), old.into());
                iam.patch(&path, &Value::Object(body)).await
            }
            other => other,
        }
    }
}

/// Whoever changes their own password, and may not change those of others, shows the old one.
fn wants_old_password(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| {
        refused.kind.as_deref() == Some("ERR_INVALID_DATA")
            && refused.message.contains("old_password")
    })
}
