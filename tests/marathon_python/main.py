"""Unmodified marathon-python does everything it can do, and looks at what came of it.

Usage: main.py MARATHON_URL MASTER [SCENARIO...]
"""

import sys
import time
import traceback

import support  # Before the client: it prepares for it.
import apps
import groups
import scenarios
import system
import tasks
from support import Cluster, wait


def main():
    cluster = Cluster(sys.argv[1].rstrip('/'), sys.argv[2])
    wanted = sys.argv[3:]
    wait('the first answer', lambda: cluster.client.ping())
    failed = []
    for module in (scenarios, apps, groups, tasks, system):
        for scenario in module.ALL:
            if wanted and scenario.__name__ not in wanted:
                continue
            begun = time.time()
            try:
                scenario(cluster)
            except Exception:
                traceback.print_exc(file=sys.stdout)
                failed.append(scenario.__name__)
            # Whatever happened, the next one begins with nothing.
            cluster.clean_up()
            print('%s: %.1f s%s' % (scenario.__name__, time.time() - begun,
                                    ', FAILED' if scenario.__name__ in failed else ''), flush=True)
    if failed:
        sys.exit('failed: %s' % ', '.join(failed))
    print('all scenarios passed')


if __name__ == '__main__':
    main()
