"""An executor on unmodified pymesos. A task's data says what to do with it:
`finish` ends it at once, `wait` keeps it until it is killed.
"""

import base64
import logging
import threading

from pymesos import Executor, MesosExecutorDriver


class Worker(Executor):
    def launchTask(self, driver, task):
        # Callbacks come on the thread that reads; calls wait for answers.
        threading.Thread(target=self.work, args=(driver, task), daemon=True).start()

    def work(self, driver, task):
        driver.sendStatusUpdate({'task_id': task['task_id'], 'state': 'TASK_RUNNING'})
        if decode(task['data']) == 'finish':
            driver.sendStatusUpdate({
                'task_id': task['task_id'], 'state': 'TASK_FINISHED',
                'data': encode('done with ' + task['name'])})

    def killTask(self, driver, task_id):
        driver.sendStatusUpdate({'task_id': task_id, 'state': 'TASK_KILLED'})

    def frameworkMessage(self, driver, message):
        driver.sendFrameworkMessage(encode('pong: ' + decode(message)))

    def error(self, driver, message):
        logging.error('the agent says: %s', message)


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(data):
    return base64.b64decode(data).decode()


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO)
    MesosExecutorDriver(Worker()).run()
