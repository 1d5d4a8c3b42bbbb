"""A scheduler on unmodified pymesos: runs every scenario once and exits with 0.

Usage: scheduler.py MASTER EXECUTOR_COMMAND
"""

import base64
import getpass
import logging
import queue
import sys
import time

from pymesos import MesosSchedulerDriver, Scheduler

PATIENCE = 60
TERMINAL = {
    'TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED', 'TASK_ERROR', 'TASK_LOST',
    'TASK_DROPPED', 'TASK_GONE',
}


class Recorder(Scheduler):
    """Puts every callback into a queue that the scenarios read."""

    def __init__(self):
        self.events = queue.Queue()

    def registered(self, driver, framework_id, master_info):
        self.events.put(('registered', framework_id, master_info))

    def reregistered(self, driver, master_info):
        self.events.put(('reregistered', master_info))

    def resourceOffers(self, driver, offers):
        for offer in offers:
            self.events.put(('offer', offer))

    def offerRescinded(self, driver, offer_id):
        self.events.put(('rescinded', offer_id))

    def statusUpdate(self, driver, update):
        self.events.put(('update', update))

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        self.events.put(('message', executor_id, agent_id, message))

    def error(self, driver, message):
        self.events.put(('error', message))

    def executorLost(self, driver, executor_id, agent_id, status):
        self.events.put(('executor lost', executor_id, agent_id, status))

    def disconnected(self, driver):
        self.events.put(('disconnected',))

    def processHeartBeat(self, driver):
        pass


