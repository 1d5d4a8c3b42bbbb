"""Events, information about the server, and what tasks are given."""

import os
import sys
import tempfile

from marathon import MarathonApp
from marathon.exceptions import InternalServerError, NotFoundError
from marathon.models.events import (
    MarathonApiPostEvent, MarathonDeploymentSuccess, MarathonInstanceChangedEvent,
    MarathonStatusUpdateEvent)

from apps import SERVER
from support import Listener, equal, raises, wait


def chosen_events(cluster):
    kinds = [MarathonStatusUpdateEvent, MarathonDeploymentSuccess, 'instance_changed_event']
    listener = Listener(cluster, event_types=kinds)
    posts = Listener(cluster, event_types=[MarathonApiPostEvent])
    everything = Listener(cluster, raw=True)
    everything.expect('its arrival', lambda event: event['eventType'] == 'event_stream_attached')
    created = cluster.create('/events', ports=[0])
    posted = posts.expect('the post', lambda event: True)
    equal((posted.uri, posted.app_definition['id']), ('/v2/apps', '/events'))
    update = listener.expect('the task', lambda event: isinstance(
        event, MarathonStatusUpdateEvent) and event.task_status == 'TASK_RUNNING')
    task, = cluster.client.list_tasks('/events')
    equal((update.app_id, update.task_id, update.version), ('/events', task.id, created.version))
    equal((update.host, update.ports, update.slave_id), (task.host, task.ports, task.slave_id))
    changed = listener.expect('the instance', lambda event: isinstance(
        event, MarathonInstanceChangedEvent) and event.condition == 'Running')
    equal((changed.run_spec_id, changed.instance_id), ('/events', task.id.split('._app')[0]))
    listener.expect('the end', lambda event: isinstance(event, MarathonDeploymentSuccess))
    equal({type(event) for event in listener.events} - {
        MarathonStatusUpdateEvent, MarathonDeploymentSuccess, MarathonInstanceChangedEvent}, set())
    cluster.deployed(cluster.client.delete_app('/events'))
    everything.expect('the app to be gone',
                      lambda event: event['eventType'] == 'app_terminated_event')
    kinds = {event['eventType'] for event in everything.events}
    missing = {
        'api_post_event', 'group_change_success', 'deployment_info', 'deployment_step_success',
        'deployment_success', 'status_update_event', 'instance_changed_event'} - kinds
    equal(missing, set())
    assert all(event['timestamp'].endswith('Z') for event in everything.events)


def information(cluster):
    client = cluster.client
    # It asks for JSON.
    equal(client.ping().strip(), b'"pong"')
    leader = client.get_leader()['leader']
    equal(client.get_info().leader, leader)
    assert leader in cluster.url, (leader, cluster.url)
    metrics = client.get_metrics()
    for kind in ('counters', 'gauges', 'histograms', 'meters', 'timers', 'version'):
        assert kind in metrics, metrics
    assert client.get_info().marathon_config.master, 'the master is not named'
    # Removed from the original in 1.6.
    raises(NotFoundError, client.list_event_subscriptions)
    raises(NotFoundError, client.create_event_subscription, 'http://x/')
    raises(NotFoundError, client.delete_event_subscription, 'http://x/')


