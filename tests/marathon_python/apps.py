"""Apps: every method of the client, and what comes of it in the cluster."""

import os
import sys
import threading

import requests
from marathon import MarathonApp
from marathon.exceptions import ConflictError, MarathonHttpError, NotFoundError
from marathon.models import MarathonConstraint

from support import equal, raises, wait

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'server.py')


def create_list_and_filter(cluster):
    client = cluster.client
    cluster.create('/prod/web', cmd='sleep 1001', labels={'tier': 'front', 'owner': 'a'})
    cluster.create('/prod/db', cmd='sleep 1002', labels={'tier': 'back'})
    cluster.create('other', args=['/bin/sleep', '1003'])

    def ids(**filters):
        return sorted(app.id for app in client.list_apps(**filters))
    equal(ids(), ['/other', '/prod/db', '/prod/web'])
    equal(ids(cmd='1002'), ['/prod/db'])
    equal(ids(app_id='PROD'), ['/prod/db', '/prod/web'])
    equal(ids(label='tier==front'), ['/prod/web'])
    equal(ids(label='tier'), ['/prod/db', '/prod/web'])
    equal(ids(label='tier in (front,back),owner'), ['/prod/web'])
    equal(ids(label='tier!=front'), ['/prod/db'])
    equal(ids(instances=1), ['/other', '/prod/db', '/prod/web'])
    raises(MarathonHttpError, client.list_apps, label='a == == b')
    equal(client.get_app('other').args, ['/bin/sleep', '1003'])
    equal(len(cluster.running('other')), 1)


def embeds(cluster):
    cluster.create('/embeds', instances=2)
    app, = cluster.client.list_apps(
        embed_tasks=True, embed_counts=True, embed_deployments=True, embed_readiness=True,
        embed_last_task_failure=True, embed_failures=True)
    equal((len(app.tasks), app.tasks_running, app.tasks_staged), (2, 2, 0))
    equal((app.tasks_healthy, app.tasks_unhealthy), (0, 0))
    equal((app.deployments, app.readiness_check_results), ([], []))
    equal(app.last_task_failure, None)
    equal(cluster.client.list_apps()[0].tasks, [])
    # What this client asks for comes under a name that it does not know, as with the original.
    stats = cluster.get('/v2/apps/embeds?embed=app.taskStats').json()['app']['tasksStats']
    equal(stats['totalSummary']['stats']['counts']['running'], 2)
    raises(TypeError, cluster.client.get_app, 'embeds', embed_task_stats=True)


def update_and_versions(cluster):
    client = cluster.client
    first = cluster.create('/versioned', instances=2, env={'A': '1'})
    before = {task['id'] for task in cluster.running('/versioned')}
    answer = client.update_app('/versioned', MarathonApp(env={'A': '2'}))
    cluster.deployed(answer)
    app = client.get_app('/versioned')
    equal((app.env, app.instances, app.version), ({'A': '2'}, 2, answer['version']))
    after = {task['id'] for task in cluster.running('/versioned')}
    equal((len(after), after & before), (2, set()))
    versions = client.list_versions('/versioned')
    equal(versions, [answer['version'], first.version])
    equal(client.get_version('/versioned', first.version).env, {'A': '1'})
    # Scaling changes no configuration, and nobody is replaced.
    changed = client.get_app('/versioned').version_info.last_config_change_at
    cluster.deployed(client.scale_app('/versioned', delta=1))
    app = client.get_app('/versioned')
    equal((app.instances, app.version_info.last_config_change_at), (3, changed))
    assert after <= {task['id'] for task in cluster.running('/versioned')}
    answer = client.rollback_app('/versioned', first.version)
    cluster.deployed(answer)
    app = client.get_app('/versioned')
    equal((app.env, app.instances), ({'A': '1'}, 2))
    raises(NotFoundError, client.get_version, '/versioned', '2001-01-01T00:00:00.000Z')


def no_change_replaces_nobody(cluster):
    client = cluster.client
    cluster.create('/same', instances=2, env={'A': '1'})
    before = {task['id'] for task in cluster.running('/same')}
    cluster.deployed(client.update_app('/same', MarathonApp(env={'A': '1'})))
    equal({task['id'] for task in cluster.running('/same')}, before)


def scale(cluster):
    client = cluster.client
    cluster.create('/scaled')
    cluster.deployed(client.scale_app('/scaled', instances=4))
    equal(len(cluster.running('/scaled')), 4)
    cluster.deployed(client.scale_app('/scaled', delta=-2))
    wait('two', lambda: len(cluster.running('/scaled')) == 2)
    cluster.deployed(client.scale_app('/scaled', instances=0))
    wait('none', lambda: not cluster.running('/scaled'))
    equal((client.list_tasks('/scaled'), client.get_app('/scaled').instances), ([], 0))
    equal(client.scale_app('/nowhere', instances=1), None)


def bulk_update(cluster):
    client = cluster.client
    cluster.create('/bulk/a')
    apps = [
        MarathonApp(id='/bulk/a', instances=2),
        MarathonApp(id='/bulk/b', cmd='sleep 3600', cpus=0.1, mem=16),
    ]
    cluster.deployed(client.update_apps(apps))
    equal((len(cluster.running('/bulk/a')), len(cluster.running('/bulk/b'))), (2, 1))


def restart(cluster):
    client = cluster.client
    cluster.create('/again', instances=2)
    before = {task['id'] for task in cluster.running('/again')}
    scaled = client.get_app('/again').version_info.last_scaling_at
    cluster.deployed(client.restart_app('/again'))
    after = {task['id'] for task in cluster.running('/again')}
    equal((len(after), after & before), (2, set()))
    info = client.get_app('/again').version_info
    equal(info.last_scaling_at, scaled)
    assert info.last_config_change_at > scaled, vars(info)


