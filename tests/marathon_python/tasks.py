"""Tasks, deployments, the queue: killing, cancelling, failing."""

from marathon import MarathonApp
from marathon.exceptions import MarathonHttpError, NotFoundError

from support import equal, raises, wait


def ids(tasks):
    return {task['id'] for task in tasks}


def kill_one(cluster):
    client = cluster.client
    cluster.create('/one', instances=2)
    task = client.list_tasks('/one')[0]
    killed = client.kill_task('/one', task.id)
    equal((killed.id, killed.app_id), (task.id, '/one'))

    def replaced():
        running = ids(cluster.running('/one'))
        return len(running) == 2 and task.id not in running
    wait('another', replaced)
    # The same instance again, with the next number.
    instance, number = task.id.rsplit('.', 1)
    assert '%s.%d' % (instance, int(number) + 1) in ids(cluster.running('/one'))
    wiped = client.list_tasks('/one')[0]
    client.kill_task('/one', wiped.id, wipe=True)
    instance = wiped.id.split('._app.')[0]
    wait('a new instance', lambda: len(cluster.running('/one')) == 2 and not any(
        task['id'].startswith(instance) for task in cluster.running('/one')))
    unknown = 'one.instance-00000000-0000-1000-8000-000000000000._app.1'
    error = raises(NotFoundError, client.kill_task, '/one', unknown)
    equal(error.error_message, "Task '%s' does not exist" % unknown)


def kill_all(cluster):
    client = cluster.client
    cluster.create('/all', instances=3)
    before = ids(cluster.running('/all'))
    equal({task.id for task in client.kill_tasks('/all')}, before)
    wait('three others', lambda: len(ids(cluster.running('/all')) - before) == 3)
    host = client.list_tasks('/all')[0].host
    equal(client.kill_tasks('/all', host='nowhere'), [])
    before = ids(cluster.running('/all'))
    equal(len(client.kill_tasks('/all', host=host)), 3)
    wait('three others', lambda: len(ids(cluster.running('/all')) - before) == 3)
    error = raises(MarathonHttpError, client.kill_tasks, '/all', scale=True, wipe=True)
    equal(error.status_code, 400)
    cluster.deployed(client.kill_tasks('/all', scale=True))
    equal((client.get_app('/all').instances, cluster.running('/all')), (0, []))


def kill_in_batches(cluster):
    client = cluster.client
    cluster.create('/batches', instances=2)
    before = ids(cluster.running('/batches'))
    # With a delay of its own; the end of its generator is an error of newer Pythons.
    raises(RuntimeError, client.kill_tasks, '/batches', batch_size=1, batch_delay=1)
    wait('two others', lambda: len(ids(cluster.running('/batches')) - before) == 2)


def kill_given_and_scale(cluster):
    client = cluster.client
    cluster.create('/given', instances=3)
    cluster.create('/kept')
    tasks = [task.id for task in client.list_tasks('/given')]
    assert client.kill_given_tasks(tasks[:2], scale=True)
    cluster.deployed()
    equal(client.get_app('/given').instances, 1)
    wait('the third', lambda: ids(cluster.running('/given')) == {tasks[2]})
    equal(client.list_tasks(host='nowhere'), [])
    equal({task.app_id for task in client.list_tasks()}, {'/given', '/kept'})
    error = raises(MarathonHttpError, client.kill_given_tasks, ['not a task'])
    equal(error.status_code, 400)


def what_waits_says_why(cluster):
    client = cluster.client
    equal(client.list_queue(), [])
    client.create_app('/huge', MarathonApp(cmd='sleep 1', cpus=1000, mem=16))

    def item():
        items = cluster.get('/v2/queue?embed=lastUnusedOffers').json()['queue']
        return items and items[0]['processedOffersSummary']['unusedOffersCount'] and items[0]
    waiting = wait('an unused offer', item)
    equal((waiting['app']['id'], waiting['count']), ('/huge', 1))
    equal(waiting['delay']['overdue'], True)
    steps = {step['reason']: step for step in
             waiting['processedOffersSummary']['rejectSummaryLaunchAttempt']}
    assert steps['InsufficientCpus']['declined'] >= 1, steps
    unused = waiting['lastUnusedOffers'][0]
    assert 'InsufficientCpus' in unused['reason'], unused
    assert {resource['name'] for resource in unused['offer']['resources']} >= {'cpus', 'mem'}
    assert 'needs 1000 cpus' in str(waiting['pendingReasons']), waiting['pendingReasons']
    # Newer fields than this client knows, as with the original since 1.9.
    raises(TypeError, client.list_queue)


def deployments_can_be_cancelled(cluster):
    client = cluster.client
    client.create_app('/never', MarathonApp(cmd='sleep 1', cpus=1000, mem=16))
    deployment, = client.list_deployments()
    answer = client.delete_deployment(deployment.id)
    cluster.deployed(answer)
    raises(NotFoundError, client.get_app, '/never')
    # With force it only stops; what there is remains.
    client.create_app('/never', MarathonApp(cmd='sleep 1', cpus=1000, mem=16))
    deployment, = client.list_deployments()
    equal(client.delete_deployment(deployment.id, force=True), {})
    cluster.deployed()
    equal(client.get_app('/never').instances, 1)
    raises(NotFoundError, client.delete_deployment, 'nothing')


def failures_are_delayed(cluster):
    client = cluster.client
    client.create_app('/fails', MarathonApp(
        cmd='exit 3', cpus=0.1, mem=16, backoff_seconds=60, max_launch_delay_seconds=600))
    app = wait('a failure', lambda: next(
        (app for app in client.list_apps(embed_last_task_failure=True)
         if app.last_task_failure), None))
    failure = app.last_task_failure
    equal((failure.app_id, failure.state), ('/fails', 'TASK_FAILED'))
    assert failure.host and failure.slave_id and failure.task_id, vars(failure)

    def delay():
        items = cluster.get('/v2/queue').json()['queue']
        return items and items[0]['delay']['timeLeftSeconds'] > 10 and items[0]
    reason = wait('the delay', delay)['pendingReasons'][0]
    equal(reason['reason'], 'BackOff')
    assert reason['message'].endswith('the last: ' + failure.message), reason
    before = failure.task_id
    client.reset_delay('/fails')

    def again():
        failure = client.get_app('/fails', embed_last_task_failure=True).last_task_failure
        return failure.task_id != before
    wait('the next failure', again)
    raises(NotFoundError, client.reset_delay, '/missing')


ALL = [
    kill_one,
    kill_all,
    kill_in_batches,
    kill_given_and_scale,
    what_waits_says_why,
    deployments_can_be_cancelled,
    failures_are_delayed,
]
