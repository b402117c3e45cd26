import type { Scenario, Step } from '../support/scenario.js';

function common(kind: 'secret' | 'config'): Step[] {
  return [
    { run: `${kind} ls` },
    { run: `${kind} create --label env=test one -`, input: 'first value' },
    { run: `${kind} create two -`, input: 'second' },
    { run: `${kind} create one -`, input: 'again' },
    { run: `${kind} create empty -`, input: '' },
    { run: [kind, 'create', 'bad name', '-'], input: 'x' },
    { run: [kind, 'create', 'x'.repeat(65), '-'], input: 'x' },
    { run: `${kind} create big -`, input: 'x'.repeat(1_024_001) },
    { run: `${kind} ls` },
    { run: `${kind} ls -q` },
    { run: [kind, 'ls', '--format', '{{.Name}} {{.Labels}}'] },
    { run: `${kind} ls --filter name=tw` },
    { run: `${kind} ls --filter label=env=test` },
    { run: `${kind} ls --filter nonsense=1` },
    { run: `${kind} inspect one` },
    { run: `${kind} inspect one --pretty` },
    { run: `${kind} inspect one two missing` },
    { run: `service create -d --name uses --constraint node.hostname==h1 --${kind} one app:1` },
    { run: `service create -d --name missing --${kind} nothere app:1` },
    { run: ['service', 'ls', '--format', '{{.Replicas}}'], until: /1\/1/ },
    { run: ['service', 'inspect', 'uses', '--format', '{{json .Spec.TaskTemplate.ContainerSpec}}'] },
    { run: `${kind} rm one` },
    { run: `${kind} rm one two missing` },
  ];
}

/** Secrets, and who may remove them. */
export const secrets: Scenario = {
  name: 'secrets',
  steps: [
    ...common('secret'),
    { run: 'ps -q --no-trunc --filter label=com.docker.swarm.service.name=uses', keep: 'container' },
    { run: ['exec', '${container}', 'stat', '-c', '%n %a %u %g %s', '/run/secrets', '/run/secrets/one'] },
    { run: 'exec ${container} cat /run/secrets/one' },
    { run: 'service update -d --secret-rm one --secret-add source=one,target=other,uid=1000,mode=0400 uses' },
    { run: ['service', 'inspect', 'uses', '--format', '{{json .Spec.TaskTemplate.ContainerSpec.Secrets}}'] },
    { run: 'service update -d --secret-rm one uses' },
    { run: 'secret rm one' },
    { run: 'service rm uses' },
    { run: 'secret ls' },
  ],
};

/** Configs, and who may remove them. */
export const configs: Scenario = {
  name: 'configs',
  steps: [
    ...common('config'),
    { run: 'ps -q --no-trunc --filter label=com.docker.swarm.service.name=uses', keep: 'container' },
    { run: 'exec ${container} cat /one' },
    { run: ['exec', '${container}', 'stat', '-c', '%n %a %u %g %s', '/one'] },
    { run: 'service update -d --config-rm one --config-add source=one,target=/etc/other,gid=50,mode=0440 uses' },
    { run: ['service', 'inspect', 'uses', '--format', '{{json .Spec.TaskTemplate.ContainerSpec.Configs}}'] },
    { run: 'service rm uses' },
    { run: 'config rm one' },
    { run: 'config ls' },
  ],
};
