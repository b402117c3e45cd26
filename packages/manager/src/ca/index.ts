export * from './authority.js';
export * from './certificate.js';
export * from './join.js';
export * from './join-token.js';
export * from './renewal.js';
