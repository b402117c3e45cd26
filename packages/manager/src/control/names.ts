import type { Random } from '@swarmd/model';
import { invalid } from './errors.js';

/** swarmkit's names, without its nested repetition: that takes seconds on 30 characters in an engine that backtracks. */
const DNS_NAME = /^[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const DATA_NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$/;
const MAX_DNS_NAME = 63;
const MAX_DATA_NAME = 64;

/** Checks the name of a service or network: DNS-like, at most 63 characters (swarmkit `validateAnnotations`). */
export function checkDnsName(name: string): void {
  if (name === '') throw invalid('meta: name must be provided', 'Name');
  if (!DNS_NAME.test(name)) throw invalid('name must be valid as a DNS name component', 'Name');
  if (name.length > MAX_DNS_NAME) throw invalid(`name must be ${MAX_DNS_NAME} characters or fewer`, 'Name');
}

/** Checks the name of a secret or config (swarmkit `validateConfigOrSecretAnnotations`). */
export function checkDataName(name: string): void {
  if (name === '') throw invalid('name must be provided', 'Name');
  if (name.length > MAX_DATA_NAME || !DATA_NAME.test(name)) {
    throw invalid(
      `invalid name, only ${MAX_DATA_NAME} [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]`,
      'Name',
    );
  }
}

const FIRST = [
  'amber',
  'brisk',
  'calm',
  'deft',
  'eager',
  'fleet',
  'gentle',
  'hardy',
  'keen',
  'lucid',
  'merry',
  'noble',
];
const SECOND = ['badger', 'crane', 'dolphin', 'ferret', 'heron', 'ibex', 'lynx', 'marten', 'otter', 'puffin', 'stoat'];

/** A name for a service that was created without one: two words and a number. */
export function randomName(random: Random): string {
  const pick = (words: readonly string[]): string => words[Math.floor(random.float() * words.length)] ?? words[0]!;
  return `${pick(FIRST)}_${pick(SECOND)}${Math.floor(random.float() * 10_000)}`;
}