class Session:
    def __init__(self, driver, recorder, executor_command):
        self.driver = driver
        self.events = recorder.events
        self.executor_command = executor_command
        self.passed_over = []
        self.count = 0

    # --- waiting ---

    def wait(self, what, wanted, patience=PATIENCE):
        for index, event in enumerate(self.passed_over):
            if wanted(event):
                return self.passed_over.pop(index)
        deadline = time.time() + patience
        while True:
            left = deadline - time.time()
            if left <= 0:
                raise AssertionError(
                    'waited in vain for %s; passed over: %r' % (what, self.passed_over))
            try:
                event = self.events.get(timeout=left)
            except queue.Empty:
                continue
            logging.info('event: %s', event[0])
            if event[0] == 'error':
                raise AssertionError('the master says: %s' % event[1])
            if wanted(event):
                return event
            self.passed_over.append(event)

    def comes(self, wanted, patience):
        try:
            return self.wait('anything', wanted, patience)
        except AssertionError:
            return None

    def offer(self):
        return self.wait('an offer', lambda event: event[0] == 'offer')[1]

    def status(self, task, state):
        def wanted(event):
            if event[0] != 'update' or event[1]['task_id'] != task['task_id']:
                return False
            found = event[1]['state']
            if found in TERMINAL and found != state:
                raise AssertionError('expected %s, found %r' % (state, event[1]))
            return found == state
        return self.wait('%s of %s' % (state, task['name']), wanted)[1]

    # --- tasks ---

    def task(self, offer, **extra):
        self.count += 1
        name = 'task-%d' % self.count
        resources = []
        for name_, value in (('cpus', 0.1), ('mem', 32)):
            resources.append({'name': name_, 'type': 'SCALAR', 'scalar': {'value': value}})
        task = {'name': name, 'task_id': {'value': name}, 'agent_id': offer['agent_id'],
                'resources': resources}
        task.update(extra)
        return task

    def executor(self):
        # One executor process takes all tasks that name it.
        return {'executor_id': {'value': 'pymesos-executor'}, 'name': 'pymesos',
                'framework_id': {'value': self.driver.framework_id},
                'command': {'value': self.executor_command, 'shell': True},
                'resources': [{'name': 'mem', 'type': 'SCALAR', 'scalar': {'value': 64}},
                              {'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': 0.1}}]}

    def launch(self, *wishes):
        """Tasks on one offer, each a dictionary of what is special about it."""
        offer = self.offer()
        tasks = [self.task(offer, **wish) for wish in wishes]
        self.driver.launchTasks(offer['id'], tasks, filters={'refuse_seconds': 0.1})
        return tasks

    # --- scenarios ---

    def registers(self):
        _, framework_id, master_info = self.wait('registered', lambda e: e[0] == 'registered')
        assert framework_id['value'], framework_id
        assert master_info['port'], master_info

    def runs_command_tasks(self):
        task, = self.launch({'command': {'value': 'echo out; echo err >&2', 'shell': True}})
        for state in ('TASK_STARTING', 'TASK_RUNNING', 'TASK_FINISHED'):
            status = self.status(task, state)
            assert status['source'] == 'SOURCE_EXECUTOR', status
            assert status['agent_id'] == task['agent_id'], status

    def runs_executor_tasks(self):
        wish = {'executor': self.executor(), 'data': encode('finish')}
        tasks = self.launch(wish, wish)
        for task in tasks:
            self.status(task, 'TASK_RUNNING')
        for task in tasks:
            status = self.status(task, 'TASK_FINISHED')
            assert decode(status['data']) == 'done with ' + task['name'], status

    def exchanges_messages(self):
        task, = self.launch({'executor': self.executor(), 'data': encode('wait')})
        self.status(task, 'TASK_RUNNING')
        executor_id = {'value': 'pymesos-executor'}
        # Messages are delivered at most once: ask again until answered.
        for attempt in range(PATIENCE):
            text = 'ping %d' % attempt
            self.driver.sendFrameworkMessage(executor_id, task['agent_id'], encode(text))
            answer = self.comes(lambda event: event[0] == 'message', 1)
            if answer:
                break
        _, from_executor, from_agent, data = answer
        assert from_executor == executor_id and from_agent == task['agent_id'], answer
        assert decode(data).startswith('pong: ping'), answer
        return task

    def reconciles(self, running):
        self.driver.reconcileTasks([running])
        status = self.wait('a reconciled task', lambda event: reconciled(event, running))[1]
        assert status['state'] == 'TASK_RUNNING', status
        unknown = {'task_id': {'value': 'nobody'}}
        self.driver.reconcileTasks([unknown])
        status = self.wait('an unknown task', lambda event: reconciled(event, unknown))[1]
        assert status['state'] == 'TASK_LOST', status
        self.driver.reconcileTasks([])
        status = self.wait('all tasks', lambda event: reconciled(event, running))[1]
        assert status['state'] == 'TASK_RUNNING', status

    def kills(self, running):
        self.driver.killTask(running['task_id'])
        self.status(running, 'TASK_KILLED')
        task, = self.launch({'command': {'value': 'sleep 1000', 'shell': True}})
        self.status(task, 'TASK_RUNNING')
        self.driver.killTask(task['task_id'])
        self.status(task, 'TASK_KILLED')

    def declines_and_revives(self):
        offer = self.offer()
        self.driver.declineOffer(offer['id'], filters={'refuse_seconds': 3600})
        again = self.comes(lambda event: event[0] == 'offer', 2.5)
        assert not again, 'declined for an hour, offered again'
        self.driver.reviveOffers()
        again = self.offer()
        assert again['agent_id'] == offer['agent_id'] and again['id'] != offer['id'], again

        self.driver.suppressOffers()
        self.driver.declineOffer(again['id'], filters={'refuse_seconds': 0})
        assert not self.comes(lambda event: event[0] == 'offer', 2.5), 'suppressed, offered'
        self.driver.reviveOffers()
        self.driver.declineOffer(self.offer()['id'], filters={'refuse_seconds': 0.1})

    def run(self):
        self.registers()
        self.runs_command_tasks()
        self.runs_executor_tasks()
        running = self.exchanges_messages()
        self.reconciles(running)
        self.kills(running)
        self.declines_and_revives()


def reconciled(event, task):
    return (event[0] == 'update' and event[1]['task_id'] == task['task_id']
            and event[1].get('reason') == 'REASON_RECONCILIATION')


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(data):
    return base64.b64decode(data).decode()


def main():
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(name)s %(message)s')
    master, executor_command = sys.argv[1:]
    framework = {'user': getpass.getuser(), 'name': 'pymesos', 'failover_timeout': 3600,
                 'checkpoint': True}
    recorder = Recorder()
    driver = MesosSchedulerDriver(recorder, framework, master)
    driver.start()
    try:
        Session(driver, recorder, executor_command).run()
    finally:
        driver.stop()
        driver.join()
    print('all scenarios passed')


if __name__ == '__main__':
    main()
