//! What the commands need beyond cargo, and how to get it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, program, root, run, succeeds, target_dir};

/// The Python packages of the framework tests, which run on `PyPy`.
const REQUIREMENTS: &str = "tests/pymesos/requirements.txt";
/// Those of the tests of the services, on any Python 3.
const MARATHON_REQUIREMENTS: &str = "tests/marathon_python/requirements.txt";
const GATEWAY_REQUIREMENTS: &str = "tests/gateway_clients/requirements.txt";
/// A provider of logins that others wrote.
const OIDC_REQUIREMENTS: &str = "tests/oidc_provider/requirements.txt";

/// Finds tools, and installs them if allowed to.
pub(crate) struct Tools {
    pub(crate) install: bool,
}

impl Tools {
    /// `rustfmt` and clippy come with most toolchains, but not with minimal ones.
    pub(crate) fn rust_components(&self) -> Result<()> {
        for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
            if succeeds(cargo().args([subcommand, "--version"])) {
                continue;
            }
            self.may_install(component, "rustup")?;
            run(program("rustup").args(["component", "add", component]))?;
        }
        Ok(())
    }

    pub(crate) fn cargo_deny(&self) -> Result<()> {
        if succeeds(cargo().args(["deny", "--version"])) {
            return Ok(());
        }
        self.may_install("cargo-deny (this compiles for some minutes)", "cargo")?;
        run(cargo().args(["install", "--locked", "cargo-deny"]))
    }

    /// A Debian package that provides `command`.
    pub(crate) fn apt(&self, command: &str, packages: &[&str]) -> Result<()> {
        if succeeds(program(command).arg("--version")) {
            return Ok(());
        }
        self.apt_install(packages)
    }

    fn apt_install(&self, packages: &[&str]) -> Result<()> {
        self.may_install(&packages.join(", "), "apt-get")?;
        let sudo = !succeeds(program("sh").args(["-c", "test $(id -u) -eq 0"]));
        for words in [
            &["update"][..],
            &[&["install", "--yes", "--no-install-recommends"], packages].concat(),
        ] {
            let mut apt = if sudo { program("sudo") } else { program("apt-get") };
            if sudo {
                apt.args(["--non-interactive", "apt-get"]);
            }
            run(apt.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
                .with_context(|| format!("install {} by hand", packages.join(", ")))?;
        }
        Ok(())
    }

    /// What the packages of the catalog run, and the clients that use it.
    pub(crate) fn catalog_software(&self) -> Result<()> {
        const PROGRAMS: [(&str, &str); 7] = [
            ("nginx", "nginx-light"),
            ("redis-server", "redis-server"),
            ("redis-cli", "redis-tools"),
            ("initdb", "postgresql"),
            ("psql", "postgresql-client"),
            ("docker-registry", "docker-registry"),
            ("skopeo", "skopeo"),
        ];
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = versions.map(|one| one.path().join("bin")).collect();
        folders.extend(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
        let absent = PROGRAMS
            .iter()
            .filter(|(program, _)| !folders.iter().any(|folder| folder.join(program).exists()));
        let packages: Vec<&str> = absent.map(|(_, package)| *package).collect();
        if packages.is_empty() { Ok(()) } else { self.apt_install(&packages) }
    }

    /// The interpreter of an environment that has pymesos, unmodified.
    pub(crate) fn pymesos(&self) -> Result<PathBuf> {
        let folder = target_dir().join("end-to-end/pymesos");
        let python = folder.join("bin/python");
        if succeeds(program(&python.to_string_lossy()).args(["-c", "import pymesos"])) {
            return Ok(python);
        }
        self.apt("pypy3", &["pypy3", "pypy3-venv"])?;
        self.may_install("pymesos", "pip")?;
        run(program("pypy3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(program(&python.to_string_lossy())
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(root().join(REQUIREMENTS)))?;
        Ok(python)
    }

    /// The interpreter of an environment that has marathon-python, unmodified.
    pub(crate) fn marathon_python(&self) -> Result<PathBuf> {
        self.python("marathon-python", &["marathon"], MARATHON_REQUIREMENTS)
    }

    /// The interpreter of an environment with what talks to the gateway.
    pub(crate) fn gateway_python(&self) -> Result<PathBuf> {
        let modules = ["requests", "jwt", "cryptography", "selenium", "websocket"];
        self.python("gateway", &modules, GATEWAY_REQUIREMENTS)
    }

    /// The program `oidc-provider-mock`, unmodified.
    pub(crate) fn oidc_provider(&self) -> Result<PathBuf> {
        let modules = ["oidc_provider_mock"];
        let python = self.python("oidc-provider-mock", &modules, OIDC_REQUIREMENTS)?;
        Ok(python.with_file_name("oidc-provider-mock"))
    }

    /// Programs that talk to the gateway.
    pub(crate) fn gateway_software(&self) -> Result<()> {
        self.programs(&[
            ("chromium", "chromium"),
            ("chromedriver", "chromium-driver"),
            ("curl", "curl"),
            ("openssl", "openssl"),
            ("sslscan", "sslscan"),
        ])
    }

    /// Programs that ask for names, that carry traffic, and those that ours are compared with.
    pub(crate) fn network_software(&self) -> Result<()> {
        self.programs(&[
            ("conntrack", "conntrack"),
            ("curl", "curl"),
            ("dig", "bind9-dnsutils"),
            ("dnsperf", "dnsperf"),
            ("haproxy", "haproxy"),
            ("host", "bind9-host"),
            ("ip", "iproute2"),
            ("nft", "nftables"),
            ("wrk", "wrk"),
        ])?;
        if succeeds(program("/usr/bin/python3").args(["-c", "import dns.resolver"])) {
            return Ok(());
        }
        self.apt_install(&["python3", "python3-dnspython"])
    }

    /// Programs of Debian, each with the package it is in.
    fn programs(&self, programs: &[(&str, &str)]) -> Result<()> {
        let absent = programs.iter().filter(|(program, _)| {
            !["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(program).exists())
        });
        let packages: Vec<&str> = absent.map(|(_, package)| *package).collect();
        if packages.is_empty() { Ok(()) } else { self.apt_install(&packages) }
    }

    /// An environment of Python 3 of that name, which has these modules.
    fn python(&self, name: &str, modules: &[&str], requirements: &str) -> Result<PathBuf> {
        let folder = target_dir().join("end-to-end").join(name);
        let python = folder.join("bin/python");
        let import = format!("import {}", modules.join(", "));
        if succeeds(program(&python.to_string_lossy()).args(["-c", &import])) {
            return Ok(python);
        }
        // Debian's interpreter comes without what makes environments.
        if !succeeds(program("python3").args(["-c", "import venv, ensurepip"])) {
            self.apt("python3-venv", &["python3", "python3-venv"])?;
        }
        self.may_install(&modules.join(", "), "pip")?;
        run(program("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(program(&python.to_string_lossy())
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(root().join(requirements)))?;
        Ok(python)
    }

    fn may_install(&self, what: &str, with: &str) -> Result<()> {
        if !self.install {
            bail!("{what} is missing, and --no-install was given");
        }
        eprintln!("\nxtask: {what} is missing; installing it with {with}");
        Ok(())
    }
}
