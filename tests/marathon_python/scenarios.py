"""The eight scenarios that marathon-python itself is tested with."""

from marathon import MarathonApp

from support import Listener, equal, wait

TRIVIAL = {'cmd': 'sleep 3600', 'mem': 16, 'cpus': 0.1, 'instances': 5}

# In the form that was used before 1.5; the image does not exist.
COMPLEX = {
    'container': {
        'type': 'DOCKER',
        'docker': {
            'portMappings': [
                {'protocol': 'tcp', 'name': 'myport', 'containerPort': 8888, 'hostPort': 0},
            ],
            'image': 'localhost/fake_docker_url',
            'network': 'BRIDGE',
            'parameters': [{'key': 'add-host', 'value': 'google-public-dns-a.google.com:8.8.8.8'}],
        },
        'volumes': [{'hostPath': '/etc/stuff', 'containerPath': '/etc/stuff', 'mode': 'RO'}],
    },
    'instances': 1,
    'mem': 30,
    'args': [],
    'backoff_factor': 2,
    'cpus': 0.25,
    'uris': ['file:///root/.dockercfg'],
    'backoff_seconds': 1,
    'constraints': None,
    'cmd': '/bin/true',
    'health_checks': [
        {
            'protocol': 'HTTP',
            'path': '/health',
            'gracePeriodSeconds': 3,
            'intervalSeconds': 10,
            'portIndex': 0,
            'timeoutSeconds': 10,
            'maxConsecutiveFailures': 3,
        },
    ],
}


def metadata_can_be_fetched(cluster):
    info = cluster.client.get_info()
    equal(info.name, 'marathon')
    assert info.framework_id, info
    assert info.elected
    assert tuple(int(part) for part in info.version.split('.')[:3]) >= (1, 5, 0), info.version
    assert info.marathon_config.mesos_role is not None


def trivial_apps_can_be_deployed(cluster):
    created = cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    equal((created.id, created.instances), ('/test-trivial-app', 5))
    equal(created.tasks_running, 0)
    equal(len(created.deployments), 1)
    equal([app.id for app in cluster.client.list_apps()], ['/test-trivial-app'])
    assert cluster.client.get_app('test-trivial-app')
    cluster.deployed()
    equal(len(cluster.running('/test-trivial-app')), 5)


def complex_apps_can_be_deployed(cluster):
    created = cluster.client.create_app('test-complex-app', MarathonApp(**COMPLEX))
    mapping = created.container.port_mappings[0]
    equal((mapping.container_port, mapping.host_port, mapping.name), (8888, 0, 'myport'))
    assert mapping.service_port >= 10000, mapping
    equal(created.networks, [{'mode': 'container/bridge'}])
    equal(created.fetch[0]['uri'], 'file:///root/.dockercfg')
    equal(created.container.volumes[0].host_path, '/etc/stuff')
    app = cluster.client.get_app('test-complex-app')
    equal(app.container.docker.image, 'localhost/fake_docker_url')
    equal((app.backoff_factor, app.health_checks[0].port_index), (2, 0))
    # It never runs, and can be deleted all the same: the end of every scenario does.


def deployments_can_be_read(cluster):
    cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    deployments = cluster.client.list_deployments()
    equal(len(deployments), 1)
    deployment = deployments[0]
    equal(deployment.affected_apps, ['/test-trivial-app'])
    assert 1 <= deployment.current_step <= deployment.total_steps, deployment
    actions = [action.action for step in deployment.steps for action in step.actions]
    equal(actions, ['StartApplication', 'ScaleApplication'])


def app_tasks_can_be_listed(cluster):
    cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    wait('no deployment', lambda: not cluster.client.get_app(
        'test-trivial-app', embed_tasks=True).deployments)
    app = cluster.client.get_app('test-trivial-app')
    tasks = cluster.client.list_tasks('test-trivial-app')
    equal(len(tasks), app.instances)
    for task in tasks:
        equal((task.state, task.app_id), ('TASK_RUNNING', '/test-trivial-app'))
        assert task.started_at and task.staged_at and task.slave_id, vars(task)
        equal(task.version, app.version)


def app_tasks_can_be_killed(cluster):
    cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    cluster.deployed()
    app = cluster.client.get_app('test-trivial-app')
    answer = cluster.client.kill_task(
        app_id='test-trivial-app', task_id=app.tasks[0].id, scale=True)
    cluster.deployed(answer)
    equal(cluster.client.get_app('test-trivial-app').instances, 4)
    wait('four tasks', lambda: len(cluster.running('/test-trivial-app')) == 4)


def a_list_of_app_tasks_can_be_killed(cluster):
    cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    wait('no deployment', lambda: not cluster.client.get_app(
        'test-trivial-app', embed_tasks=True).deployments)
    tasks = cluster.client.get_app('test-trivial-app', embed_tasks=True).tasks
    killed = [tasks[index].id for index in (0, 1, 2)]
    assert cluster.client.kill_given_tasks(killed)

    def replaced():
        running = {task['id'] for task in cluster.running('/test-trivial-app')}
        return len(running) == 5 and not running.intersection(killed)
    wait('three other tasks', replaced)


def events_can_be_listened_to(cluster):
    listener = Listener(cluster)
    listener.expect('its own arrival', lambda event: event.event_type == 'event_stream_attached')
    cluster.client.create_app('test-trivial-app', MarathonApp(**TRIVIAL))
    # The plan is not the one this client knows: as with the original, its iterator ends there.
    wait('the first plan', lambda: listener.error is not None)
    assert isinstance(listener.error, (AttributeError, TypeError)), listener.error


ALL = [
    metadata_can_be_fetched,
    trivial_apps_can_be_deployed,
    complex_apps_can_be_deployed,
    deployments_can_be_read,
    app_tasks_can_be_listed,
    app_tasks_can_be_killed,
    a_list_of_app_tasks_can_be_killed,
    events_can_be_listened_to,
]
