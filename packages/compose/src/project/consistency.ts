import type { Problem } from '../problem.js';
import type { Project, Service } from './types.js';

/** References that lead nowhere and values that contradict each other, each an `error`. Source: Compose Specification. */
export function checkConsistency(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const service of Object.values(project.services)) {
    const add = (key: string, message: string) => {
      const at = project.positions.get(`services.${service.name}.${key.split('.')[0]}`);
      const path = `services.${service.name}.${key}`;
      problems.push({ path, message, severity: 'error', ...(at === undefined ? {} : { at }) });
    };
    checkReferences(project, service, add);
    checkDependencies(project, service, add);
    checkContradictions(service, add);
    checkWords(service, add);
  }
  const circle = findCircle(project);
  if (circle !== undefined) {
    const path = `services.${circle[0]}.depends_on`;
    const at = project.positions.get(path);
    const message = `services depend on each other in a circle: ${circle.join(' → ')}`;
    problems.push({ path, message, severity: 'error', ...(at === undefined ? {} : { at }) });
  }
  return problems;
}

/** Names of services that depend on each other in a circle, the first again at the end. */
function findCircle(project: Project): string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, chain: readonly string[]): string[] | undefined => {
    if (chain.includes(name)) return [...chain.slice(chain.indexOf(name)), name];
    if (done.has(name) || !Object.hasOwn(project.services, name)) return undefined;
    for (const next of Object.keys(project.services[name]!.dependsOn)) {
      const circle = visit(next, [...chain, name]);
      if (circle !== undefined) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of Object.keys(project.services)) {
    const circle = visit(name, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

type Add = (key: string, message: string) => void;

function checkReferences(project: Project, service: Service, add: Add): void {
  for (const network of Object.keys(service.networks)) {
    if (network !== 'default' && !Object.hasOwn(project.networks, network))
      add('networks', `network ${network} is not defined`);
  }
  for (const volume of service.volumes) {
    const named =
      volume.type === 'volume' || (volume.type === 'cluster' && volume.source?.startsWith('group:') !== true);
    if (
      named &&
      volume.source !== undefined &&
      volume.source !== '' &&
      !Object.hasOwn(project.volumes, volume.source)
    ) {
      add('volumes', `volume ${volume.source} is not defined`);
    }
  }
  for (const { source } of service.secrets) {
    if (!Object.hasOwn(project.secrets, source)) add('secrets', `secret ${source} is not defined`);
  }
  const configs = [...service.configs.map((grant) => grant.source), service.credentialSpec?.config ?? []].flat();
  for (const config of configs) {
    if (!Object.hasOwn(project.configs, config)) add('configs', `config ${config} is not defined`);
  }
}

function checkDependencies(project: Project, service: Service, add: Add): void {
  for (const [name, { required }] of Object.entries(service.dependsOn)) {
    if (!required || Object.hasOwn(project.services, name)) continue;
    const why = project.disabledServices.includes(name) ? 'is in no active profile' : 'is not defined';
    add('depends_on', `service ${name} ${why}`);
  }
}

function checkContradictions(service: Service, add: Add): void {
  const { deploy, healthcheck } = service;
  const differ = (a: number | undefined, b: number | undefined) => a !== undefined && b !== undefined && a !== b;
  if (differ(service.scale, deploy.replicas)) add('scale', 'contradicts deploy.replicas');
  if (differ(service.nanoCpus, deploy.limits?.nanoCpus)) add('cpus', 'contradicts deploy.resources.limits.cpus');
  if (differ(service.memoryLimitBytes, deploy.limits?.memoryBytes)) {
    add('mem_limit', 'contradicts deploy.resources.limits.memory');
  }
  if (differ(service.memoryReservationBytes, deploy.reservations?.memoryBytes)) {
    add('mem_reservation', 'contradicts deploy.resources.reservations.memory');
  }
  if (differ(service.pidsLimit, deploy.limits?.pids)) add('pids_limit', 'contradicts deploy.resources.limits.pids');
  if (service.networkMode !== undefined && Object.keys(service.networks).length > 0) {
    add('network_mode', 'networks cannot be given beside it');
  }
  if (healthcheck?.disable === true && healthcheck.test !== undefined)
    add('healthcheck', 'test and disable exclude each other');
  const test = healthcheck?.test?.[0];
  if (test !== undefined && !['NONE', 'CMD', 'CMD-SHELL'].includes(test)) {
    add('healthcheck', `test starts with ${JSON.stringify(test)} instead of NONE, CMD or CMD-SHELL`);
  }
  const credentials = Object.values(service.credentialSpec ?? {});
  if (credentials.length > 1) add('credential_spec', 'config, file and registry exclude each other');
}

const MODES = ['replicated', 'global', 'replicated-job', 'global-job'];

/** Words that the schema leaves open and a cluster does not. Empty texts count as not said. */
function checkWords(service: Service, add: Add): void {
  const { deploy } = service;
  const check = (key: string, value: string | undefined, words: readonly string[]) => {
    if (value !== undefined && value !== '' && !words.includes(value)) {
      add(key, `${JSON.stringify(value)} is none of ${words.join(', ')}`);
    }
  };
  check('deploy.mode', deploy.mode, MODES);
  check('deploy.endpoint_mode', deploy.endpointMode, ['vip', 'dnsrr']);
  check('deploy.update_config.failure_action', deploy.updateConfig?.failureAction, ['pause', 'continue', 'rollback']);
  check('deploy.rollback_config.failure_action', deploy.rollbackConfig?.failureAction, ['pause', 'continue']);
  check('deploy.restart_policy.condition', deploy.restartPolicy?.condition, ['none', 'on-failure', 'any']);
  for (const port of service.ports) {
    check('ports', port.mode, ['ingress', 'host']);
    check('ports', port.protocol, ['tcp', 'udp', 'sctp']);
  }
  for (const key of ['updateConfig', 'rollbackConfig'] as const) {
    const ratio = deploy[key]?.maxFailureRatio ?? 0;
    if (ratio < 0 || ratio > 1) add('deploy', `max_failure_ratio ${ratio} is not between 0 and 1`);
  }
}
