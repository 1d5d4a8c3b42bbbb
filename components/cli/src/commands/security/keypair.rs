//! `dais security account keypair`: two files, of which one is nobody else's business.

use crate::context::Context;
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use identity::SigningKey;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

#[derive(Debug, Args)]
pub struct Keypair {
    /// The file for the private key; it must not exist.
    private: String,
    /// The file for the public key; it must not exist.
    public: String,
    /// The kind of keys: those of the original are RSA.
    #[arg(short = 't', long = "type", value_enum, default_value_t = Kind::Rsa)]
    kind: Kind,
    /// The length of an RSA key in bits.
    #[arg(short, long, default_value_t = 2048, value_parser = clap::value_parser!(u16).range(2048..=4096))]
    length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// For tokens by RS256, which everything understands.
    Rsa,
    /// For tokens by ES256: made and checked faster.
    Ec,
}

// === impl Keypair ===

impl Keypair {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let pkcs8 = match self.kind {
            Kind::Ec => SigningKey::generate_es256()?,
            Kind::Rsa => SigningKey::generate_rs256(usize::from(self.length))?,
        };
        let key = SigningKey::from_pkcs8(&pkcs8)?;
        create(&self.private, 0o600, &SigningKey::pkcs8_pem(&pkcs8))?;
        if let Err(error) = create(&self.public, 0o644, &key.public().pem()) {
            let _ = fs::remove_file(&self.private);
            return Err(error);
        }
        Ok(context.io.note(format!(
            "The private key is in {}, the public key in {}.",
            self.private, self.public
        ))?)
    }
}

/// A new file; an older one is somebody's key.
fn create(path: &str, mode: u32, text: &str) -> anyhow::Result<()> {
    let mut options = fs::File::options();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    if file.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        bail!("{path} is there already; it is not overwritten");
    }
    let write = || file.and_then(|mut file| file.write_all(text.as_bytes()));
    write().with_context(|| format!("cannot write {path}"))
}
