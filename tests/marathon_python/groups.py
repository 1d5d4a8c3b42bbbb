"""Groups: dependencies in their order, updates, scaling, deletion."""

from marathon import MarathonApp
from marathon.exceptions import ConflictError, MarathonHttpError, NotFoundError
from marathon.models import MarathonGroup

from support import Listener, equal, raises, wait

SMALL = {'cmd': 'sleep 3600', 'cpus': 0.1, 'mem': 16}


def dependencies_start_first(cluster):
    client = cluster.client
    listener = Listener(cluster, raw=True, event_types=['deployment_info'])
    wait('the stream', lambda: listener.thread.is_alive())
    check = {'protocol': 'COMMAND', 'command': {'value': 'test -e ready || ! touch ready'},
             'intervalSeconds': 1, 'gracePeriodSeconds': 30, 'delaySeconds': 0}
    database = MarathonApp(id='/shop/data/db', health_checks=[check], **SMALL)
    web = MarathonApp(id='/shop/web', instances=2, dependencies=['/shop/data/db'], **SMALL)
    answer = client.create_group(MarathonGroup(
        id='/shop', apps=[web], groups=[MarathonGroup(id='/shop/data', apps=[database])]))
    cluster.deployed(answer)
    event = listener.expect(
        'the plan', lambda event: event['plan']['id'] == answer['deploymentId'])
    steps = [[(action['action'], action['app']) for action in step['actions']]
             for step in event['plan']['steps']]
    equal(sorted(steps[0]), [('StartApplication', '/shop/data/db'),
                             ('StartApplication', '/shop/web')])
    equal(steps[1:], [[('ScaleApplication', '/shop/data/db')],
                      [('ScaleApplication', '/shop/web')]])
    first, = client.list_tasks('/shop/data/db')
    equal(first.health_check_results[0].alive, True)
    later = client.list_tasks('/shop/web')
    equal(len(later), 2)
    for task in later:
        assert task.staged_at >= first.health_check_results[0].first_success, vars(task)


def read_update_scale_delete(cluster):
    client = cluster.client
    cluster.deployed(client.create_group(MarathonGroup(id='/g', groups=[
        MarathonGroup(id='/g/inner', apps=[MarathonApp(id='/g/inner/a', **SMALL)])])))
    inner = client.get_group('g/inner')
    equal((inner.id, [app.id for app in inner.apps]), ('/g/inner', ['/g/inner/a']))
    # Groups at the top say whether their role is enforced, which this release cannot read.
    raises(TypeError, client.get_group, 'g')
    raises(TypeError, client.list_groups)
    equal([group['id'] for group in cluster.get('/v2/groups').json()['groups']], ['/g'])
    raises(ConflictError, client.create_group, MarathonGroup(id='/g'))
    raises(NotFoundError, client.get_group, 'missing')

    two = MarathonGroup(apps=[MarathonApp(id='/g/inner/a', **SMALL),
                              MarathonApp(id='/g/inner/b', instances=2, **SMALL)])
    kept = {task['id'] for task in cluster.running('/g/inner/a')}
    cluster.deployed(client.update_group('g/inner', two))
    equal({task['id'] for task in cluster.running('/g/inner/a')}, kept)
    equal(len(cluster.running('/g/inner/b')), 2)

    cluster.deployed(client.scale_group('g', 2))
    equal([app.instances for app in client.get_group('g/inner').apps], [2, 4])
    equal(len(cluster.running('/g/inner/b')), 4)

    # Who is not listed is removed.
    one = MarathonGroup(apps=[MarathonApp(id='/g/inner/a', **SMALL)])
    cluster.deployed(client.update_group('g/inner', one))
    raises(NotFoundError, client.get_app, '/g/inner/b')
    wait('nothing of it', lambda: not cluster.running('/g/inner/b'))
    # The client asks for a path that is no group; the original does not know it either.
    raises(MarathonHttpError, client.rollback_group, 'g/inner', inner.version or '1')

    cluster.deployed(client.delete_group('g', force=True))
    raises(NotFoundError, client.get_group, 'g/inner')
    raises(NotFoundError, client.delete_group, 'g')
    wait('nothing of it', lambda: not cluster.running('/g/inner/a'))


def cycles_are_refused(cluster):
    apps = [MarathonApp(id='/c/a', dependencies=['/c/b'], **SMALL),
            MarathonApp(id='/c/b', dependencies=['/c/a'], **SMALL)]
    error = raises(MarathonHttpError, cluster.client.create_group,
                   MarathonGroup(id='/c', apps=apps))
    equal(error.status_code, 422)


ALL = [dependencies_start_first, read_update_scale_delete, cycles_are_refused]
