//! `dais security account`: service accounts, which log in with a key.

use super::keypair::Keypair;
use super::permission::{self, Change, Who};
use super::user::show_user;
use super::{Iam, List, Show, print_list, user_path};
use crate::context::Context;
use crate::failure::usage;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::fs;

#[derive(Debug, Subcommand)]
pub enum Account {
    /// List the service accounts.
    List(List),
    /// Show a service account, its groups and permissions.
    Show(Show),
    /// Create a service account.
    Create(Create),
    /// Change a service account.
    Update(Update),
    /// Delete service accounts.
    Delete {
        #[arg(required = true)]
        uids: Vec<String>,
    },
    /// Make a pair of keys: one for the service, one for its account.
    Keypair(Keypair),
    /// Allow a service account something.
    #[command(hide = true)]
    Grant(Change),
    /// Take back what a service account was allowed.
    #[command(hide = true)]
    Revoke(Change),
}

#[derive(Debug, Args)]
pub struct Create {
    uid: String,
    #[arg(short, long, default_value = "", hide_default_value = true)]
    description: String,
    /// The file with its public key, as PEM.
    #[arg(short, long, value_name = "FILE")]
    public_key: String,
}

#[derive(Debug, Args)]
pub struct Update {
    uid: String,
    #[arg(short, long)]
    description: Option<String>,
    /// The file with its new public key, as PEM.
    #[arg(short, long, value_name = "FILE")]
    public_key: Option<String>,
    /// Let the account in again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Let the account do nothing any more, from now on.
    #[arg(long)]
    disable: bool,
}

// === impl Account ===

impl Account {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        // It needs no cluster.
        if let Account::Keypair(keypair) = self {
            return keypair.run(context);
        }
        let iam = Iam::of(context)?;
        match self {
            Account::Keypair(_) => Ok(()),
            Account::List(how) => {
                let accounts = iam.list("/users?type=service").await?;
                let columns = [("UID", "/uid"), ("DESCRIPTION", "/description")];
                print_list(context, &how, accounts, "/uid", &columns)
            }
            Account::Show(show) => show_user(context, &iam, &show).await,
            Account::Create(Create { uid, description, public_key }) => {
                let key = read_public_key(&public_key)?;
                let body = json!({ "description": description, "public_key": key });
                iam.put(&user_path(&uid), &body).await
            }
            Account::Update(update) => update.run(&iam).await,
            Account::Delete { uids } => {
                for uid in uids {
                    iam.delete(&user_path(&uid)).await?;
                }
                Ok(())
            }
            Account::Grant(change) => permission::grant(&iam, Who::User, &change).await,
            Account::Revoke(change) => permission::revoke(&iam, Who::User, &change).await,
        }
    }
}

// === impl Update ===

impl Update {
    async fn run(self, iam: &Iam) -> anyhow::Result<()> {
        let mut body = Map::new();
        if let Some(description) = &self.description {
            body.insert("description".to_owned(), description.as_str().into());
        }
        if let Some(path) = &self.public_key {
            body.insert("public_key".to_owned(), read_public_key(path)?.into());
        }
        if self.enable || self.disable {
            body.insert("active".to_owned(), self.enable.into());
        }
        if body.is_empty() {
            let text =
                "nothing is to be changed: --description, --public-key, --enable or --disable";
            return Err(usage(text));
        }
        iam.patch(&user_path(&self.uid), &Value::Object(body)).await
    }
}

/// A public key; nothing else leaves this machine, least of all the private one by mistake.
fn read_public_key(path: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let key = identity::PublicKey::from_pem(&text)
        .with_context(|| format!("{path} holds no public key that can be used"))?;
    Ok(key.pem())
}
