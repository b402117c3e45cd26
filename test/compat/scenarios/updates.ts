import type { Scenario } from '../support/scenario.js';

const spec = ['service', 'inspect', 'web', '--format', '{{json .Spec}}'];
const state = ['service', 'inspect', 'web', '--format', '{{json .UpdateStatus}}'];

/** Rolling updates, what they change in a specification, and their way back. */
export const updates: Scenario = {
  name: 'updates',
  steps: [
    {
      run: 'service create -d --name web --replicas 2 --constraint node.hostname==h1 --update-monitor 1s --rollback-monitor 1s --restart-delay 1s app:1',
    },
    { run: ['service', 'ls', '--format', '{{.Replicas}}'], until: /2\/2/ },
    { run: 'service update -d web' },
    { run: 'service update -d --image app:2 web' },
    { run: state, until: /completed/ },
    { run: 'service ps web', until: /(Running {2}Running[\s\S]*){2}/ },
    { run: 'service inspect web' },
    { run: 'service inspect web --pretty' },
    { run: 'service rollback -d web' },
    { run: state, until: /completed/ },
    { run: spec },
    { run: 'service inspect web --pretty' },
    { run: ['service', 'ps', 'web', '--format', '{{.Name}} {{.Image}} {{.DesiredState}}'] },
    { run: 'service update -d --force web' },
    { run: state, until: /completed/ },
    { run: spec },
    {
      run: 'service update -d --env-add A=1 --env-add B=2 --label-add l=1 --container-label-add c=1 --hostname web --user www --group-add staff --host-add db:10.0.0.1 --dns-add 10.0.0.2 --mount-add type=tmpfs,dst=/t --limit-memory 64m --reserve-cpu 0.1 --stop-signal SIGTERM --read-only --init --replicas 1 --args 86401 --cap-add NET_ADMIN --sysctl-add net.core.somaxconn=100 --ulimit-add nofile=100 --log-driver none --entrypoint sleep --workdir /tmp --no-healthcheck --tty --constraint-add node.role!=worker --placement-pref-add spread=node.labels.x --replicas-max-per-node 5 --endpoint-mode dnsrr web',
    },
    // The CLI adds several variables in random order.
    { run: spec, anyOrder: true },
    {
      run: 'service update -d --env-rm A --label-rm l --container-label-rm c --group-rm staff --host-rm db:10.0.0.1 --dns-rm 10.0.0.2 --mount-rm /t --limit-memory 0 --cap-drop NET_ADMIN --sysctl-rm net.core.somaxconn --ulimit-rm nofile --constraint-rm node.role!=worker --placement-pref-rm spread=node.labels.x --replicas-max-per-node 0 --endpoint-mode vip --restart-condition on-failure --update-parallelism 3 --rollback-delay 3s web',
    },
    { run: spec },
    { run: state, until: /completed/ },
    { run: 'service update -d --args 86402 --update-order start-first web' },
    { run: state, until: /completed/ },
    { run: 'service update -d --image nothere:1 web' },
    { run: ['service', 'inspect', 'web', '--format', '{{.UpdateStatus.State}}'], until: /paused/ },
    { run: state },
    { run: 'service inspect web --pretty' },
    { run: 'service rollback -d web' },
    { run: ['service', 'inspect', 'web', '--format', '{{.UpdateStatus.State}}'], until: /rollback_completed/ },
    {
      run: [
        'service',
        'inspect',
        'web',
        '--format',
        '{{json .UpdateStatus.Message}} {{.Spec.TaskTemplate.ContainerSpec.Image}}',
      ],
    },
    { run: 'service update -d --update-failure-action rollback --image nothere:2 web' },
    { run: ['service', 'inspect', 'web', '--format', '{{.UpdateStatus.State}}'], until: /rollback_completed/ },
    {
      run: [
        'service',
        'inspect',
        'web',
        '--format',
        '{{json .UpdateStatus.Message}} {{.Spec.TaskTemplate.ContainerSpec.Image}}',
      ],
    },
    { run: 'service rollback -d web' },
    { run: 'service update --image app:1 --args 86403 --update-monitor 500ms web', lastLine: true },
    { run: 'service rm web' },
    { run: 'service create -d --name fresh --replicas 0 app:1' },
    { run: 'service rollback -d fresh' },
    { run: 'service rollback -d nothere' },
    { run: 'service update -d --image app:2 nothere' },
    { run: 'service rm fresh' },
  ],
};
