//! What scripts written for the dcos CLI say is understood.

use crate::support::{Dais, run, split};
use clap::{CommandFactory, Parser};

/// Lines from manuals, courses and continuous-integration jobs, after `dcos`.
const LINES: &[&str] = &[
    "cluster setup https://dcos.example.com --insecure --username=admin --password=secret --no-check",
    "cluster setup http://10.0.0.1 --provider=dcos-users --name=mine --ca-certs=/tmp/ca.crt",
    "cluster attach mine",
    "cluster list --json",
    "cluster list --attached",
    "cluster rename mine yours",
    "cluster remove --all",
    "cluster remove mine",
    "config show core.dcos_url",
    "config show",
    "config set core.ssl_verify false",
    "config unset core.timeout",
    "config keys -q",
    "auth login --username=u --password-file=/x",
    "auth logout",
    "auth list-providers --json",
    "node",
    "node --json",
    "node list --json",
    "node list --field=attributes.rack --mesos-id=abc-S1",
    "node dns leader.mesos --json",
    "service",
    "service list --json --completed --inactive",
    "service list --quiet",
    "service log --follow --lines=50 kafka stderr",
    "service shutdown --yes 1234-0001",
    "task",
    "task --json",
    "task --completed",
    "task list",
    "task list --all --json",
    "task list --completed --quiet web",
    "task list --agent-id=abc-S1",
    "task log --lines=100 web",
    "task log --follow --completed web stderr",
    "task log --all --lines=-5 web",
    "task ls web /",
    "task ls --long --all web",
    "task download web stdout --target-dir=/tmp",
    "marathon about",
    "marathon ping --once",
    "marathon plugin list --json",
    "marathon leader show --json",
    "marathon leader delete",
    "marathon delay reset /web",
    "marathon app add",
    "marathon app add web.json",
    "marathon app add https://example.com/web.json",
    "marathon app list --json",
    "marathon app list -q",
    "marathon app show /web",
    "marathon app show --app-version=-1 web",
    "marathon app show --app-version=2020-01-01T00:00:00.000Z web",
    "marathon app update --force web cpus=2.0 mem=308 'env={\"A\":\"b\"}'",
    "marathon app update web",
    "marathon app remove --force web",
    "marathon app start --force web 3",
    "marathon app start web",
    "marathon app stop web --force",
    "marathon app restart --force web",
    "marathon app kill --scale web",
    "marathon app kill --host=10.0.0.1 web",
    "marathon app version list --max-count=2 web",
    "marathon group add group.json",
    "marathon group add --id=/prod",
    "marathon group list --json",
    "marathon group show --group-version=-2 /prod",
    "marathon group scale --force /prod 2.5",
    "marathon group update /prod dependencies=[]",
    "marathon group remove --force /prod",
    "marathon deployment list --json web",
    "marathon deployment list -q",
    "marathon deployment rollback 1234",
    "marathon deployment stop 1234",
    "marathon deployment watch --max-count=5 --interval=2 1234",
    "marathon task list --json web",
    "marathon task list",
    "marathon task show web.1",
    "marathon task stop --wipe web.1",
    "marathon task kill --scale --wipe --json web.1 web.2",
    "marathon debug list --json",
    "marathon debug summary /web --json",
    "marathon debug details /web",
    "marathon pod list --json",
    "marathon pod add pod.json",
    "marathon pod kill --force x",
    "package search",
    "package search kafka --json",
    "package describe --config kafka",
    "package describe --app --render --options=o.json --app-id=/x kafka",
    "package describe --package-versions kafka",
    "package describe --cli --package-version=1.0 kafka",
    "package install kafka --yes",
    "package install --options=o.json --package-version=1.0 --app-id=/x --app --yes kafka",
    "package install --cli kafka --yes",
    "package list --json",
    "package list --app-id=/x",
    "package list --cli kafka",
    "package uninstall --all --yes kafka",
    "package uninstall --app-id=/x --app kafka --yes",
    "package repo list --json",
    "package repo add --index=0 mine http://example.com/repo",
    "package repo remove one two",
    "package repo import repos.json",
    "completion bash",
    "-v node list",
    "task -v list",
    "node --url=http://10.0.0.1 list",
    "-vv task list --json",
    "--debug package list",
];

#[test]
fn lines_of_dcos_scripts_are_understood() {
    for line in LINES {
        let words = std::iter::once("dcos".to_owned()).chain(split(line));
        if let Err(error) = Dais::try_parse_from(words) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_is_not_understood_ends_with_two_and_says_what_is() {
    for line in ["marathon app lisst", "package install", "marathon app start web many", "nope"] {
        let outcome = run(line, "", &[]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.err.contains("error:"), "{outcome:?}");
    }
    assert!(run("marathon app lisst", "", &[]).err.contains("list"));
}

#[test]
fn the_arguments_are_consistent_and_all_have_help() {
    let mut command = Dais::command();
    command.clone().debug_assert();
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        assert!(
            command.get_about().is_some() || command.get_name() == "help",
            "{} says nothing of itself",
            command.get_name()
        );
        waiting.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn completion_is_printed_for_each_shell() {
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef dais"), ("fish", "complete -c dais")]
    {
        let script = run(&format!("completion {shell}"), "", &[]).ok();
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("uninstall"), "{shell}");
    }
    assert_eq!(run("completion tcsh", "", &[]).status, 2);
}