def what_tasks_are_given(cluster):
    """What is written into the launch is what the program finds."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        source = os.path.join(folder, 'fetched.txt')
        with open(source, 'w') as file:
            file.write('fetched')
        dump = os.path.join(folder, 'environment')
        app = cluster.create(
            '/given/things', cmd='cp fetched.txt env.txt; env > %s; sleep 3600' % dump,
            env={'MINE': 'a b'}, labels={'some.label': 'x'}, ports=[0, 0],
            fetch=[{'uri': 'file://' + source, 'extract': False}])
        # Here alone the service ports are said.
        task, = cluster.client.list_tasks()

        def read():
            try:
                lines = open(dump).read().splitlines()
            except FileNotFoundError:
                return None
            found = dict(line.split('=', 1) for line in lines if '=' in line)
            return 'PORTS' in found and found
        found = wait('the environment', read)
        for name, value in {
                'MESOS_TASK_ID': task.id,
                'MARATHON_APP_ID': '/given/things',
                'MARATHON_APP_VERSION': app.version,
                'MARATHON_APP_RESOURCE_CPUS': '0.1',
                'MARATHON_APP_RESOURCE_MEM': '16.0',
                'MARATHON_APP_RESOURCE_DISK': '0.0',
                'MARATHON_APP_RESOURCE_GPUS': '0',
                'MARATHON_APP_ENFORCE_GROUP_ROLE': 'FALSE',
                'MARATHON_APP_LABELS': 'SOME_LABEL',
                'MARATHON_APP_LABEL_SOME_LABEL': 'x',
                'HOST': task.host,
                'PORT': str(task.ports[0]),
                'PORT0': str(task.ports[0]),
                'PORT1': str(task.ports[1]),
                'PORTS': '%d,%d' % tuple(task.ports),
                'PORT_%d' % task.service_ports[0]: str(task.ports[0]),
                'MINE': 'a b',
        }.items():
            equal((name, found.get(name)), (name, value))
        launched, = cluster.running('/given/things')
        equal(launched['name'], 'things.given')
        equal(launched['discovery']['name'], 'things.given')
        equal([port['number'] for port in launched['discovery']['ports']['ports']], task.ports)
        equal(launched['labels'], [{'key': 'some.label', 'value': 'x'}])


def checks_of_the_executor(cluster):
    """The kinds that are handed on, each of which must find the program healthy."""
    command = 'exec %s %s hello' % (sys.executable, SERVER)
    for kind, fields in {
            'MESOS_HTTP': {'path': '/', 'portIndex': 0},
            'MESOS_TCP': {'portIndex': 0},
            'COMMAND': {'command': {'value': 'test -n "$PORT0"'}},
            'TCP': {'portIndex': 0},
    }.items():
        check = dict(fields, protocol=kind, intervalSeconds=1, gracePeriodSeconds=30,
                     timeoutSeconds=5, delaySeconds=1)
        name = '/checked/' + kind.lower().replace('_', '-')
        cluster.create(name, cmd=command, mem=32, ports=[0], health_checks=[check])
        task, = cluster.client.list_tasks(name)
        equal((kind, [result.alive for result in task.health_check_results]), (kind, [True]))
        equal(cluster.client.get_app(name).tasks_healthy, 1)
    # One that always fails is killed by the executor, and started again. Each start lives for
    # moments only: what was said of it stays, so the events are asked, not the list of tasks.
    listener = Listener(cluster, raw=True, event_types=['status_update_event'])
    check = {'protocol': 'COMMAND', 'command': {'value': 'false'}, 'intervalSeconds': 1,
             'gracePeriodSeconds': 0, 'delaySeconds': 0, 'maxConsecutiveFailures': 1}
    cluster.client.create_app('/checked/bad', MarathonApp(
        cmd='sleep 3600', cpus=0.1, mem=16, health_checks=[check]))
    listener.expect('its next start', lambda event: event['appId'] == '/checked/bad'
                    and event['taskId'].endswith('._app.2')
                    and event['taskStatus'] == 'TASK_RUNNING')


def own_checks(cluster):
    """A program that turns unhealthy is killed and started again."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        broken = os.path.join(folder, 'broken')
        check = {'protocol': 'HTTP', 'path': broken, 'portIndex': 0, 'intervalSeconds': 1,
                 'gracePeriodSeconds': 30, 'timeoutSeconds': 5, 'maxConsecutiveFailures': 1}
        listener = Listener(cluster, raw=True, event_types=[
            'failed_health_check_event', 'unhealthy_instance_kill_event',
            'health_status_changed_event', 'add_health_check_event'])
        cluster.create('/own', cmd='exec %s %s hello' % (sys.executable, SERVER), mem=32,
                       ports=[0], health_checks=[check])
        task, = cluster.client.list_tasks('/own')
        equal(task.health_check_results[0].alive, True)
        open(broken, 'w').close()
        for kind in ('failed_health_check_event', 'unhealthy_instance_kill_event'):
            event = listener.expect(kind, lambda event: event['eventType'] == kind)
            equal(event['appId'], '/own')
        assert '500' in event['reason'], event
        equal(event['taskId'], task.id)
        os.remove(broken)

        def again():
            tasks = cluster.client.list_tasks('/own')
            return [task.id.rsplit('.', 1)[1] for task in tasks] == ['2'] and any(
                result.alive for result in tasks[0].health_check_results)
        wait('its recovery', again)


def abdication(cluster):
    """There is only one: whoever steps back takes over again, and nothing is lost."""
    cluster.create('/stays', instances=2)
    before = {task['id'] for task in cluster.running('/stays')}
    answer = cluster.client.delete_leader()
    equal(answer, {'message': 'Leadership abdicated'})

    def back():
        try:
            return cluster.get('/ping').status_code == 200 and cluster.get(
                '/v2/apps/stays').json()['app']['tasksRunning'] == 2
        except Exception:
            return False
    wait('its return', back)
    equal({task['id'] for task in cluster.running('/stays')}, before)

    def writes():
        try:
            return cluster.client.scale_app('/stays', instances=3, force=True)
        except InternalServerError:
            return False
    cluster.deployed(wait('a write', writes))
    assert before < {task['id'] for task in cluster.running('/stays')}


ALL = [
    chosen_events,
    information,
    what_tasks_are_given,
    checks_of_the_executor,
    own_checks,
    abdication,
]
