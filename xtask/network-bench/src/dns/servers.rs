//! The name servers side by side: one worker each, the same zone, no log of questions, no limit on
//! how many they answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::zone::Zone;
use crate::process::{Place, Process, free_port, on};

pub(crate) const NAMES: [&str; 5] = ["ours", "knot", "nsd", "bind9", "dnsmasq"];
pub(crate) const MISSING: &str = "apt-get install dnsperf knot nsd bind9 dnsmasq-base";

/// One of them, running.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

pub(crate) struct Setup {
    folder: PathBuf,
    pub(crate) zone: Zone,
    pub(crate) questions: PathBuf,
}

// === impl Setup ===

impl Setup {
    pub(crate) fn prepare(folder: &Path, records: usize) -> Result<Setup> {
        for program in ["taskset", "dnsperf", "knotd", "nsd", "named", "dnsmasq"] {
            let path = "/usr/sbin:/usr/bin:/sbin:/bin";
            let found = Command::new("which").env("PATH", path).arg(program).output()?;
            if !found.status.success() {
                bail!("{program} is missing: {MISSING}");
            }
        }
        let zone = Zone::with_records(records);
        fs::write(folder.join("mesos.zone"), zone.file())?;
        let (hosts, services) = zone.dnsmasq();
        fs::write(folder.join("hosts"), hosts)?;
        fs::write(folder.join("services.conf"), services)?;
        let questions = folder.join("questions");
        fs::write(&questions, zone.questions())?;
        Ok(Setup { folder: folder.to_owned(), zone, questions })
    }

    /// In the order of [`NAMES`].
    pub(crate) fn start(&self) -> Result<Vec<Server>> {
        Ok(vec![
            self.start_own(self.zone.records())?,
            self.start_knot()?,
            self.start_nsd()?,
            self.start_bind()?,
            self.start_dnsmasq()?,
        ])
    }

    /// Ours, with names for so many records.
    pub(crate) fn start_own(&self, records: usize) -> Result<Server> {
        let port = free_port()?;
        let mut command = on(Place::Server, std::env::current_exe()?);
        command.args(["serve-names", "--port", &port.to_string()]);
        command.args(["--records", &records.to_string()]);
        self.finish("ours", &mut command, port)
    }

    /// Ours, fed by a master, and where its API is.
    pub(crate) fn start_fed(&self, master: std::net::SocketAddr) -> Result<(Server, u16)> {
        let (port, http) = (free_port()?, free_port()?);
        let mut command = on(Place::Server, std::env::current_exe()?);
        command.args(["serve-names", "--port", &port.to_string()]);
        command.args(["--http-port", &http.to_string()]);
        command.args(["--master", &format!("http://{master}")]);
        Ok((self.finish("fed", &mut command, port)?, http))
    }

    fn finish(&self, name: &str, command: &mut Command, port: u16) -> Result<Server> {
        let log = self.folder.join(format!("{name}.log"));
        let mut process = Process::start(command, &log)?;
        process.wait_for(&[port]).with_context(|| format!("{name} does not start"))?;
        Ok(Server { process, port })
    }

    /// A folder and a file of configuration.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        fs::create_dir_all(self.folder.join(name))?;
        let path = self.folder.join(format!("{name}.conf"));
        fs::write(&path, text)?;
        Ok(path)
    }

    fn start_knot(&self) -> Result<Server> {
        let (port, folder) = (free_port()?, self.folder.display());
        let text = format!(
            "server:\n    rundir: {folder}/knot\n    listen: 127.0.0.1@{port}\n    \
             udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n    \
             tcp-max-clients: 1000\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: {folder}/knot\n\
             zone:\n  - domain: mesos\n    file: {folder}/mesos.zone\n    storage: {folder}/knot\n"
        );
        let mut command = on(Place::Server, "/usr/sbin/knotd");
        command.arg("-c").arg(self.write("knot", &text)?);
        self.finish("knot", &mut command, port)
    }

    fn start_nsd(&self) -> Result<Server> {
        let (port, folder) = (free_port()?, self.folder.display());
        let text = format!(
            "server:\n  server-count: 1\n  ip-address: 127.0.0.1@{port}\n  port: {port}\n  \
             username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: {folder}\n  \
             pidfile: {folder}/nsd/pid\n  xfrdfile: {folder}/nsd/xfrd\n  \
             zonelistfile: {folder}/nsd/list\n  xfrdir: {folder}/nsd\n  tcp-count: 1000\n  \
             rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n\
             remote-control:\n  control-enable: no\n\
             zone:\n  name: mesos\n  zonefile: mesos.zone\n"
        );
        let mut command = on(Place::Server, "/usr/sbin/nsd");
        command.arg("-d").arg("-c").arg(self.write("nsd", &text)?);
        self.finish("nsd", &mut command, port)
    }

    fn start_bind(&self) -> Result<Server> {
        let (port, folder) = (free_port()?, self.folder.display());
        let text = format!(
            "options {{ directory \"{folder}/bind9\"; listen-on port {port} {{ 127.0.0.1; }};\n  \
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; minimal-any no;\n  \
             pid-file \"{folder}/bind9/pid\"; session-keyfile \"{folder}/bind9/key\";\n  \
             lock-file none; tcp-clients 1000; querylog no; }};\ncontrols {{ }};\n\
             zone \"mesos\" {{ type master; file \"{folder}/mesos.zone\"; check-names ignore; }};\n"
        );
        let mut command = on(Place::Server, "/usr/sbin/named");
        command.args(["-f", "-n", "1", "-c"]).arg(self.write("bind9", &text)?);
        self.finish("bind9", &mut command, port)
    }

    fn start_dnsmasq(&self) -> Result<Server> {
        let (port, folder) = (free_port()?, self.folder.display());
        let text = format!(
            "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\n\
             addn-hosts={folder}/hosts\nconf-file={folder}/services.conf\nlocal=/mesos/\n\
             pid-file={folder}/dnsmasq/pid\nuser=root\ngroup=root\nlocal-ttl=60\nkeep-in-foreground\n"
        );
        let mut command = on(Place::Server, "/usr/sbin/dnsmasq");
        command.arg("-C").arg(self.write("dnsmasq", &text)?);
        self.finish("dnsmasq", &mut command, port)
    }
}