def errors(cluster):
    client = cluster.client
    cluster.create('/taken')
    error = raises(ConflictError, client.create_app, '/taken', MarathonApp(cmd='sleep 1'))
    equal(error.error_message, 'An app with id [/taken] already exists.')
    error = raises(NotFoundError, client.get_app, '/missing')
    equal(error.error_message, "App '/missing' does not exist")
    raises(NotFoundError, client.delete_app, '/missing')
    raises(NotFoundError, client.restart_app, '/missing')
    error = raises(MarathonHttpError, client.create_app, '/bad', MarathonApp(cmd='sleep 1', cpus=-1))
    equal((error.status_code, error.error_message), (422, 'Invalid JSON'))
    assert any(detail['path'] == '/cpus' for detail in error.error_details), error.error_details
    error = raises(MarathonHttpError, client.create_app, '/bad', MarathonApp(instances=1))
    equal((error.status_code, error.error_message), (422, 'Object is not valid'))


def conflicts_and_force(cluster):
    client = cluster.client
    client.create_app('/stuck', MarathonApp(cmd='sleep 3600', cpus=1000, mem=16))
    deployment, = client.list_deployments()
    error = raises(ConflictError, client.scale_app, '/stuck', instances=2)
    assert error.error_message.startswith(
        'App is locked by one or more deployments.'), error.error_message
    answer = client.update_app('/stuck', MarathonApp(cpus=0.1), force=True)
    cluster.deployed(answer)
    assert deployment.id != answer['deploymentId']
    equal(len(cluster.running('/stuck')), 1)


def rolling_upgrade(cluster):
    """With a health check: never fewer healthy ones than promised, never more than allowed."""
    client = cluster.client
    command = 'exec %s %s one' % (sys.executable, SERVER)
    check = {'protocol': 'HTTP', 'path': '/', 'portIndex': 0, 'intervalSeconds': 1,
             'gracePeriodSeconds': 30, 'timeoutSeconds': 5}
    cluster.create('/rolling', cmd=command, mem=32, instances=4, ports=[0],
                   health_checks=[check], upgrade_strategy={
                       'minimumHealthCapacity': 0.75, 'maximumOverCapacity': 0.25})
    # What was there when the app was complete is healthy, and says so.
    for task in client.list_tasks('/rolling'):
        result, = task.health_check_results
        equal((result.alive, result.consecutive_failures), (True, 0))
        assert result.first_success and result.last_success, vars(result)
    equal(client.get_app('/rolling').tasks_healthy, 4)
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            tasks = client.list_tasks('/rolling')
            healthy = sum(any(result.alive for result in task.health_check_results)
                          and task.state == 'TASK_RUNNING' for task in tasks)
            seen.append((healthy, len(cluster.running('/rolling'))))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        new = 'exec %s %s two' % (sys.executable, SERVER)
        cluster.deployed(client.update_app('/rolling', MarathonApp(cmd=new)))
    finally:
        done.set()
        watcher.join()
    assert min(healthy for healthy, _ in seen) >= 3, seen
    assert max(running for _, running in seen) <= 5, seen
    bodies = set()
    for task in client.list_tasks('/rolling'):
        bodies.add(requests.get('http://%s:%d/' % (task.host, task.ports[0]), timeout=10).text)
    equal(bodies, {'two'})
    endpoints = client.list_endpoints()
    equal(len(endpoints), 4)
    equal({endpoint.service_port for endpoint in endpoints}, {endpoints[0].service_port})


def constraints(cluster):
    client = cluster.client
    cluster.create('/clustered', instances=2,
                   constraints=[MarathonConstraint('hostname', 'LIKE', '.*')])
    unique = MarathonApp(cmd='sleep 3600', cpus=0.1, mem=16, instances=3,
                         constraints=[MarathonConstraint('hostname', 'UNIQUE')])
    client.create_app('/unique', unique)
    wait('the first', lambda: cluster.running('/unique'))
    names = {task.host for task in client.list_tasks('/unique') if task.host}

    def item():
        queue = cluster.get('/v2/queue').json()['queue']
        return next((item for item in queue if item['app']['id'] == '/unique'), None)

    def told():
        waiting = item()
        return waiting and 'UNIQUE' in str(waiting['pendingReasons'])
    wait('the reason', told)
    waiting = item()
    equal(waiting['count'], 3 - len(names))
    steps = waiting['processedOffersSummary']['rejectSummaryLaunchAttempt']
    equal(steps[1]['reason'], 'UnfulfilledConstraint')
    assert steps[1]['declined'] >= 1, steps
    equal(client.get_app('/unique').constraints, [MarathonConstraint('hostname', 'UNIQUE')])
    cluster.deployed(client.update_app('/unique', MarathonApp(instances=len(names)), force=True))
    equal(len(cluster.running('/unique')), len(names))


def public_agents(cluster):
    """What names their role goes to them, and nothing else does."""
    cluster.create('/private', instances=2)
    cluster.create('/public', instances=2, accepted_resource_roles=['slave_public'],
                   constraints=[MarathonConstraint('public_ip', 'LIKE', 'true')])

    def agents(app_id):
        return {task.slave_id for task in cluster.client.list_tasks(app_id)}
    equal(len(agents('/public')), 1)
    assert not agents('/public') & agents('/private')


ALL = [
    create_list_and_filter,
    embeds,
    update_and_versions,
    no_change_replaces_nobody,
    scale,
    bulk_update,
    restart,
    errors,
    conflicts_and_force,
    rolling_upgrade,
    constraints,
    public_agents,
]
