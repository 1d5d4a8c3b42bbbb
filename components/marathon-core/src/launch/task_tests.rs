//! What is in the message that launches an instance.

use super::{
    testing::{app, container, definition, instance, mapping, network, offer, remaining, request},
    *,
};
use marathon_model::{
    App,
    app::{
        Artifact, Check, CheckCommand, CheckProbe, ContainerKind, EnvValue, ExecutorResources,
        HealthCheck, HealthProbe, Limit, NetworkMode, PortRef, Protocol, ResourceLimits, Volume,
        VolumeMode, VolumeSource,
    },
};
use mesos_messages::v1::{self, check_info, health_check};
use std::{collections::BTreeMap, time::Duration};

fn launch(app: &App) -> Launch {
    let settings = LaunchSettings::default();
    launch_with(app, &settings)
}

fn launch_with(app: &App, settings: &LaunchSettings) -> Launch {
    let id = instance(app, 1);
    let offer = offer("host-a", "cpus:9;mem:9000;disk:9000;ports:[31000-31000]", "");
    fit(&request(app, &id, settings), &mut remaining(&offer), &Placed::new(app)).unwrap()
}

fn environment(task: &v1::TaskInfo) -> BTreeMap<String, String> {
    let command = task.command.as_ref().unwrap();
    let variables = &command.environment.as_ref().unwrap().variables;
    variables.iter().map(|one| (one.name.clone(), one.value.clone().unwrap())).collect()
}

fn get<'a>(variables: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    variables.get(name).map_or("(unset)", String::as_str)
}

#[test]
fn the_task_itself() {
    let mut app = app();
    app.user = Some("nobody".to_owned());
    app.labels.insert("k".to_owned(), "v".to_owned());
    app.task_kill_grace_period_seconds = Some(3);
    app.fetch = vec![Artifact {
        uri: "http://x/a.tgz".to_owned(),
        extract: true,
        executable: false,
        cache: true,
        dest_path: Some("b".to_owned()),
    }];
    app.resource_limits =
        Some(ResourceLimits { cpus: Some(Limit::Unlimited), mem: Some(Limit::Value(256.0)) });
    let task = launch(&app).task;
    assert_eq!(task.name, "web.prod");
    assert_eq!(task.task_id.value, "prod_web.instance-00000000-0000-0000-0000-000000000001._app.1");
    assert_eq!(task.agent_id.value, "agent-host-a");
    assert_eq!(task.labels.unwrap().labels[0].value(), "v");
    let grace = task.kill_policy.unwrap().grace_period.unwrap().to_duration();
    assert_eq!(grace, Duration::from_secs(3));
    let command = task.command.unwrap();
    assert_eq!((command.value(), command.shell(), command.user()), ("sleep 100", true, "nobody"));
    let uri = &command.uris[0];
    assert_eq!((uri.value.as_str(), uri.output_file()), ("http://x/a.tgz", "b"));
    assert_eq!((uri.extract(), uri.executable(), uri.cache()), (true, false, true));
    assert_eq!(task.limits["cpus"].value, f64::INFINITY);
    assert_eq!(task.limits["mem"].value, 256.0);
    assert!(task.container.is_none() && task.executor.is_none());
    assert!(task.resources.iter().all(|one| one.allocation_info.is_some()));
}

#[test]
fn arguments_are_a_command_without_a_shell() {
    let mut app = app();
    app.cmd = None;
    app.args = vec!["/bin/echo".to_owned(), "a b".to_owned()];
    let command = launch(&app).task.command.unwrap();
    assert_eq!((command.value(), command.shell()), ("/bin/echo", false));
    assert_eq!(command.arguments, ["/bin/echo", "a b"]);
}

#[test]
fn the_environment() {
    let mut app = app();
    app.cpus = 0.5;
    app.labels = [("a.b-c", "1"), ("HAPROXY_0_VHOST", "x"), ("long", &"x".repeat(512))]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let text = |value: &str| EnvValue::Text(value.to_owned());
    app.env.insert("MINE".to_owned(), text("1"));
    app.env.insert("HOST".to_owned(), text("mine"));
    app.port_definitions = vec![definition(10_001, Some("http-api"))];
    let launch = launch(&app);
    let all = environment(&launch.task);
    for (name, value) in [
        ("MESOS_TASK_ID", launch.task.task_id.value.as_str()),
        ("MARATHON_APP_ID", "/prod/web"),
        ("MARATHON_APP_VERSION", "2020-01-31T10:00:00.000Z"),
        ("MARATHON_APP_RESOURCE_CPUS", "0.5"),
        ("MARATHON_APP_RESOURCE_MEM", "128.0"),
        ("MARATHON_APP_RESOURCE_DISK", "0.0"),
        ("MARATHON_APP_RESOURCE_GPUS", "0"),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", "FALSE"),
        ("MARATHON_APP_LABELS", "HAPROXY_0_VHOST A_B_C"),
        ("MARATHON_APP_LABEL_A_B_C", "1"),
        ("MARATHON_APP_LABEL_LONG", "(unset)"),
        ("MARATHON_APP_DOCKER_IMAGE", "(unset)"),
        // The app's own wins.
        ("HOST", "mine"),
        ("MINE", "1"),
        ("PORT", "31000"),
        ("PORT0", "31000"),
        ("PORTS", "31000"),
        ("PORT_10001", "31000"),
        ("PORT_HTTP-API", "31000"),
    ] {
        assert_eq!(get(&all, name), value, "{name}");
    }
}

