import type { Scenario } from '../support/scenario.js';

const container = [
  ...['--env', 'A=1', '--env', 'B=two words', '--env', 'NODE={{.Node.Hostname}}', '--container-label', 'c.label=x'],
  ...['--hostname', '{{.Service.Name}}-{{.Task.Slot}}', '--host', 'db:10.0.0.9', '--dns', '10.0.0.2'],
  ...['--dns-search', 'example.test', '--dns-option', 'ndots:2', '--user', 'www', '--group', 'staff'],
  ...['--workdir', '/tmp', '--read-only', '--cap-add', 'NET_ADMIN', '--cap-drop', 'MKNOD'],
  ...['--sysctl', 'net.ipv4.ip_unprivileged_port_start=80', '--ulimit', 'nofile=1000:2000', '--init', '--tty'],
  ...['--stop-signal', 'SIGINT', '--stop-grace-period', '2s', '--entrypoint', 'sleep'],
  ...['--mount', 'type=volume,source=data-{{.Task.Slot}},target=/data,volume-label=v=1,volume-nocopy'],
  ...['--mount', 'type=bind,source=/etc/hostname,target=/host,readonly'],
  ...['--mount', 'type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=1770'],
  ...['--health-cmd', 'true', '--health-interval', '2s', '--health-timeout', '3s', '--health-retries', '4'],
  ...['--health-start-period', '1s', '--log-driver', 'json-file', '--log-opt', 'max-size=1m'],
];

const running = [
  ...['--limit-cpu', '0.5', '--limit-memory', '64MB', '--limit-pids', '50'],
  ...['--reserve-cpu', '0.1', '--reserve-memory', '32MB'],
  ...['--restart-condition', 'on-failure', '--restart-delay', '1s', '--restart-max-attempts', '2'],
  ...['--restart-window', '30s', '--update-parallelism', '2', '--update-delay', '1s', '--update-monitor', '2s'],
  ...['--update-failure-action', 'rollback', '--update-max-failure-ratio', '0.25', '--update-order', 'start-first'],
  ...['--rollback-parallelism', '3', '--rollback-delay', '2s', '--rollback-monitor', '3s'],
  ...['--rollback-failure-action', 'continue', '--rollback-max-failure-ratio', '0.5', '--rollback-order', 'stop-first'],
  ...['--constraint', 'node.hostname == h1', '--constraint', 'node.labels.never != yes'],
  ...['--placement-pref', 'spread=node.labels.rack', '--replicas-max-per-node', '2', '--label', 's.label=y'],
  ...['--publish', 'mode=host,published=18080,target=80', '--publish', 'mode=host,target=81,protocol=udp'],
  ...['--endpoint-mode', 'dnsrr'],
];

/** All that a service can say, as it is kept, and as a container gets it. */
export const full: Scenario = {
  name: 'service with everything',
  steps: [
    { run: ['service', 'create', '-d', '--name', 'full', ...container, ...running, 'app:1', '86400'] },
    { run: ['service', 'ls', '--format', '{{.Replicas}}'], until: /1\/1/ },
    { run: 'service ls' },
    { run: 'service inspect full' },
    { run: 'service inspect full --pretty' },
    { run: ['service', 'ps', 'full', '--format', '{{.Name}} {{.Image}} {{.Node}} {{.CurrentState}}'] },
    { run: 'service ps -q full', keep: 'task' },
    { run: 'inspect ${task}', anyOrder: true },
    { run: 'ps -q --no-trunc --filter label=com.docker.swarm.service.name=full', keep: 'container' },
    { run: 'container inspect ${container}', anyOrder: true },
    { run: 'exec ${container} sh -c env', anyOrder: true },
    { run: 'exec ${container} id' },
    { run: ['volume', 'ls', '--filter', 'label=v', '--format', '{{.Name}} {{.Labels}}'] },
    { run: ['ps', '--filter', 'label=com.docker.swarm.service.name=full', '--format', '{{.Image}} {{.Ports}}'] },
    { run: 'service rm full' },
    {
      run: ['ps', '-aq', '--filter', 'label=com.docker.swarm.service.name=full'],
      until: /^$/,
    },
    { run: 'volume rm data-1' },
    { run: 'service create -d --name plain --constraint node.hostname==h1 app:1' },
    { run: ['service', 'ls', '--format', '{{.Replicas}}'], until: /1\/1/ },
    { run: 'ps -q --no-trunc --filter label=com.docker.swarm.service.name=plain', keep: 'container' },
    { run: 'container inspect ${container}', anyOrder: true },
    { call: 'GET /v1.41/services/plain?insertDefaults=true' },
    { run: 'service rm plain' },
  ],
};
