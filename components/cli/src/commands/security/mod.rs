//! `dais security`: who there is, and who may do what.

mod account;
mod group;
mod keypair;
mod permission;
mod user;

use crate::context::Context;
use crate::json::{list, text};
use crate::login::{Secret, read_secret_file};
use crate::server::{self, Server};
use crate::table::Table;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum Security {
    #[command(flatten)]
    Part(Part),
    /// The same, by the name that the enterprise CLI has for it.
    #[command(subcommand, hide = true)]
    Org(Part),
}

#[derive(Debug, Subcommand)]
pub enum Part {
    /// Manage users: people.
    #[command(subcommand, alias = "users")]
    User(user::User),
    /// Manage groups of users.
    #[command(subcommand, alias = "groups")]
    Group(group::Group),
    /// Manage service accounts, which log in with a key.
    #[command(subcommand, aliases = ["accounts", "service-account", "service-accounts"])]
    Account(account::Account),
    /// Manage permissions: who may do what with which resource.
    #[command(subcommand, alias = "permissions")]
    Permission(permission::Permission),
}

/// A list of something.
#[derive(Debug, Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print ids only.
    #[arg(short, long)]
    quiet: bool,
}

/// One of something.
#[derive(Debug, Args)]
pub struct Show {
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The password of somebody else.
#[derive(Debug, Args)]
struct NewPassword {
    /// The password; others on this machine can see it. Rather leave it out to be asked for it.
    #[arg(long)]
    password: Option<Secret>,
    /// A file with the password, which nobody else can read.
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<String>,
}

/// The cluster's IAM.
pub(super) struct Iam {
    server: Server,
    quiet: Server,
}

// === impl Security ===

impl Security {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let (Security::Part(part) | Security::Org(part)) = self;
        match part {
            Part::User(command) => command.run(context).await,
            Part::Group(command) => command.run(context).await,
            Part::Account(command) => command.run(context).await,
            Part::Permission(command) => command.run(context).await,
        }
    }
}

// === impl Iam ===

impl Iam {
    fn of(context: &mut Context) -> anyhow::Result<Iam> {
        let gateway = context.cluster()?.gateway.clone().context(
            "users are managed through a cluster's gateway: `dais auth login` logs in to that of \
             this machine, `dais cluster setup <url>` names another",
        )?;
        let server = context.server("IAM", &gateway)?;
        let quiet = server.quiet();
        Ok(Iam { server, quiet })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.server.get(&at(path)).await
    }

    /// The items of a list.
    async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        Ok(list(&self.get(path).await?, "/array").to_vec())
    }

    /// Makes something; what is sent may hold a secret.
    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.quiet.put(&at(path), body).await.map(drop)
    }

    async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.quiet.patch(&at(path), body).await.map(drop)
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.server.delete(&at(path)).await.map(drop)
    }
}

fn at(path: &str) -> String {
    format!("/acs/api/v1{path}")
}

fn user_path(uid: &str) -> String {
    format!("/users/{}", segment(uid))
}

fn group_path(gid: &str) -> String {
    format!("/groups/{}", segment(gid))
}

/// A resource's path; a slash in its id is escaped twice, as the API wants it.
fn acl_path(rid: &str) -> String {
    format!("/acls/{}", segment(&rid.replace('/', "%2F")))
}

/// One segment of a path.
fn segment(text: &str) -> String {
    server::path(text).replace('/', "%2F")
}

// === impl NewPassword ===

impl NewPassword {
    fn is_given(&self) -> bool {
        self.password.is_some() || self.password_file.is_some()
    }

    /// The password that was given, or that a person types, twice where they cannot see it.
    fn get(&self, context: &mut Context) -> anyhow::Result<Secret> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        if let Some(path) = &self.password_file {
            return Ok(Secret::new(read_secret_file(path)?.expose().trim_end().to_owned()));
        }
        let missing = "a password is needed; --password-file gives it";
        let first = context.io.secret("Password: ")?.context(missing)?;
        if context.io.is_typed() {
            let again = context.io.secret("The same again: ")?.context(missing)?;
            anyhow::ensure!(first == again, "the passwords are not the same");
        }
        Ok(Secret::new(first))
    }
}

/// Prints a list: as JSON, as ids, or as a table.
fn print_list(
    context: &mut Context,
    how: &List,
    items: Vec<Value>,
    id: &str,
    columns: &[(&str, &str)],
) -> anyhow::Result<()> {
    if how.json {
        return Ok(context.io.json(&Value::Array(items))?);
    }
    if how.quiet {
        return Ok(items.iter().try_for_each(|item| context.io.line(text(item, id)))?);
    }
    let mut table = Table::new(columns.iter().map(|(title, _)| *title));
    for item in &items {
        table.row(columns.iter().map(|(_, pointer)| text(item, pointer).to_owned()));
    }
    Ok(context.io.table(&table)?)
}

/// Prints fields that have a value, under each other.
fn print_fields(context: &mut Context, fields: &[(&str, String)]) -> anyhow::Result<()> {
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        context.io.line(format!("{name}: {value}"))?;
    }
    Ok(())
}

/// The names of actions, as they stand in a permission.
fn actions(permission: &Value) -> String {
    let names = list(permission, "/actions").iter().map(|action| text(action, "/name"));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_segment_each() {
        assert_eq!(user_path("a.b@c/d"), "/users/a.b%40c%2Fd");
        let path = acl_path("dcos:service:marathon:marathon:services:/dev");
        assert_eq!(path, "/acls/dcos%3Aservice%3Amarathon%3Amarathon%3Aservices%3A%252Fdev");
    }
}