#[test]
fn the_prefix_is_for_host_and_ports_alone() {
    let mut app = app();
    app.port_definitions = vec![definition(0, None)];
    let settings =
        LaunchSettings { env_vars_prefix: Some("X_".to_owned()), ..LaunchSettings::default() };
    let all = environment(&launch_with(&app, &settings).task);
    assert_eq!((get(&all, "X_HOST"), get(&all, "X_PORT0")), ("host-a", "31000"));
    assert_eq!(get(&all, "X_PORT_31000"), "31000");
    assert_eq!((get(&all, "HOST"), get(&all, "MARATHON_APP_ID")), ("(unset)", "/prod/web"));
}

#[test]
fn ports_that_are_not_published_are_those_of_the_container() {
    let mut app = app();
    app.networks = vec![network(NetworkMode::Container, Some("dcos"))];
    let mut mappings = vec![mapping(8080, None), mapping(0, None), mapping(90, Some(0))];
    mappings[0].name = Some("web".to_owned());
    app.container = Some(container(ContainerKind::Mesos, mappings));
    let launch = launch(&app);
    let all = environment(&launch.task);
    assert_eq!((get(&all, "PORT0"), get(&all, "PORT_8080")), ("8080", "8080"));
    assert_eq!((get(&all, "PORT_WEB"), get(&all, "PORT2")), ("8080", "31000"));
    assert_eq!(get(&all, "PORT_90"), "31000");
    let invented = get(&all, "PORT1");
    assert!(invented.parse::<u16>().is_ok_and(|port| port >= 1025), "{invented}");
    assert_eq!(get(&all, "PORT"), "31000");
    assert_eq!(get(&all, "PORTS"), format!("31000,{invented}"));
    let network = &launch.task.container.as_ref().unwrap().network_infos[0];
    assert_eq!(network.name(), "dcos");
    assert_eq!(network.port_mappings.len(), 1);
    let discovery = launch.task.discovery.unwrap().ports.unwrap().ports;
    let label = |port: &v1::Port, key: &str| {
        let labels = port.labels.clone().unwrap_or_default().labels;
        labels.iter().find(|label| label.key == key).map(|label| label.value().to_owned())
    };
    assert_eq!((discovery[0].number, discovery[0].name()), (8080, "web"));
    assert_eq!(label(&discovery[0], "network-scope").as_deref(), Some("container"));
    assert_eq!(label(&discovery[0], "network-name").as_deref(), Some("dcos"));
    assert_eq!(discovery[2].number, 31_000);
    assert_eq!(label(&discovery[2], "network-scope").as_deref(), Some("host"));
}

#[test]
fn discovery_of_host_ports() {
    let mut app = app();
    let mut port = definition(10_000, Some("dns"));
    port.protocol = Protocol::Both;
    port.labels.insert("VIP_0".to_owned(), "/dns:53".to_owned());
    app.port_definitions = vec![port];
    let discovery = launch(&app).task.discovery.unwrap();
    assert_eq!(discovery.name(), "web.prod");
    assert_eq!(discovery.visibility(), v1::discovery_info::Visibility::Framework);
    let ports = discovery.ports.unwrap().ports;
    let protocols: Vec<&str> = ports.iter().map(v1::Port::protocol).collect();
    assert_eq!(protocols, ["udp", "tcp"]);
    assert!(ports.iter().all(|port| port.number == 31_000 && port.name() == "dns"));
    assert_eq!(ports[0].labels.as_ref().unwrap().labels[0].key, "VIP_0");
    assert_eq!(ports[0].labels.as_ref().unwrap().labels.len(), 1);
}

fn health(probe: HealthProbe) -> HealthCheck {
    HealthCheck {
        probe,
        grace_period_seconds: 5,
        interval_seconds: 6,
        timeout_seconds: 7,
        max_consecutive_failures: 2,
        delay_seconds: 1,
        ignore_http1xx: None,
    }
}

