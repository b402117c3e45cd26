import { distinctList, either, leaf, list, map, object, type Shape } from './shape.js';

/** Names of services, networks, volumes, secrets, configs and models. */
export const NAME_PATTERN = /^[a-zA-Z0-9._-]+$/;

/** A text. */
export const text = leaf('string');
/** `true`, or the text of a truth value. */
export const flag = leaf('boolean', 'string');
/** A whole number, or its text. */
export const integer = leaf('integer', 'string');
/** A number, or its text. */
export const decimal = leaf('number', 'string');
/** A list of texts. */
export const texts = list(text);
/** A list of texts, none of them twice. */
export const names = distinctList(text);
/** One text or a list of them. */
export const textOrTexts = either(text, names);
/** `{ key: value }` or `["key=value"]`. */
export const pairs = either(map(leaf('string', 'number', 'boolean', 'null')), names);
/** Options of a driver. */
export const options = map(leaf('string', 'number'));
/** A command line: a text to be split, or its words. */
export const command = either(leaf('null', 'string'), texts);
/** `external: true`, or the obsolete `external: { name }`. */
export const external = either(flag, object({ name: text }));

/** Host names with their addresses. */
export const extraHosts = either(map(either(text, texts)), names);

/** Limits of a process by name. */
export const ulimits = map(either(integer, object({ soft: integer, hard: integer }, ['soft', 'hard'])), /^[a-z]+$/);

/** Use of a secret or config. */
export const grants = list(either(text, object({ source: text, target: text, uid: text, gid: text, mode: decimal })));

/** A command that runs inside a container at some moment of its life. */
export const hook = object({ command, user: text, privileged: flag, working_dir: text, environment: pairs }, [
  'command',
]);

const device: Readonly<Record<string, Shape>> = {
  capabilities: texts,
  count: integer,
  device_ids: texts,
  driver: text,
  options: pairs,
};

/** Reserved devices. */
export const devices = list(object(device));
/** `all`, or devices. */
export const gpus = either(text, devices);
