//! `endpoints.json`: what runs where, for tests, tools and people.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const NAME: &str = "endpoints.json";

/// The addresses of a cluster: `host:port` of what Mesos has, URLs of the services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) mesos_master: String,
    pub(crate) agents: Vec<String>,
    pub(crate) public_agents: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) marathon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cosmos: Option<String>,
    /// The one address for users: `https://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iam: Option<String>,
    /// Who may do everything, and the file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin_password_file: Option<PathBuf>,
    /// The authority behind the gateway's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Where names are answered, over UDP and TCP, and their interface for HTTP, as a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns_http: Option<String>,
    /// Virtual addresses and where they lead, as a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) net: Option<String>,
    /// The process that runs the cluster.
    #[serde(default)]
    pub(crate) pid: u32,
}

// === impl Endpoints ===

impl Endpoints {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes the file whole or not at all, and gives its path.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let (path, draft) = (folder.join(NAME), folder.join("endpoints.json.draft"));
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(true).mode(0o644);
        let result = options.open(&draft).and_then(|mut file| {
            writeln!(file, "{}", self.json())?;
            fs::rename(&draft, &path)
        });
        result.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let text = fs::read(&path).with_context(|| {
            format!(
                "no cluster runs in {} (there is no {NAME}); start one with `dais up`",
                folder.display()
            )
        })?;
        serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.gateway {
            writeln!(out, "  gateway         {url}")?;
        }
        if let (Some(user), Some(file)) = (&self.admin_user, &self.admin_password_file) {
            writeln!(out, "  login           {user}, password in {}", file.display())?;
        }
        writeln!(out, "  master          http://{}", self.mesos_master)?;
        let services = [
            ("marathon", &self.marathon),
            ("cosmos", &self.cosmos),
            ("iam", &self.iam),
            ("dns", &self.dns),
            ("dns over HTTP", &self.dns_http),
            ("net", &self.net),
        ];
        for (name, url) in services {
            if let Some(url) = url {
                writeln!(out, "  {name:<15} {url}")?;
            }
        }
        for (number, agent) in self.agents.iter().enumerate() {
            writeln!(out, "  agent {:<9} http://{agent}", number + 1)?;
        }
        for (number, agent) in self.public_agents.iter().enumerate() {
            writeln!(out, "  public agent {:<2} http://{agent}", number + 1)?;
        }
        Ok(())
    }
}

/// After a stop nothing runs where the file says.
pub(crate) fn remove(folder: &Path) {
    let _ = fs::remove_file(folder.join(NAME));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Endpoints::read(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("dais up"), "{missing}");
        let endpoints = Endpoints {
            mesos_master: "127.0.0.1:5050".into(),
            agents: vec!["127.0.0.1:5051".into()],
            public_agents: vec![],
            marathon: Some("http://127.0.0.1:8080".into()),
            gateway: Some("https://localhost:8443".into()),
            admin_password_file: Some("/data/iam/admin-password".into()),
            pid: 7,
            ..Endpoints::default()
        };
        endpoints.write(folder.path()).unwrap();
        assert_eq!(Endpoints::read(folder.path()).unwrap(), endpoints);
        remove(folder.path());
        assert!(Endpoints::read(folder.path()).is_err());
    }

    #[test]
    fn files_from_before_there_were_services_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let old = r#"{"mesos_master":"127.0.0.1:5050","agents":[],"public_agents":[],"pid":7}"#;
        fs::write(folder.path().join(NAME), old).unwrap();
        let endpoints = Endpoints::read(folder.path()).unwrap();
        assert_eq!((endpoints.marathon, endpoints.pid), (None, 7));
    }
}