#[test]
fn the_executor_gets_its_one_health_check() {
    let mut app = app();
    app.port_definitions = vec![definition(10_000, None)];
    let own = HealthProbe::Tcp { port: PortRef::Index(0) };
    let path = Some("/h".to_owned());
    let mesos = HealthProbe::MesosHttp { https: true, path, port: PortRef::Index(0), ipv6: false };
    app.health_checks = vec![health(own), health(mesos)];
    let check = launch(&app).task.health_check.unwrap();
    assert_eq!(check.r#type(), health_check::Type::Http);
    assert_eq!((check.delay_seconds(), check.interval_seconds()), (1.0, 6.0));
    assert_eq!((check.timeout_seconds(), check.grace_period_seconds()), (7.0, 5.0));
    assert_eq!(check.consecutive_failures(), 2);
    let http = check.http.unwrap();
    assert_eq!((http.scheme(), http.port, http.path()), ("https", 31_000, "/h"));
    app.health_checks = vec![health(HealthProbe::Command("true".to_owned()))];
    let check = launch(&app).task.health_check.unwrap();
    assert_eq!(check.command.unwrap().value(), "true");
    app.health_checks = vec![health(HealthProbe::Tcp { port: PortRef::Index(0) })];
    assert!(launch(&app).task.health_check.is_none());
    // Inside a container it is the container's port.
    app.networks = vec![network(NetworkMode::Bridge, None)];
    app.container = Some(container(ContainerKind::Mesos, vec![mapping(80, Some(0))]));
    app.health_checks = vec![health(HealthProbe::MesosTcp { port: PortRef::Index(0), ipv6: true })];
    let tcp = launch(&app).task.health_check.unwrap().tcp.unwrap();
    assert_eq!((tcp.port, tcp.protocol()), (80, v1::network_info::Protocol::IPv6));
}

#[test]
fn the_informational_check() {
    let mut app = app();
    let check = |probe| Check { probe, interval_seconds: 1, timeout_seconds: 2, delay_seconds: 3 };
    let argv = CheckCommand::Argv(vec!["a".to_owned(), "b".to_owned()]);
    app.check = Some(check(CheckProbe::Exec(argv)));
    let info = launch(&app).task.check.unwrap();
    assert_eq!(info.r#type(), check_info::Type::Command);
    let command = info.command.unwrap().command;
    assert_eq!((command.value(), command.shell()), ("a", false));
    assert_eq!(info.delay_seconds, Some(3.0));
    app.check = Some(check(CheckProbe::Tcp { port: PortRef::Number(99) }));
    assert_eq!(launch(&app).task.check.unwrap().tcp.unwrap().port, 99);
    // A port that the app does not have cannot be checked.
    app.check = Some(check(CheckProbe::Tcp { port: PortRef::Index(4) }));
    assert!(launch(&app).task.check.is_none());
}

#[test]
fn volumes_and_terminals() {
    let mut app = app();
    app.tty = Some(true);
    let mut mesos = container(ContainerKind::Mesos, Vec::new());
    mesos.volumes = vec![Volume {
        container_path: "/data".to_owned(),
        mode: Some(VolumeMode::ReadOnly),
        source: VolumeSource::Host("/srv".to_owned()),
    }];
    app.container = Some(mesos);
    let info = launch(&app).task.container.unwrap();
    let volume = &info.volumes[0];
    assert_eq!((volume.container_path.as_str(), volume.host_path()), ("/data", "/srv"));
    assert_eq!(volume.mode(), v1::volume::Mode::Ro);
    assert!(info.tty_info.is_some() && info.mesos.is_some());
}

#[test]
fn an_executor_of_its_own() {
    let mut app = app();
    app.executor = "/opt/exec".to_owned();
    app.executor_resources = Some(ExecutorResources { cpus: 0.5, mem: 32.0, disk: 10.0 });
    let task = launch(&app).task;
    assert!(task.command.is_none());
    let executor = task.executor.unwrap();
    assert!(executor.executor_id.value.starts_with("marathon-prod_web.instance-"));
    let command = executor.command.unwrap();
    assert_eq!(command.value(), "chmod ug+rx '/opt/exec' && exec '/opt/exec' sleep 100");
    let has = mesos_messages::resources::Resources::from_proto(&executor.resources).unwrap();
    assert_eq!((has.cpus().unwrap().to_f64(), has.mem().unwrap().to_f64()), (0.5, 32.0));
}

#[test]
fn the_default_executor_gets_its_resources_too() {
    let mut app = app();
    app.executor_resources = Some(ExecutorResources { cpus: 0.5, mem: 32.0, disk: 10.0 });
    let settings = LaunchSettings { executor: "/opt/exec".to_owned(), ..LaunchSettings::default() };
    let executor = launch_with(&app, &settings).task.executor.unwrap();
    let has = mesos_messages::resources::Resources::from_proto(&executor.resources).unwrap();
    assert_eq!(has.cpus().unwrap().to_f64(), 0.5);
}
