"""An executor on pymesos's own driver: a task runs until it is killed, or ends by itself after `data` seconds."""

import sys
import threading
from threading import Thread

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class TestExecutor(Executor):
    def __init__(self):
        self.ends = {}

    def launchTask(self, driver, task):
        task_id = task['task_id']
        end = self.ends[task_id['value']] = threading.Event()
        seconds = float(decode_data(task['data']) or 0) if 'data' in task else 0

        def run():
            driver.sendStatusUpdate({'task_id': task_id, 'state': 'TASK_RUNNING'})
            print('running', task_id['value'], flush=True)
            killed = end.wait(seconds or None)
            state = 'TASK_KILLED' if killed else 'TASK_FINISHED'
            driver.sendStatusUpdate({'task_id': task_id, 'state': state})

        Thread(target=run, daemon=True).start()

    def killTask(self, driver, task_id):
        self.ends[task_id['value']].set()

    def frameworkMessage(self, driver, message):
        driver.sendFrameworkMessage(encode_data(decode_data(message).upper()))

    def shutdown(self, driver):
        for end in self.ends.values():
            end.set()


if __name__ == '__main__':
    driver = MesosExecutorDriver(TestExecutor())
    driver.run()
    sys.exit(0)
